//! Volumes: folders of the engine that outlive containers.
//!
//! Files in a volume belong to the ids that containers name; each container
//! maps them on the way (idmapped mounts), so that several containers with
//! different ranges share one volume.

use std::path::PathBuf;

use soute_image::ImageConfig;

use crate::error::{Error, io};
use crate::places::{Places, make_folder};
use crate::record::Record;
use crate::request::{MountKind, MountRequest};
use crate::{copy, ids};

/// Where the files of volume `name` are.
pub(crate) fn data(places: &Places, name: &str) -> PathBuf {
    places.volumes().join(name).join("_data")
}

/// Makes the volumes and bind sources that `record` mounts: named ones if they are new, anonymous ones for `-v /path`
/// and for what the image declares.
pub(crate) fn prepare(
    places: &Places,
    record: &mut Record,
    config: &ImageConfig,
) -> Result<(), Error> {
    for target in &config.volumes {
        let covered = record.request.mounts.iter().any(|m| m.target == *target);
        if !covered {
            record.request.mounts.push(MountRequest {
                target: target.clone(),
                source: MountKind::Volume { name: None },
                read_only: false,
                no_copy: false,
            });
        }
    }
    for mount in record.request.mounts.clone() {
        match &mount.source {
            MountKind::Volume { name } => {
                let name = match name {
                    Some(name) => {
                        ids::check_name(name)?;
                        name.clone()
                    }
                    None => {
                        let name = ids::new_id()?;
                        record.anonymous_volumes.push(name.clone());
                        name
                    }
                };
                let folder = data(places, &name);
                let new = !folder.exists();
                make_folder(&places.volumes(), 0o711)?;
                make_folder(&places.volumes().join(&name), 0o711)?;
                make_folder(&folder, 0o755)?;
                if new && !mount.no_copy {
                    copy::from_layers(&record.layers, &mount.target, &folder)?;
                }
                record.volumes.push((mount.target.clone(), name));
            }
            MountKind::Bind { path, create, .. } => {
                if !path.exists() {
                    if !create {
                        return Err(Error::Impossible(format!(
                            "the mount source {} does not exist",
                            path.display()
                        )));
                    }
                    make_folder(path, 0o755)?;
                }
            }
            MountKind::Tmpfs { .. } => {}
        }
    }
    Ok(())
}

/// Removes a volume with its files.
pub(crate) fn remove(places: &Places, name: &str) -> Result<(), Error> {
    let folder = places.volumes().join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            io("removing the volume", &folder, Err(e))
        }
        _ => Ok(()),
    }
}
