//! The caller's terminal.

use crate::attack::{Attack, USER_NAMESPACES};

/// CVE-2017-5226: a program types into the terminal that it shares with its caller, who executes it when the container
/// is gone. Here a program has pipes, or a terminal of its own (and `setsid`, in the runtime's process/enter.rs and
/// init.rs, would keep it from having the caller's for its controlling terminal).
#[test]
fn nothing_is_typed_for_the_caller() {
    let attack = Attack::new();
    attack.program("inject", include_str!("programs/inject.c"));
    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
    // A kernel that forbids it altogether shows nothing of the defence.
    assert!(
        allowed.is_err() || allowed.unwrap().trim() == "1",
        "dev.tty.legacy_tiocsti is 0"
    );
    for userns in USER_NAMESPACES {
        let flags = ["--userns", userns];
        attack.start(
            "box",
            &flags,
            &["sh", "-c", "echo up; exec sleep 1000"],
            "up",
        );
        let mut exec = attack.world.terminal(["exec", "-i", "box", "inject"]);
        let (code, text) = exec.finish();
        assert!(
            code == 0 && text.contains("0: no terminal") && !text.contains("INJECTED"),
            "{text}"
        );
        attack.world.soute(["rm", "-f", "box"]).success();
        let flags = ["--rm", "-i", "--userns", userns];
        let mut run = attack.world.terminal(attack.words(&flags, &["inject"]));
        let (code, text) = run.finish();
        assert!(code == 0 && text.contains("0: no terminal"), "{text}");
    }
}

/// Who has the caller's terminal open reads what is typed there when the program has long ended, and changes its modes.
/// Nor is it, with the machine's users, given to the container's user. The defence is `may_be_given` in
/// commands/exec.rs, and that the runtime's process/stdio.rs gives away only what it made.
#[test]
fn the_callers_terminal_stays_the_callers() {
    let attack = Attack::new();
    let script =
        "for n in 0 1 2; do readlink /proc/self/fd/$n; done; cat; sleep 1000 & echo end >&2";
    for userns in USER_NAMESPACES {
        let flags = ["--userns", userns];
        attack.start(
            "box",
            &flags,
            &["sh", "-c", "echo up; exec sleep 1000"],
            "up",
        );
        for user in ["0", "1000"] {
            let mut exec = attack
                .world
                .terminal(["exec", "-i", "-u", user, "box", "sh", "-c", script]);
            let owner = exec.owner();
            for _ in 0..3 {
                exec.expect("pipe:");
            }
            exec.send("typed\r");
            // Once as its echo, once from the program.
            exec.expect("typed");
            exec.expect("typed");
            exec.send("\x04");
            let (code, text) = exec.finish();
            assert!(code == 0 && text.contains("end"), "{text}");
            assert_eq!(exec.owner(), owner);
        }
        attack.world.soute(["rm", "-f", "box"]).success();
    }
}

/// CVE-2025-52565: while /dev/console is made, the terminal behind it is exchanged. Here the container's devpts and /dev
/// are new, and the terminal comes by TIOCGPTPEER: the image has no say (the runtime's process/console.rs).
#[test]
fn the_console_is_its_own_terminal() {
    let attack = Attack::new();
    attack.link("dev/console", attack.outside.join("secret"));
    attack.link("dev/ptmx", "/proc/sysrq-trigger");
    let script = "stat -c %t:%T /dev/console; tty; ls /dev/pts";
    let mut terminal = attack
        .world
        .terminal(attack.words(&["--rm", "-t"], &["sh", "-c", script]));
    let (code, text) = terminal.finish();
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("88:0") && text.contains("/dev/pts/0"),
        "{text}"
    );
    attack.assert_outside_untouched();
}
