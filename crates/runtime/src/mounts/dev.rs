//! `/dev`: a tmpfs with device nodes, made by the parent.
//!
//! A user namespace may not make device nodes, and a tmpfs of its own would
//! ignore them. So the parent, on the machine's side, makes the tmpfs and the
//! nodes; the container's root owns both, and gets the mount by descriptor.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use soute_sys::mount::NODEV;
use soute_sys::{CallError, Called};

use super::kernel::borrowed;
use super::root::{Links, Missing, Root};
use crate::idmap::IdMaps;
use crate::plan::{Device, DeviceKind, Mount, MountSource, Plan};

/// Makes the tmpfs of `mount` and those of `devices` that are below it; links and folders that need no privilege are
/// the container's own work ([`complete`]). The caller's umask must be 0.
pub(crate) fn build(
    mount: &Mount,
    options: &[(String, String)],
    devices: &[Device],
    maps: Option<&IdMaps>,
) -> Result<OwnedFd, CallError> {
    let maker = super::maker();
    let owner = maps.and_then(IdMaps::root).unwrap_or((0, 0));
    let texts = (owner.0.to_string(), owner.1.to_string());
    let mut options = borrowed(options);
    if owner != maker {
        options.extend([("uid", texts.0.as_str()), ("gid", texts.1.as_str())]);
    }
    // Without nodev, whatever the attributes say: it is here that devices live.
    let dev = super::new_filesystem("tmpfs", &options, mount.attributes.set & !NODEV)?;
    for device in devices {
        if let Some(relative) = below(&mount.target, &device.path) {
            node(&dev, relative, device, maps, maker)?;
        }
    }
    Ok(dev)
}

/// `path` as seen from the folder `target`, if it is below it and goes there straight.
fn below<'p>(target: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(target.trim_end_matches('/'))?
        .strip_prefix('/')
        .filter(|p| p.split('/').all(|c| !c.is_empty() && c != ".." && c != "."))
}

/// Makes a device where no [`MountSource::Dev`] is: in the image's own folders. Only the machine's root may: in a user
/// namespace of its own the container gets [`of_the_machine`].
///
/// Whatever is there is left as it is if it is the device already.
pub(crate) fn make_elsewhere(root: &Root, device: &Device) -> Result<(), CallError> {
    let (folder, name) = device.path.rsplit_once('/').unwrap_or(("", &device.path));
    let folder = match folder {
        "" => "/",
        folder => folder,
    };
    let folder = root.open_or_make(folder, Missing::Folder, Links::Follow)?;
    let failed = |call: &str, errno| {
        CallError::new(
            format!("{call}({}, {}:{})", device.path, device.major, device.minor),
            errno,
        )
    };
    let mode = Mode::from_raw_mode(device.mode);
    match rustix::fs::mknodat(&folder, name, file_type(device.kind), mode, number(device)) {
        Ok(()) => rustix::fs::chownat(
            &folder,
            name,
            Some(Uid::from_raw(device.uid)),
            Some(Gid::from_raw(device.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|e| failed("fchownat", e)),
        Err(Errno::EXIST) => {
            let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| failed("fstatat", e))?;
            match is(&stat, device) {
                true => Ok(()),
                false => Err(failed("something else is there: mknodat", Errno::EXIST)),
            }
        }
        Err(e) => Err(failed("mknodat", e)),
    }
}

fn number(device: &Device) -> rustix::fs::Dev {
    rustix::fs::makedev(device.major, device.minor)
}

fn file_type(kind: DeviceKind) -> FileType {
    match kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Fifo => FileType::Fifo,
    }
}

/// The devices that no [`MountSource::Dev`] of the plan holds.
pub(crate) fn elsewhere(plan: &Plan) -> impl Iterator<Item = &Device> {
    let held = |device: &&Device| {
        plan.mounts.iter().any(|mount| {
            matches!(mount.source, MountSource::Dev { .. })
                && below(&mount.target, &device.path).is_some()
        })
    };
    plan.devices.iter().filter(move |device| !held(device))
}

/// The machine's own node at the same path, as a mount, for a container that may not make nodes.
pub(crate) fn of_the_machine(device: &Device) -> Result<OwnedFd, CallError> {
    let tree = rustix::mount::open_tree(
        CWD,
        &device.path,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW,
    )
    .called(|| format!("open_tree(\"{}\", CLONE)", device.path))?;
    let stat = rustix::fs::fstat(&tree).called(|| format!("fstat(\"{}\")", device.path))?;
    if !is(&stat, device) {
        return Err(CallError::new(
            format!(
                "{}: the machine has another device there, and in a user namespace none can be made",
                device.path
            ),
            Errno::NODEV,
        ));
    }
    Ok(tree)
}

fn is(stat: &rustix::fs::Stat, device: &Device) -> bool {
    FileType::from_raw_mode(stat.st_mode) == file_type(device.kind)
        && (device.kind == DeviceKind::Fifo || stat.st_rdev == number(device))
}

fn node(
    dev: impl AsFd,
    relative: &str,
    device: &Device,
    maps: Option<&IdMaps>,
    maker: (u32, u32),
) -> Result<(), CallError> {
    let failed = |what: &str, errno| {
        CallError::new(
            format!("{what}({}, {}:{})", device.path, device.major, device.minor),
            errno,
        )
    };
    if let Some((parents, _)) = relative.rsplit_once('/') {
        let mut path = String::new();
        for part in parents.split('/') {
            path.push_str(part);
            match rustix::fs::mkdirat(&dev, &path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(failed("mkdirat", e)),
            }
            path.push('/');
        }
    }
    rustix::fs::mknodat(
        &dev,
        relative,
        file_type(device.kind),
        Mode::from_raw_mode(device.mode),
        number(device),
    )
    .map_err(|e| failed("mknodat", e))?;
    let (uid, gid) = match maps {
        Some(maps) => (
            maps.host_uid(device.uid)
                .ok_or_else(|| failed("owner not mapped", Errno::INVAL))?,
            maps.host_gid(device.gid)
                .ok_or_else(|| failed("group not mapped", Errno::INVAL))?,
        ),
        None => (device.uid, device.gid),
    };
    if (uid, gid) != maker {
        rustix::fs::chownat(
            &dev,
            relative,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|e| failed("fchownat", e))?;
    }
    Ok(())
}

/// The links and folders that programs expect in /dev (runtime-spec, "Dev symbolic links"). What is there already stays.
pub(crate) fn complete(dev: impl AsFd) -> Result<(), CallError> {
    let made = |result| match result {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(e),
    };
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
        ("ptmx", "pts/ptmx"),
    ] {
        made(rustix::fs::symlinkat(target, &dev, link))
            .called(|| format!("symlinkat(\"{target}\", \"/dev/{link}\")"))?;
    }
    for folder in ["pts", "mqueue", "shm"] {
        made(rustix::fs::mkdirat(
            &dev,
            folder,
            Mode::from_raw_mode(0o755),
        ))
        .called(|| format!("mkdirat(\"/dev/{folder}\")"))?;
    }
    Ok(())
}
