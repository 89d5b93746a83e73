//! Cgroups on the machine as it is: v1, v2 or both. Needs root; prints the layout that it found.
//!
//! Where a controller is missing, the test shows that the limit is refused by
//! its name instead. Each test has a parent cgroup of its own, and leaves none behind.

mod adopt;
mod devices;
mod life;
mod limits;
mod rare;
mod scene;
mod sub;
