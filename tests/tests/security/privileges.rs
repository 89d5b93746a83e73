//! What a process in a container may do.

use std::process::Command;

use soute_tests::{Outcome, output};

use crate::attack::{Attack, USER_NAMESPACES};

/// Docker's default set.
const DEFAULT: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";

/// The five sets of a `cat /proc/self/status`: inheritable, permitted, effective, bounding, ambient.
#[track_caller]
fn sets(outcome: &Outcome) -> [String; 5] {
    let text = outcome.text();
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|name| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    })
}

/// CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: inheritable capabilities, which a program with file capabilities
/// takes up. The defence is the runtime's capabilities.rs, `apply` and `apply_bounding`, on the one way that run and exec
/// have in common.
#[test]
fn sets_are_exact_in_run_and_exec() {
    let attack = Attack::new();
    let status = ["cat", "/proc/self/status"];
    let net_raw = "0000000000002000";
    for userns in USER_NAMESPACES {
        for (flags, user, expected) in [
            (&[][..], "0", [NONE, DEFAULT, DEFAULT, DEFAULT, NONE]),
            (&[], "1000", [NONE, NONE, NONE, DEFAULT, NONE]),
            (
                &["--cap-drop", "ALL", "--cap-add", "NET_RAW"],
                "0",
                [NONE, net_raw, net_raw, net_raw, NONE],
            ),
            (&["--cap-drop", "ALL"], "0", [NONE; 5]),
        ] {
            let flags = [&["--userns", userns, "--user", user], flags].concat();
            assert_eq!(sets(&attack.run(&flags, &status)), expected, "{flags:?}");
            let sleep = ["sh", "-c", "echo up; exec sleep 1000"];
            attack.start("box", &flags, &sleep, "up");
            let exec = attack.world.soute([&["exec", "box"], &status[..]].concat());
            assert_eq!(sets(&exec), expected, "exec, {flags:?}");
            attack.world.soute(["rm", "-f", "box"]).success();
        }
    }
}

/// What stays PID 1 with `--init` is soute's own, and needs to signal the program, no more. The defence is `apply` in
/// the runtime's process/reaper.rs.
#[test]
fn the_reaper_can_kill_and_nothing_else() {
    let attack = Attack::new();
    let kill = "0000000000000020";
    for userns in USER_NAMESPACES {
        let flags = ["--init", "--userns", userns];
        let [inheritable, permitted, effective, _, ambient] =
            sets(&attack.run(&flags, &["cat", "/proc/1/status"]));
        assert_eq!(
            [inheritable, permitted, effective, ambient],
            [NONE, kill, kill, NONE]
        );
        let script =
            "cat /proc/1/environ || readlink /proc/1/fd/0 || readlink /proc/1/exe || echo hidden";
        let outcome = attack.run(&flags, &["sh", "-c", script]);
        outcome.success().prints("hidden");
    }
}

/// The caller's own sets are not passed on, whatever they are.
#[test]
fn the_callers_sets_do_not_matter() {
    let attack = Attack::new();
    let words = attack.words(&["--rm"], &["cat", "/proc/self/status"]);
    let run = attack.world.command(words);
    let mut caller = Command::new("setpriv");
    caller.args(["--inh-caps=+sys_admin,+net_raw,+chown"]);
    caller.args(["--ambient-caps=+sys_admin,+net_raw"]);
    caller.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        caller.env(name, value.unwrap());
    }
    let expected = [NONE, DEFAULT, DEFAULT, DEFAULT, NONE];
    assert_eq!(sets(&output(&mut caller)), expected);
}

/// Its root is nobody on the machine, knows so, and cannot change it. The defence is the range of its own
/// (the engine's subids.rs).
#[test]
fn its_root_is_nobody_outside() {
    let attack = Attack::new();
    let script = "cat /proc/self/uid_map /proc/self/gid_map; echo '0 0 1' > /proc/self/uid_map || echo fixed";
    let outcome = attack.run(&[], &["sh", "-c", script]);
    let words: Vec<_> = outcome.text().split_whitespace().collect();
    assert_eq!(
        [words[0], words[2], words[3], words[5]],
        ["0", "65536", "0", "65536"]
    );
    let first: u64 = words[1].parse().unwrap();
    assert!(first >= 0x7000_0000 && words[1] == words[4], "{outcome}");
    assert_eq!(words[6], "fixed", "{outcome}");
    // A file of the machine's root is not its own, in a bind too.
    let bind = format!("{}:/outside", attack.outside.display());
    std::fs::set_permissions(
        attack.outside.join("secret"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    attack
        .run(&["-v", &bind], &["cat", "/outside/secret"])
        .fails(1, &["Permission denied"]);
}

/// New namespaces would give it all capabilities over them, and the kernel's less tried corners. The defence is the
/// system-call filter.
#[test]
fn no_new_namespaces_no_mounts() {
    let attack = Attack::new();
    for userns in USER_NAMESPACES {
        for command in [
            &["unshare", "-U", "true"][..],
            &["unshare", "-m", "true"],
            &["mount", "-t", "tmpfs", "x", "/mnt"],
            &["mount", "-t", "proc", "x", "/proc"],
            &["mount", "-o", "remount,rw", "/sys"],
            &["mount", "-o", "remount,bind,rw", "/proc/sys"],
            &["mount", "--bind", "/", "/mnt"],
            &["umount", "/proc/sys"],
            &["umount", "/proc/kcore"],
            &["umount", "-l", "/sys/firmware"],
            &["umount", "-l", "/etc/hosts"],
            &["pivot_root", "/", "/mnt"],
        ] {
            let outcome = attack.run(&["--userns", userns], command);
            assert_ne!(outcome.code, 0, "{outcome}");
            let refused = outcome.stderr.contains("not permitted")
                || outcome.stderr.contains("denied")
                || outcome.stderr.contains("must be superuser");
            assert!(refused, "{outcome}");
        }
    }
}

/// Files made by a program are not everybody's to write. The defence is `umask` in the runtime's
/// process/privileges.rs.
#[test]
fn the_umask_is_a_logins() {
    let attack = Attack::new();
    attack
        .run(&[], &["sh", "-c", "umask"])
        .success()
        .prints("0022");
    attack.start("box", &[], &["sh", "-c", "echo up; exec sleep 1000"], "up");
    let exec = attack.world.soute(["exec", "box", "sh", "-c", "umask"]);
    exec.success().prints("0022");
}
