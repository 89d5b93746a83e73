//! Bad luck and bad input: whatever fails is said, undone, and leaves nothing behind.

#![allow(
    clippy::disallowed_methods,
    reason = "a test lays its files where nobody else knows of them"
)]

mod descriptors;
mod flags;
mod interrupted;
mod killed;
mod leaks;
mod permissions;
mod reboot;
mod space;
mod upgrade;
mod wrecks;

use rustix::process::{Pid, Signal, kill_process};
use soute_tests::World;

/// `kill -9 PID`, and its end.
#[track_caller]
fn kill(pid: u32) {
    let process = Pid::from_raw(pid.cast_signed()).expect("a process id");
    match kill_process(process, Signal::KILL) {
        // With one that was killed before it, perhaps: a container goes with its monitor.
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(e) => panic!("kill {pid}: {e}"),
    }
    soute_tests::wait_until("the killed process has ended", || !lives(pid));
}

/// The monitor of a container that runs.
#[track_caller]
fn monitor(world: &World, container: &str) -> u32 {
    let pid = world.inspect(container)["Isolation"]["Monitor"].as_u64();
    pid.and_then(|pid| pid.try_into().ok()).expect("a monitor")
}

/// Whether a process is there and is no zombie.
fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
    })
}
