//! Limits of each process, kernel parameters, the OOM score.

use soute_tests::World;

#[test]
fn limits_of_the_process() {
    let world = World::new();
    world
        .sh(
            &[
                "--ulimit",
                "nofile=100:200",
                "--ulimit",
                "core=0",
                "--ulimit",
                "nproc=512",
            ],
            "ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -u",
        )
        .prints("100\n200\n0\n512");
    // A later one replaces an earlier one.
    world
        .sh(
            &["--ulimit", "nofile=100", "--ulimit", "nofile=50"],
            "ulimit -n",
        )
        .prints("50");
    let limits = world.soute([
        "run",
        "--rm",
        "--ulimit",
        "stack=1048576:-1",
        "busybox",
        "cat",
        "/proc/self/limits",
    ]);
    let stack: Vec<&str> = limits
        .text()
        .lines()
        .find(|line| line.starts_with("Max stack"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(stack[3..5], ["1048576", "unlimited"]);
}

#[test]
fn limits_that_are_none_are_refused() {
    let world = World::new();
    for limit in ["nofile=200:100", "no-such=1", "nofile", "nofile=a"] {
        world.sh(&["--ulimit", limit], "true").code(125);
    }
}

#[test]
fn kernel_parameters_of_the_containers_own_namespaces() {
    let world = World::new();
    let before = std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap();
    let flags = [
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=80",
        "--sysctl",
        "kernel.shm_rmid_forced=1",
        "--sysctl",
        "kernel.msgmax=4096",
    ];
    let script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced /proc/sys/kernel/msgmax";
    world.sh(&flags, script).prints("80\n1\n4096");
    assert_eq!(
        std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap(),
        before
    );
    // Set, and yet not to be changed from inside.
    world
        .sh(
            &flags,
            "echo 1 > /proc/sys/net/ipv4/ip_unprivileged_port_start || echo refused",
        )
        .prints("refused");
}

#[test]
fn kernel_parameters_of_the_machine_are_refused() {
    let world = World::new();
    for (flags, name) in [
        (&["--sysctl", "kernel.panic=1"][..], "kernel.panic"),
        (&["--sysctl", "vm.swappiness=1"], "vm.swappiness"),
        (
            &["--sysctl", "net.ipv4.ip_forward=1", "--network", "host"],
            "net.ipv4.ip_forward",
        ),
        (
            &["--sysctl", "kernel.shm_rmid_forced=1", "--ipc", "host"],
            "kernel.shm_rmid_forced",
        ),
        (&["--sysctl", "net/../kernel/panic=1"], "panic"),
    ] {
        let outcome = world.sh(flags, "true");
        outcome.code(125);
        assert!(outcome.stderr.contains(name), "{outcome}");
    }
    let outcome = world.sh(&["--sysctl", "net.no.such.thing=1"], "true");
    outcome.code(125);
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn the_kernels_choice_when_memory_is_short() {
    let world = World::new();
    for score in ["500", "0"] {
        world
            .sh(&["--oom-score-adj", score], "cat /proc/self/oom_score_adj")
            .prints(score);
    }
    // Root itself may be without the right to protect anything.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"))
        .unwrap();
    const SYS_RESOURCE: u64 = 1 << 24;
    let outcome = world.sh(&["--oom-score-adj", "-10"], "cat /proc/self/oom_score_adj");
    if u64::from_str_radix(effective, 16).unwrap() & SYS_RESOURCE != 0 {
        outcome.prints("-10");
    } else {
        outcome.code(125);
        assert!(outcome.stderr.contains("CAP_SYS_RESOURCE"), "{outcome}");
    }
    world.sh(&["--oom-score-adj", "1001"], "true").code(125);
}
