//! What the end-to-end tests stand on.
//!
//! A test makes a [`World`]: an engine's folders of its own, in a mount and a
//! network namespace of its own, with an image to run. It runs the binary as a
//! user does, and when it ends the world removes its containers and fails the
//! test if anything is left of them: a mount, a process, a cgroup, a folder.
//!
//! `cargo xtask test` builds the binary and the images and says where they are
//! (`SOUTE_BIN`, `SOUTE_TEST_STORE`). Modules named `slow` and `peers` are left
//! out by its `--quick`.

mod docker;
mod killer;
mod machine;
pub mod make;
mod mounted;
mod outcome;
pub mod place;
mod program;
pub mod remains;
mod terminal;
pub mod views;
mod world;

pub use docker::Docker;
pub use killer::Killer;
pub use machine::{Layout, cgroup_of, layout, mounts, own_folders, set_file};
pub use mounted::Mounted;
pub use outcome::Outcome;
pub use program::{DEADLINE, Running, output, output_in_files};
pub use terminal::Terminal;
pub use world::World;

/// Calls `ready` until it is true.
///
/// # Panics
/// It is not within [`DEADLINE`]; `what` says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + DEADLINE;
    while !ready() {
        assert!(
            std::time::Instant::now() < end,
            "waited {DEADLINE:?} in vain until {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
