//! Networks of containers: bridges, addresses, the way outside, published ports; one file per topic.

mod addresses;
mod capture;
mod carry;
mod check;
mod closed_input;
mod connect;
mod host_gateway;
mod ipvlan;
mod joined_by_path;
mod lan;
mod macvlan;
mod manage;
mod map;
mod names;
mod neighbour;
mod open_ports;
mod outside;
mod ports;
mod why;
mod wires;

use std::path::PathBuf;
use std::process::Command;

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

/// `soute WORDS` by a user who is nobody, in a copy of the binary that everybody may execute.
#[track_caller]
fn as_nobody(world: &World, words: &[&str]) -> Command {
    use std::os::unix::fs::PermissionsExt as _;
    let binary: PathBuf = world.path("soute-of-all");
    std::fs::copy(std::env::var_os("SOUTE_BIN").expect("the binary"), &binary).expect("a copy");
    for path in [binary.parent().expect("a folder"), &binary] {
        let mode = std::fs::Permissions::from_mode(0o755);
        #[allow(
            clippy::disallowed_methods,
            reason = "a test's own folder, which nobody else knows of"
        )]
        std::fs::set_permissions(path, mode).expect("chmod");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(binary).args(words);
    command
}

/// The inode of the network namespace of a process; of the test's own machine.
#[track_caller]
fn inode(pid: Option<u32>) -> u64 {
    let whose = pid.map_or_else(|| "thread-self".to_owned(), |pid| pid.to_string());
    let link = std::fs::read_link(format!("/proc/{whose}/ns/net")).expect("a namespace");
    let text = link.to_string_lossy().into_owned();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("net:[INODE]")
}

/// A program of the machine's in the network of a process, or of the test's own machine.
fn in_network(pid: Option<u32>, program: &str, words: &[&str]) -> Command {
    let Some(pid) = pid else {
        let mut command = Command::new(program);
        command.args(words);
        return command;
    };
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net"));
    command.arg(program).args(words);
    command
}
