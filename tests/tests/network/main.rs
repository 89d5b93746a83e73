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
mod rules_hook;
mod sctp;
mod ufw;
mod why;
mod wires;

use std::process::Command;

use rustix::process::{Pid, Signal};
use soute_tests::{Killer, Outcome, World, output, wait_until};

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

/// The IPv4 address of a container by the first bridge.
#[track_caller]
fn address(world: &World, id: &str) -> String {
    let address = &world.inspect(id)["NetworkSettings"]["IPAddress"];
    address.as_str().expect("an address").to_owned()
}

/// The IPv4 address of a container in a network.
#[track_caller]
fn address_in(world: &World, id: &str, network: &str) -> String {
    let address = &world.inspect(id)["NetworkSettings"]["Networks"][network]["IPAddress"];
    address.as_str().expect("an address").to_owned()
}

/// A container that does nothing; its id.
#[track_caller]
fn sleeper(world: &World, flags: &[&str]) -> String {
    world.detached([flags, &["busybox", "sleep", "1000"]].concat())
}

#[track_caller]
fn exec(world: &World, id: &str, script: &str) -> Outcome {
    world.soute(["exec", id, "sh", "-c", script])
}

/// `kill -9` before every `step`th system call of a connect and of a disconnect of the container box, which is in no other
/// network. `consistent`: whether it is in this one, of which all that tells of it tells the same.
#[track_caller]
fn killed_at_every(
    step: usize,
    least: usize,
    world: &World,
    network: &str,
    consistent: impl Fn() -> bool,
) {
    let deeds = ["connect", "disconnect"].map(|deed| ["network", deed, network, "box"]);
    each_way_killed(step, least, world, deeds, consistent);
    world.soute(["network", "rm", network]).success();
}

/// `kill -9` before every `step`th system call of what makes something so, and of what undoes that. `is_so`: whether it is
/// so, of which all that tells of it tells the same.
#[track_caller]
fn each_way_killed(
    step: usize,
    least: usize,
    world: &World,
    [deed, undoing]: [[&str; 4]; 2],
    is_so: impl Fn() -> bool,
) {
    let killer = Killer::new(&world.path(""));
    for (words, back, wanted) in [(deed, undoing, true), (undoing, deed, false)] {
        let mut number = 1;
        loop {
            let command = world.command(words);
            let outcome = output(&mut killer.command(number, &command));
            let now = is_so();
            if outcome.code != Killer::HAS_KILLED {
                outcome.success();
                assert_eq!(now, wanted);
                break;
            }
            number += step;
            // To begin again where it began.
            if now == wanted {
                world.soute(back).success();
            }
        }
        eprintln!("{words:?}: killed before one in {step} of its {number} system calls");
        assert!(number > least);
    }
}

/// `soute WORDS` by a user who is nobody, in a copy of the binary that everybody may execute.
#[track_caller]
fn as_nobody(world: &World, words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(world.binary_for_all()).args(words);
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
