//! Between its birth and pivot_root a container's first process is among the machine's files, in its network.

use soute_tests::{World, output};

/// `run -d` of a container that takes its time before pivot_root.
fn start_slowly(world: &World, flags: &[&str]) -> soute_tests::Running {
    let words = ["run", "-d", "--name", "slow"];
    let run = world.command([&words, flags, &["busybox", "sleep", "1000"]].concat());
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=pivot_root"]);
    strace.args(["-e", "inject=pivot_root:delay_enter=1500000"]);
    strace.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        strace.env(name, value.unwrap());
    }
    let running = soute_tests::Running::start(strace.stdin(std::process::Stdio::null()));
    let folder = world.run().join("containers");
    // There is a first process by now: it is noted.
    soute_tests::wait_until("it has begun", || {
        std::fs::read_dir(&folder).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.path().join("starting.json").exists())
        })
    });
    running
}

/// `exec` waits until the container runs; it does not enter what is still the machine's. The defence is that the
/// monitor notes a container as running only when its program runs (`Running::has_started` in the engine's record.rs).
#[test]
fn nobody_enters_a_container_that_is_being_made() {
    let world = World::new();
    let secret = world.path("secret");
    std::fs::write(&secret, "SECRET").unwrap();
    let secret = secret.to_str().unwrap();
    for userns in ["auto", "host"] {
        let started = start_slowly(&world, &["--userns", userns]);
        let look = format!("cat {secret}; hostname; readlink /proc/self/ns/net");
        let seen = output(&mut world.command(["exec", "slow", "sh", "-c", &look]));
        seen.shows_not("SECRET");
        let machine = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        seen.shows_not(machine.to_str().unwrap()).shows("net:");
        // strace follows the container, too.
        world.soute(["rm", "-f", "slow"]).success();
        started.outcome().success();
    }
}

/// The same for whoever joins its network.
#[test]
fn nobody_joins_a_network_that_is_not_there_yet() {
    let world = World::new();
    let started = start_slowly(&world, &[]);
    let look = "readlink /proc/self/ns/net";
    let guest = world.sh(&["--network", "container:slow"], look);
    let first = world.soute(["exec", "slow", "sh", "-c", look]);
    assert_eq!(guest.text(), first.text());
    world.soute(["rm", "-f", "slow"]).success();
    started.outcome().success();
}
