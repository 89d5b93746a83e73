//! `--device` and `--privileged`: devices of the machine in a container.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use soute_runtime::cgroups::DeviceRule;
use soute_runtime::plan::{Device, DeviceKind};

use crate::error::{Error, io};
use crate::request::DeviceRequest;

/// What every container has its own of in /dev.
const OWN: &[&str] = &["pts", "ptmx", "console", "shm", "mqueue", "fd"];

/// Adds the node (or, for a folder, all nodes in it) and the rule that allows it.
pub(crate) fn add(
    wanted: &DeviceRequest,
    nodes: &mut Vec<Device>,
    rules: &mut Vec<DeviceRule>,
) -> Result<(), Error> {
    let before = rules.len();
    add_any(wanted, nodes, rules)?;
    match rules.len() > before {
        true => Ok(()),
        false => Err(Error::Impossible(format!(
            "--device {}: a folder without any device",
            wanted.host.display()
        ))),
    }
}

fn add_any(
    wanted: &DeviceRequest,
    nodes: &mut Vec<Device>,
    rules: &mut Vec<DeviceRule>,
) -> Result<(), Error> {
    let metadata = io("--device", &wanted.host, std::fs::metadata(&wanted.host))?;
    if metadata.is_dir() {
        for entry in io("--device", &wanted.host, std::fs::read_dir(&wanted.host))? {
            let entry = io("--device", &wanted.host, entry)?;
            let kind = io("--device", &entry.path(), std::fs::metadata(entry.path()))?;
            if kind.is_dir() || is_device(&kind) {
                let inner = DeviceRequest {
                    host: entry.path(),
                    container: wanted.container.join(entry.file_name()),
                    permissions: wanted.permissions.clone(),
                };
                add_any(&inner, nodes, rules)?;
            }
        }
        return Ok(());
    }
    let device = node(&wanted.container, &metadata).ok_or_else(|| {
        Error::Impossible(format!(
            "--device {}: neither a device nor a folder of devices",
            wanted.host.display()
        ))
    })?;
    if !device.path.starts_with("/dev/") {
        return Err(Error::Impossible(format!(
            "--device {}: in the container it must be below /dev, not at {}",
            wanted.host.display(),
            device.path
        )));
    }
    rules.push(DeviceRule {
        allow: true,
        kind: match device.kind {
            DeviceKind::Block => 'b',
            _ => 'c',
        },
        major: Some(device.major),
        minor: Some(device.minor),
        access: wanted.permissions.clone(),
    });
    nodes.retain(|n| n.path != device.path);
    nodes.push(device);
    Ok(())
}

/// Adds every device of the machine's /dev.
pub(crate) fn add_all(nodes: &mut Vec<Device>) -> Result<(), Error> {
    add_below(Path::new("/dev"), nodes)
}

fn add_below(folder: &Path, nodes: &mut Vec<Device>) -> Result<(), Error> {
    for entry in io("--privileged", folder, std::fs::read_dir(folder))? {
        let entry = io("--privileged", folder, entry)?;
        // Not followed: links name nodes that come by themselves.
        let Ok(metadata) = std::fs::symlink_metadata(entry.path()) else {
            continue;
        };
        let top = folder == Path::new("/dev");
        let own = top
            && entry
                .file_name()
                .to_str()
                .is_some_and(|n| OWN.contains(&n) || n == "console");
        if own {
            continue;
        }
        if metadata.is_dir() {
            add_below(&entry.path(), nodes)?;
        } else if let Some(device) = node(&entry.path(), &metadata)
            && !nodes.iter().any(|n| n.path == device.path)
        {
            nodes.push(device);
        }
    }
    Ok(())
}

fn is_device(metadata: &std::fs::Metadata) -> bool {
    metadata.file_type().is_char_device() || metadata.file_type().is_block_device()
}

fn node(path: &Path, metadata: &std::fs::Metadata) -> Option<Device> {
    is_device(metadata).then(|| Device {
        path: path.to_string_lossy().into_owned(),
        kind: match metadata.file_type().is_block_device() {
            true => DeviceKind::Block,
            false => DeviceKind::Character,
        },
        major: rustix::fs::major(metadata.rdev()),
        minor: rustix::fs::minor(metadata.rdev()),
        mode: metadata.mode() & 0o777,
        // The group's number means something else in the container: root's, as in rootless engines.
        uid: 0,
        gid: 0,
    })
}
