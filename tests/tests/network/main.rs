//! Networks of containers: bridges, addresses, the way outside, published ports; one file per topic.

mod addresses;
mod connect;
mod host_gateway;
mod ipvlan;
mod joined_by_path;
mod lan;
mod macvlan;
mod manage;
mod names;
mod neighbour;
mod outside;
mod ports;
mod wires;

use rustix::process::{Pid, Signal};
use soute_tests::{World, wait_until};

#[track_caller]
fn monitor(world: &World, id: &str) -> Pid {
    let monitor = world.inspect(id)["Isolation"]["Monitor"].as_i64();
    let monitor = monitor.and_then(|pid| Pid::from_raw(pid as i32));
    monitor.expect("a monitor")
}

/// Does something while the monitor of a container can do nothing about it.
#[track_caller]
fn behind_its_back<T>(world: &World, id: &str, deed: impl FnOnce() -> T) -> T {
    let monitor = monitor(world, id);
    rustix::process::kill_process(monitor, Signal::STOP).expect("kill(monitor, SIGSTOP)");
    let done = deed();
    rustix::process::kill_process(monitor, Signal::CONT).expect("kill(monitor, SIGCONT)");
    done
}

/// `kill -9` of the monitor of a container, which is gone when this returns.
#[track_caller]
fn kill_monitor(world: &World, id: &str) {
    let monitor = monitor(world, id);
    rustix::process::kill_process(monitor, Signal::KILL).expect("kill(monitor)");
    wait_until("it is gone", || {
        rustix::process::test_kill_process(monitor).is_err()
    });
}
