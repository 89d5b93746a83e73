//! Device rules on their way into a cgroup.

use std::io::Write as _;
use std::os::fd::AsFd as _;

use rustix::fs::{Mode, OFlags};
use soute_sys::{Called, bpf};

use super::cgroup::Node;
use super::{CgroupError, DeviceRule, Layout, devices};

/// Device rules in the form that the layout takes.
pub(super) enum DevicePlan {
    /// No rules.
    Inherit,
    V1(Vec<(&'static str, String)>),
    V2(Vec<bpf::Insn>),
}

impl DevicePlan {
    pub(super) fn new(layout: &Layout, rules: &[DeviceRule]) -> Result<Self, CgroupError> {
        if rules.is_empty() {
            Ok(Self::Inherit)
        } else if layout.carrier("devices").is_some() {
            Ok(Self::V1(devices::v1(rules)?))
        } else if layout.v2().is_some() {
            Ok(Self::V2(devices::v2(rules)?))
        } else {
            Err(layout.missing("device rules", "devices"))
        }
    }

    pub(super) fn apply(&self, nodes: &[Node], replace: bool) -> Result<(), CgroupError> {
        match self {
            Self::Inherit => Ok(()),
            Self::V1(writes) => {
                let Some(node) = nodes.iter().find(|n| n.hierarchy.has("devices")) else {
                    return Ok(());
                };
                // One open for each of the two files, however many rules.
                let mut open: Option<(&str, std::fs::File)> = None;
                for (name, text) in writes {
                    let file = node.file(name);
                    let called = || format!("write(\"{}\", \"{text}\")", file.display());
                    if open.as_ref().is_none_or(|(known, _)| known != name) {
                        let fd = rustix::fs::open(
                            &file,
                            OFlags::WRONLY | OFlags::CLOEXEC,
                            Mode::empty(),
                        )
                        .called(|| format!("open(\"{}\", O_WRONLY)", file.display()))?;
                        open = Some((name, fd.into()));
                    }
                    if let Some((_, fd)) = &mut open {
                        fd.write_all(text.as_bytes()).called(called)?;
                    }
                }
                Ok(())
            }
            Self::V2(program) => {
                let Some(folder) = nodes
                    .iter()
                    .find(|n| n.hierarchy.v2)
                    .and_then(|n| n.entry.as_ref())
                else {
                    return Ok(());
                };
                let program = bpf::load_device_program(program)?;
                if replace {
                    Ok(bpf::replace_device_programs(folder.as_fd(), program)?)
                } else {
                    Ok(bpf::attach_device_program(folder.as_fd(), program)?)
                }
            }
        }
    }
}
