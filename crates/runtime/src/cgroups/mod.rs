//! Control groups: what a container may use, and what it did use.

mod resources;

pub use resources::{DeviceRule, Resources, Throttle};
