//! `linux.devices`, with those that every container has.

use oci_spec::runtime::{LinuxDeviceType, Spec};

use super::SpecError;
use crate::plan::{Device, DeviceKind, Mount, MountSource};

/// The nodes. Whether they can be used, `linux.resources.devices` says.
pub(super) fn devices(spec: &Spec, mounts: &[Mount]) -> Result<Vec<Device>, SpecError> {
    // The machine's own /dev is as it is (as in runc).
    let bound = mounts
        .iter()
        .any(|m| m.target == "/dev" && matches!(m.source, MountSource::Bind { .. }));
    if bound {
        return Ok(Vec::new());
    }
    let mut nodes = Device::of_every_container();
    let linux = spec.linux().as_ref();
    let wanted = linux.and_then(|linux| linux.devices().as_deref());
    for (index, wanted) in wanted.unwrap_or_default().iter().enumerate() {
        let at = format!("linux.devices[{index}]");
        let path = wanted
            .path()
            .to_str()
            .filter(|path| path.starts_with('/'))
            .ok_or_else(|| SpecError::new(format!("{at}.path"), "it is no absolute path"))?;
        let number = |name: &str, value: i64| {
            u32::try_from(value)
                .map_err(|_| SpecError::new(format!("{at}.{name}"), format!("{value}")))
        };
        let kind = match wanted.typ() {
            LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Character,
            LinuxDeviceType::B => DeviceKind::Block,
            LinuxDeviceType::P => DeviceKind::Fifo,
            LinuxDeviceType::A => {
                return Err(SpecError::new(
                    format!("{at}.type"),
                    "\"a\" is for rules alone",
                ));
            }
        };
        let (major, minor) = match kind {
            DeviceKind::Fifo => (0, 0),
            _ => (
                number("major", wanted.major())?,
                number("minor", wanted.minor())?,
            ),
        };
        let owner = |name: &str, id: Option<u32>| match id {
            // As it is, to chown(2).
            Some(u32::MAX) => Err(SpecError::new(
                format!("{at}.{name}"),
                "4294967295 is nobody's",
            )),
            id => Ok(id.unwrap_or(0)),
        };
        let device = Device {
            path: path.to_owned(),
            kind,
            major,
            minor,
            // runc's default.
            mode: wanted.file_mode().unwrap_or(0o666) & 0o7777,
            uid: owner("uid", wanted.uid())?,
            gid: owner("gid", wanted.gid())?,
        };
        nodes.retain(|node| node.path != device.path);
        nodes.push(device);
    }
    Ok(nodes)
}
