//! Volumes: folders of the engine that outlive containers.
//!
//! Files in a volume belong to the ids that containers name; each container
//! maps them on the way (idmapped mounts), so that several containers with
//! different ranges share one volume.
//!
//! ```text
//! volumes/NAME/_data        the files
//! volumes/NAME/_part        the image's content while it is copied
//! volumes/NAME/_whole       the same while it is moved to _data
//! containers/ID/volumes/    names of the volumes that came with the container, and go with it
//! ```

use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use soute_image::ImageConfig;

use crate::error::{Error, io};
use crate::places::{Places, entries, make_folder};
use crate::record::Record;
use crate::request::{MountKind, MountRequest};
use crate::{copy, ids, tree};

/// Where the files of volume `name` are.
pub(crate) fn data(places: &Places, name: &str) -> PathBuf {
    places.volumes().join(name).join("_data")
}

/// The names of the volumes that container `id` brought into being. On disk before the volumes themselves, so that
/// they are found whatever is killed, and however the machine goes down.
fn journal(places: &Places, id: &str) -> PathBuf {
    places.container(id).join("volumes")
}

/// Makes the volumes and bind sources that `record` mounts: named ones if they are new, anonymous ones for `-v /path`
/// and for what the image declares. If it fails, the volumes that it made are gone again.
pub(crate) fn prepare(
    places: &Places,
    record: &mut Record,
    config: &ImageConfig,
) -> Result<(), Error> {
    declare(&mut record.request.mounts, config)?;
    let mounts = record.request.mounts.clone();
    check(&mounts)?;
    for mount in &mounts {
        if let MountKind::Bind { path, .. } = &mount.source
            && !path.exists()
        {
            make_folder(path, 0o755)?;
        }
    }
    let wanted: Vec<_> = mounts.iter().filter_map(volume).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    make_folder(&places.volumes(), 0o700)?;
    // One container at a time: nobody sees a volume half-filled, or uses one that is about to be taken back.
    let folder = places.volumes();
    let lock = io("opening", &folder, File::open(&folder))?;
    io("locking", &folder, lock.lock())?;
    let mut made = Vec::new();
    make_all(places, record, &wanted, &mut made).map_err(|e| {
        let undone = made.iter().map(|name| remove(places, name));
        undone.fold(e, Error::undone)
    })
}

/// The volume of a mount; without a name it is an anonymous one.
fn volume(mount: &MountRequest) -> Option<(&MountRequest, Option<&str>)> {
    match &mount.source {
        MountKind::Volume { name } => Some((mount, name.as_deref())),
        _ => None,
    }
}

/// Adds the volumes that the image declares, where nothing else is mounted.
fn declare(mounts: &mut Vec<MountRequest>, config: &ImageConfig) -> Result<(), Error> {
    for declared in &config.volumes {
        let target = clean(declared).map_err(|why| {
            Error::Impossible(format!("the image declares the volume {declared:?}: {why}"))
        })?;
        if !mounts.iter().any(|m| m.target == target) {
            mounts.push(MountRequest {
                target,
                source: MountKind::Volume { name: None },
                read_only: false,
                no_copy: false,
            });
        }
    }
    Ok(())
}

/// A declared target as mounts have theirs: without `.`, double or trailing slashes.
fn clean(declared: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = declared
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if !declared.starts_with('/') || parts.contains(&"..") || declared.contains('\0') {
        return Err("not an absolute path without '..'");
    }
    match parts.first() {
        None => Err("the root itself cannot be one"),
        // It would hide what soute itself writes there, like --sysctl (CVE-2019-16884, CVE-2019-19921).
        Some(&"proc") => Err("the kernel's files are not the image's to replace"),
        Some(_) => Ok(format!("/{}", parts.join("/"))),
    }
}

