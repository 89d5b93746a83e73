//! A monitor may have only so many descriptors.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use soute_tests::{Running, World, output, wait_until};

use super::monitor;

/// Starts a container by a shell that has set a limit; its id.
fn limited(world: &World, limit: &str) -> String {
    let soute = world.command(["run", "-d", "busybox", "sleep", "1000"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]);
    shell.arg(soute.get_program()).args(soute.get_args());
    output(&mut shell).text().to_owned()
}

/// Time in user and kernel mode, in ticks (proc_pid_stat(5)).
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<u64> = rest
        .split(' ')
        .skip(11)
        .take(2)
        .map(|n| n.parse().unwrap())
        .collect();
    fields.iter().sum()
}

/// Soft and hard, of open files.
fn limits(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let numbers: Vec<u64> = line
        .unwrap()
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    (numbers[0], numbers[1])
}

/// Whoever waits to be let in makes the listener ready: a monitor that cannot let him in must not ask it again and again.
#[test]
fn a_monitor_that_has_no_more_waits_in_peace() {
    let world = World::new();
    let id = limited(&world, "-n 40");
    let monitor = monitor(&world, &id);
    let clients: Vec<_> = (0..45)
        .map(|_| Running::start(world.command(["wait", &id]).stdin(Stdio::null())))
        .collect();
    wait_until("all descriptors are in use", || {
        fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().count() >= 40
    });
    let before = ticks(monitor);
    std::thread::sleep(Duration::from_secs(1));
    let spent = ticks(monitor) - before;
    assert!(spent < 20, "{spent} ticks in a second");
    // Those who leave make room for others.
    drop(clients);
    let late = world.start(["wait", &id]);
    world.soute(["kill", &id]).success();
    late.outcome().success().prints("137");
}

/// So many as it may have at all; the program keeps the limit that it was given.
#[test]
fn a_monitor_takes_as_many_as_it_may() {
    let world = World::new();
    let id = limited(&world, "-Sn 64");
    let monitor = monitor(&world, &id);
    wait_until("its limit is the hard one", || {
        let (soft, hard) = limits(monitor);
        soft == hard && hard > 64
    });
    assert_eq!(limits(world.pid(&id)).0, 64);
}
