//! `/dev`: a tmpfs with device nodes, made by the parent.
//!
//! A user namespace may not make device nodes, and a tmpfs of its own would
//! ignore them. So the parent, on the machine's side, makes the tmpfs and the
//! nodes; the container's root owns both, and gets the mount by descriptor.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use crate::idmap::IdMaps;
use crate::plan::Device;

/// Makes the tmpfs and its nodes; links and folders that need no privilege are the container's own work ([`complete`]).
/// The caller's umask must be 0.
pub(crate) fn build(devices: &[Device], maps: Option<&IdMaps>) -> Result<OwnedFd, CallError> {
    let (uid, gid) = maps.and_then(IdMaps::root).unwrap_or((0, 0));
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let dev = super::new_filesystem(
        "tmpfs",
        &[
            ("mode", "0755"),
            ("size", "65536k"),
            ("uid", &uid),
            ("gid", &gid),
        ],
        soute_sys::mount::NOSUID | soute_sys::mount::NOEXEC,
    )?;
    for device in devices {
        node(&dev, device, maps)?;
    }
    Ok(dev)
}

fn node(dev: impl AsFd, device: &Device, maps: Option<&IdMaps>) -> Result<(), CallError> {
    let failed = |what: &str, errno| {
        CallError::new(
            format!("{what}({}, {}:{})", device.path, device.major, device.minor),
            errno,
        )
    };
    let relative = device
        .path
        .strip_prefix("/dev/")
        .filter(|p| p.split('/').all(|c| !c.is_empty() && c != ".." && c != "."))
        .ok_or_else(|| failed("a device outside /dev", Errno::INVAL))?;
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
    let kind = if device.character {
        FileType::CharacterDevice
    } else {
        FileType::BlockDevice
    };
    rustix::fs::mknodat(
        &dev,
        relative,
        kind,
        Mode::from_raw_mode(device.mode),
        rustix::fs::makedev(device.major, device.minor),
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
    if (uid, gid) != (0, 0) {
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

/// The links and folders that programs expect in /dev (runtime-spec, "Dev symbolic links").
pub(crate) fn complete(dev: impl AsFd) -> Result<(), CallError> {
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
        ("ptmx", "pts/ptmx"),
    ] {
        rustix::fs::symlinkat(target, &dev, link)
            .called(|| format!("symlinkat(\"{target}\", \"/dev/{link}\")"))?;
    }
    for folder in ["pts", "mqueue", "shm"] {
        rustix::fs::mkdirat(&dev, folder, Mode::from_raw_mode(0o755))
            .called(|| format!("mkdirat(\"/dev/{folder}\")"))?;
    }
    Ok(())
}