/// What can be refused is refused before anything is made.
fn check(mounts: &[MountRequest]) -> Result<(), Error> {
    for mount in mounts {
        match &mount.source {
            MountKind::Volume { name: Some(name) } => ids::check_name(name)?,
            MountKind::Bind { path, create, .. } if !create && !path.exists() => {
                return Err(Error::Impossible(format!(
                    "the mount source {} does not exist",
                    path.display()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes and fills each volume that is not there, and notes in `made` those that it makes.
fn make_all(
    places: &Places,
    record: &mut Record,
    wanted: &[(&MountRequest, Option<&str>)],
    made: &mut Vec<String>,
) -> Result<(), Error> {
    for &(mount, name) in wanted {
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let name = ids::new_id()?;
                make_folder(&places.container(&record.id), 0o700)?;
                let journal = journal(places, &record.id);
                make_folder(&journal, 0o700)?;
                let note = journal.join(&name);
                io("writing", &note, File::create_new(&note))?;
                record.anonymous_volumes.push(name.clone());
                name
            }
        };
        let home = places.volumes().join(&name);
        match DirBuilder::new().mode(0o700).create(&home) {
            Ok(()) => made.push(name.clone()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return io("making the volume", &home, Err(e)),
        }
        let layers = (!mount.no_copy).then_some(record.layers.as_slice());
        fill(&home, layers, &mount.target)?;
        record.volumes.push((mount.target.clone(), name));
    }
    Ok(())
}

/// Gives the volume in `home` what `layers` have at `target`, if it is empty.
///
/// It may be mounted in containers that run. What they write meanwhile is theirs: the content is copied beside the
/// files, and then moved to them, over nothing that is there. Whatever is left of a copy is all that is ever removed.
fn fill(home: &Path, layers: Option<&[PathBuf]>, target: &str) -> Result<(), Error> {
    let [files, part, whole] = ["_data", "_part", "_whole"].map(|name| home.join(name));
    make_open(&files)?;
    // Who copied into it was killed.
    tree::remove(&part)?;
    if let (Some(layers), true, false) = (layers, is_empty(&files)?, whole.exists()) {
        make_open(&part)?;
        let copied =
            copy::from_layers(layers, target, &part).map_err(|e| e.undone(tree::remove(&part)))?;
        // Copying takes its time: a container may have written something.
        if !copied || !is_empty(&files)? {
            return tree::remove(&part);
        }
        io("renaming", &part, std::fs::rename(&part, &whole))?;
    }
    // Also what a process that was killed had begun to move.
    if whole.exists() {
        copy::move_into(&whole, &files)?;
        tree::remove(&whole)?;
    }
    Ok(())
}

/// Makes `folder`, if it is missing, with a mode by which users of containers find their files, whatever the umask.
fn make_open(folder: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => io("making the volume", folder, made)?,
    }
    let mode =
        File::open(folder).and_then(|open| open.set_permissions(Permissions::from_mode(0o755)));
    io("making the volume", folder, mode)
}

fn is_empty(folder: &Path) -> Result<bool, Error> {
    let mut entries = io("reading", folder, std::fs::read_dir(folder))?;
    Ok(entries.next().is_none())
}

/// Removes a volume with its files.
pub(crate) fn remove(places: &Places, name: &str) -> Result<(), Error> {
    tree::remove(&places.volumes().join(name))
}

/// Removes the volumes that came with container `id`, of which no record tells.
pub(crate) fn remove_unrecorded(places: &Places, id: &str) -> Result<(), Error> {
    let journal = journal(places, id);
    for volume in entries(&journal)? {
        let volume = volume?;
        let name = volume.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| ids::is_id(name)) {
            remove(places, name)?;
        }
    }
    Ok(())
}

/// The volumes that came with container `id` stay when it goes.
pub(crate) fn keep(places: &Places, id: &str) -> Result<(), Error> {
    tree::remove(&journal(places, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_volumes_are_cleaned_or_refused() {
        for (declared, target) in [
            ("/data", "/data"),
            ("//a/./b/", "/a/b"),
            ("/process", "/process"),
        ] {
            assert_eq!(clean(declared).unwrap(), target);
        }
        for declared in [
            "",
            "/",
            "/.",
            "data",
            "../x",
            "/a/../../etc",
            "/a\0",
            "/proc",
            "//proc/./sys",
        ] {
            assert!(clean(declared).is_err(), "{declared:?}");
        }
    }

    fn image(folder: &Path) -> Vec<PathBuf> {
        let layer = folder.join("layer");
        std::fs::create_dir_all(layer.join("data")).unwrap();
        std::fs::write(layer.join("data/one"), "1").unwrap();
        vec![layer]
    }

    #[test]
    fn only_an_empty_volume_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let layers = image(folder.path());
        let home = folder.path().join("v");
        std::fs::create_dir(&home).unwrap();
        fill(&home, None, "/data").unwrap();
        assert!(!home.join("_data/one").exists());
        fill(&home, Some(&layers), "/data").unwrap();
        assert_eq!(std::fs::read(home.join("_data/one")).unwrap(), b"1");
        std::fs::remove_file(home.join("_data/one")).unwrap();
        std::fs::write(home.join("_data/two"), "2").unwrap();
        fill(&home, Some(&layers), "/data").unwrap();
        assert!(!home.join("_data/one").exists());
    }

    #[test]
    fn what_a_killed_process_copied_in_part_is_copied_anew() {
        let folder = tempfile::tempdir().unwrap();
        let layers = image(folder.path());
        let home = folder.path().join("v");
        std::fs::create_dir_all(home.join("_part")).unwrap();
        std::fs::write(home.join("_part/half"), "").unwrap();
        fill(&home, Some(&layers), "/data").unwrap();
        assert!(home.join("_data/one").exists() && !home.join("_data/half").exists());
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_moved_in_part_is_moved_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("v");
        for (file, text) in [
            ("_data/moved", "image"),
            ("_data/changed", "container"),
            ("_whole/changed", "image"),
            ("_whole/one", "image"),
        ] {
            let file = home.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        fill(&home, Some(&image(folder.path())), "/data").unwrap();
        for (file, text) in [
            ("moved", "image"),
            ("changed", "container"),
            ("one", "image"),
        ] {
            let found = std::fs::read_to_string(home.join("_data").join(file)).unwrap();
            assert_eq!(found, text, "{file}");
        }
        assert!(!home.join("_whole").exists());
    }
}
