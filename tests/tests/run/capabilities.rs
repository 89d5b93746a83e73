//! What the program may do: capabilities, no_new_privs.

use soute_tests::{Outcome, World};

/// Docker's default set.
const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];
/// The same as the kernel shows it.
const DEFAULT_MASK: u64 = 0xa804_25fb;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;

/// A set of /proc/self/status.
#[track_caller]
fn set(outcome: &Outcome, name: &str) -> u64 {
    let line = outcome
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    u64::from_str_radix(
        line.unwrap_or_else(|| panic!("no {name} in {outcome}"))
            .trim(),
        16,
    )
    .unwrap()
}

fn status(world: &World, flags: &[&str]) -> Outcome {
    world.sh(flags, "cat /proc/self/status")
}

#[test]
fn the_default_set_is_dockers() {
    let world = World::new();
    let status = status(&world, &[]);
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(&status, name), DEFAULT_MASK, "{name}");
    }
    // Nothing is inherited by a program that was not given it (CVE-2022-24769).
    assert_eq!((set(&status, "CapInh"), set(&status, "CapAmb")), (0, 0));
    status.shows("NoNewPrivs:\t0").shows("Seccomp:\t2");
}

#[test]
fn some_are_added_and_dropped() {
    let world = World::new();
    for (flags, expected) in [
        (&["--cap-add", "NET_ADMIN"][..], DEFAULT_MASK | NET_ADMIN),
        (
            &["--cap-add", "cap_net_admin", "--cap-drop", "CHOWN"],
            (DEFAULT_MASK | NET_ADMIN) & !1,
        ),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop", "all", "--cap-add", "SYS_ADMIN"], SYS_ADMIN),
    ] {
        let status = status(&world, flags);
        assert_eq!(
            (set(&status, "CapEff"), set(&status, "CapBnd")),
            (expected, expected),
            "{flags:?}"
        );
    }
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let all = u64::MAX >> (63 - last);
    assert_eq!(set(&status(&world, &["--cap-add", "ALL"]), "CapEff"), all);
    assert_eq!(
        set(
            &status(&world, &["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"]),
            "CapEff"
        ),
        all & !SYS_ADMIN
    );
}

#[test]
fn an_unknown_one_is_refused() {
    let world = World::new();
    for flag in ["--cap-add", "--cap-drop"] {
        let outcome = world.sh(&[flag, "FLY"], "true");
        outcome.code(125);
        assert!(
            outcome.stderr.to_ascii_uppercase().contains("FLY"),
            "{outcome}"
        );
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn inspect_says_exactly_what_the_kernel_does() {
    let world = World::new();
    let id = world.detached(["busybox", "sleep", "1000"]);
    let names: Vec<String> =
        serde_json::from_value(world.inspect(&id)["Isolation"]["Capabilities"].clone()).unwrap();
    let mut expected = DEFAULT.to_vec();
    let mut told: Vec<&str> = names.iter().map(String::as_str).collect();
    expected.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn no_new_privileges_means_that_no_program_gains_any() {
    let world = World::new();
    let debian = World::debian();
    let suid = |flags: &[&str]| {
        let script = "cp /usr/bin/id /id; chmod 4755 /id; setpriv --reuid 1000 --regid 1000 --clear-groups /id -u";
        let words = [&["run", "--rm"], flags, &["debian", "sh", "-c", script]].concat();
        debian.soute(words).text().to_owned()
    };
    assert_eq!(suid(&[]), "0");
    assert_eq!(suid(&["--security-opt", "no-new-privileges"]), "1000");
    status(&world, &["--security-opt", "no-new-privileges"])
        .shows("NoNewPrivs:\t1")
        .shows("Seccomp:\t2");
}

#[test]
fn what_the_set_does_not_hold_is_refused_by_the_kernel() {
    let world = World::new();
    let script = "mount -t tmpfs none /tmp || echo no mount; hostname x || echo no name; chown user /tmp && echo chown";
    world.sh(&[], script).prints("no mount\nno name\nchown");
    world
        .sh(&["--cap-drop", "CHOWN"], "chown user /tmp || echo no chown")
        .prints("no chown");
    // Own namespaces, own rights: with the capability it works, and for the container alone.
    world
        .sh(
            &["--cap-add", "SYS_ADMIN"],
            "mount -t tmpfs none /tmp && echo mounted; hostname x && hostname",
        )
        .prints("mounted\nx");
    world.assert_mounts_unchanged();
}
