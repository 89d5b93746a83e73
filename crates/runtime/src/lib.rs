//! A plan becomes a process.
//!
//! [`plan`] is pure data: all that a container is made of. [`process`] turns
//! it into a running process in one linear recipe. Nothing here knows of
//! images, registries, or state on disk; nothing here is asynchronous.

pub mod capabilities;
pub mod cgroups;
pub mod containers;
pub mod criu;
pub mod executable;
pub mod hooks;
pub mod idmap;
pub mod mountinfo;
pub mod mounts;
pub mod netdev;
pub mod plan;
pub mod proc_stat;
pub mod process;
pub mod seccomp;
pub mod socket;
pub mod spec;
pub mod sysctls;
