//! Control groups: what a container may use, and what it did use.
//!
//! [`Layout::discover`] finds the hierarchies of the machine, v1, v2 or both;
//! [`Cgroup::create`] makes one cgroup in each of them with its limits set
//! ([`Resources`], [`DeviceRule`]) before any process is in it.

mod adopt;
mod beside;
mod cgroup;
mod delegate;
mod device_plan;
mod devices;
mod error;
mod files;
mod layout;
mod make;
mod members;
mod oom;
mod path;
mod place;
pub mod report;
mod resources;
mod settings;
mod spec;
mod stats;
mod sub;
pub mod systemd;
mod tree;
mod update;
mod validate;

pub use cgroup::{Cgroup, Origin};
pub use devices::default_device_rules;
pub use error::CgroupError;
pub use layout::{Hierarchy, Layout, LayoutKind, default_parent};
pub use members::remove_if_empty;
pub use oom::{OomEvent, OomWatch};
pub use path::CgroupPath;
pub use place::Place;
pub use resources::{
    DeviceRule, DeviceWeight, HugepageLimit, InterfacePriority, RdmaLimit, Resources, Throttle,
};
pub use spec::{SpecResources, always_allowed};
pub use stats::{CpuStats, HugetlbStats, IoStats, MemoryStats, PidsStats, Stats, Throttling};
pub use sub::SubPaths;
pub use update::OldLimits;
pub use validate::{MEMORY_MIN, ResourceError};

/// For fuzz/: reads what the kernel tells of hierarchies, behind an empty line /proc/self/cgroup, and lists of CPUs.
#[cfg(fuzzing)]
pub fn fuzz(text: &str) {
    let (mountinfo, own) = text.split_once("\n\n").unwrap_or((text, text));
    if let Ok(layout) = Layout::parse(mountinfo, own, |_, _| true) {
        _ = Place::from_spec(&layout, "a/../b", "fuzz");
    }
    _ = stats::io_v2("io.stat".as_ref(), text);
    _ = validate::parse_list(text);
}
