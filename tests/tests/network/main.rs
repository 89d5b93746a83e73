//! Networks of containers: bridges, addresses, the way outside, published ports; one file per topic.

mod addresses;
mod check;
mod connect;
mod manage;
mod names;
mod neighbour;
mod outside;
mod ports;
mod why;
mod wires;

use rustix::process::{Pid, Signal};
use soute_tests::{World, wait_until};

/// `kill -9` of the monitor of a container, which is gone when this returns.
#[track_caller]
fn kill_monitor(world: &World, id: &str) {
    let monitor = world.inspect(id)["Isolation"]["Monitor"].as_i64();
    let monitor = monitor.and_then(|pid| Pid::from_raw(pid as i32));
    let monitor = monitor.expect("a monitor");
    rustix::process::kill_process(monitor, Signal::KILL).expect("kill(monitor)");
    wait_until("it is gone", || {
        rustix::process::test_kill_process(monitor).is_err()
    });
}
