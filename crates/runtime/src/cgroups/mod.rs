//! Control groups: what a container may use, and what it did use.
//!
//! [`Layout::discover`] finds the hierarchies of the machine, v1, v2 or both;
//! [`Cgroup::create`] makes one cgroup in each of them with its limits set
//! ([`Resources`], [`DeviceRule`]) before any process is in it.

mod beside;
mod cgroup;
mod devices;
mod error;
mod files;
mod layout;
mod members;
mod path;
mod resources;
mod settings;
mod spec;
mod stats;
mod update;
mod validate;

pub use cgroup::Cgroup;
pub use devices::default_device_rules;
pub use error::CgroupError;
pub use layout::{Hierarchy, Layout, LayoutKind, default_parent};
pub use members::remove_if_empty;
pub use path::CgroupPath;
pub use resources::{
    DeviceRule, DeviceWeight, HugepageLimit, InterfacePriority, RdmaLimit, Resources, Throttle,
};
pub use spec::{SpecResources, always_allowed};
pub use stats::{CpuStats, HugetlbStats, IoStats, MemoryStats, PidsStats, Stats, Throttling};
pub use validate::{MEMORY_MIN, ResourceError};
