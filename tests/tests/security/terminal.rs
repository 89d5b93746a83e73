//! The caller's terminal.

use crate::attack::{Attack, USER_NAMESPACES};

/// CVE-2017-5226: a program types into the terminal that it shares with its caller, who executes it when the container
/// is gone. The defence is `setsid` in the runtime's process/enter.rs, for `exec` without -t, which has the caller's
/// terminal itself; what `run` starts has pipes, or a terminal of its own.
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
            code == 0 && text.contains("0: denied") && !text.contains("INJECTED"),
            "{text}"
        );
        attack.world.soute(["rm", "-f", "box"]).success();
        let flags = ["--rm", "-i", "--userns", userns];
        let mut run = attack.world.terminal(attack.words(&flags, &["inject"]));
        let (code, text) = run.finish();
        assert!(code == 0 && text.contains("0: no terminal"), "{text}");
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
