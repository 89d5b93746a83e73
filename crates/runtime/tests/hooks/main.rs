//! Hooks: what they are given, what is told of them, and what none of them can do to its caller. Needs root.

#[path = "../alone/mod.rs"]
mod alone;

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions};
use soute_runtime::capabilities::CapSet;
use soute_runtime::hooks::{End, Hook, HookError, Tree, run};
use soute_runtime::seccomp::{Filter, KernelVersion};
use soute_sys::process::{Cloned, clone3, exit_now, flags};

fn main() {
    let tests: [(&str, fn()); 13] = [
        (
            "state_arguments_and_environment",
            state_arguments_and_environment,
        ),
        ("no_arguments_mean_the_path", no_arguments_mean_the_path),
        ("no_descriptor_is_leaked", no_descriptor_is_leaked),
        (
            "signals_and_umask_are_a_programs",
            signals_and_umask_are_a_programs,
        ),
        (
            "a_failure_is_told_with_what_it_wrote",
            a_failure_is_told_with_what_it_wrote,
        ),
        (
            "one_that_cannot_be_executed_is_told",
            one_that_cannot_be_executed_is_told,
        ),
        ("impossible_ones_are_refused", impossible_ones_are_refused),
        ("a_timeout_kills_all_of_it", a_timeout_kills_all_of_it),
        (
            "floods_and_closed_ears_hold_nobody_up",
            floods_and_closed_ears_hold_nobody_up,
        ),
        (
            "a_daemon_left_behind_holds_nobody_up",
            a_daemon_left_behind_holds_nobody_up,
        ),
        (
            "in_a_pid_namespace_without_zombies",
            in_a_pid_namespace_without_zombies,
        ),
        (
            "under_dockers_system_call_filter",
            under_dockers_system_call_filter,
        ),
        (
            "a_container_cannot_name_the_engine",
            a_container_cannot_name_the_engine,
        ),
    ];
    alone::run(tests).exit();
}

fn shell(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: vec!["sh".into(), "-c".into(), script.into()],
        env: vec!["PATH=/usr/bin:/bin".into()],
        timeout: Some(20),
    }
}

fn wrote(hook: &Hook, state: &str) -> String {
    let mut hook = hook.clone();
    if let Some(script) = hook.args.last_mut() {
        script.push_str("\nexit 1");
    }
    match run(&hook, state, Tree::Machine) {
        Err(HookError::Failed { output, .. }) => output,
        other => panic!("{other:?}"),
    }
}

fn state_arguments_and_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut hook = shell(r#"cat /dev/stdin > "$1"; env >> "$1"; echo "$0" >> "$1""#);
    hook.args.push("zero".into());
    hook.args.push(file.path().to_str().unwrap().into());
    hook.env = vec!["A=1".into(), "PATH=/usr/bin:/bin".into()];
    // Longer than any pipe.
    let state = "s".repeat(1 << 20);
    run(&hook, &state, Tree::Machine).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    let (begun, rest) = text.split_at(state.len());
    assert_eq!(begun, state);
    let mut lines: Vec<&str> = rest.lines().filter(|l| !l.starts_with("PWD=")).collect();
    lines.retain(|l| !l.starts_with("_=") && !l.starts_with("SHLVL=") && !l.starts_with("OLDPWD="));
    assert_eq!(lines, ["A=1", "PATH=/usr/bin:/bin", "zero"]);
}

fn no_arguments_mean_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hook");
    script(&path, "#!/bin/sh\necho \"$0 $#\"\nexit 1\n");
    let hook = Hook {
        path: path.to_str().unwrap().into(),
        ..Hook::default()
    };
    let Err(HookError::Failed { output, .. }) = run(&hook, "", Tree::Machine) else {
        panic!();
    };
    assert_eq!(output, format!("{} 0", path.display()));
}

fn no_descriptor_is_leaked() {
    // One that is not close-on-exec, as a careless caller leaves it.
    let file = fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let listed = wrote(&shell("ls /proc/$$/fd"), "{}");
    let listed: BTreeSet<&str> = listed.split_whitespace().collect();
    assert_eq!(listed, BTreeSet::from(["0", "1", "2"]));
    let before = descriptors();
    run(&shell("exit 0"), "{}", Tree::Machine).unwrap();
    assert_eq!(descriptors(), before, "the caller keeps one");
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn signals_and_umask_are_a_programs() {
    let old = rustix::process::umask(rustix::fs::Mode::empty());
    // Not those of the shell, which blocks signals while it makes a process.
    let text = wrote(
        &shell("umask; grep -E 'Sig(Blk|Ign)' /proc/self/status"),
        "{}",
    );
    rustix::process::umask(old);
    assert!(text.starts_with("0022"), "{text}");
    let masks: Vec<&str> = text.split_whitespace().filter(|w| w.len() == 16).collect();
    assert_eq!(masks, ["0000000000000000"; 2], "{text}");
}

fn a_failure_is_told_with_what_it_wrote() {
    let hook = shell("echo out; echo err >&2; exit 3");
    let error = run(&hook, "{}", Tree::Machine).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hook \"/bin/sh\": exit status 3; it wrote: out\nerr"
    );
    match run(&shell("kill -9 $$"), "{}", Tree::Machine) {
        Err(HookError::Failed {
            end: End::Signal(9),
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

fn one_that_cannot_be_executed_is_told() {
    for (path, why) in [
        ("/nonexistent/hook", "No such file"),
        ("/etc/passwd", "Permission denied"),
        ("/tmp", "Permission denied"),
    ] {
        let hook = Hook {
            path: path.into(),
            ..Hook::default()
        };
        match run(&hook, "{}", Tree::Machine) {
            Err(e @ HookError::NotExecuted { .. }) => {
                let text = e.to_string();
                assert!(
                    text.contains(why) && text.contains(&format!("execve({path:?})")),
                    "{text}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

fn impossible_ones_are_refused() {
    let refused = |hook: Hook| {
        hook.check().unwrap_err();
        assert!(matches!(
            run(&hook, "{}", Tree::Machine),
            Err(HookError::Invalid { .. })
        ));
    };
    refused(Hook {
        path: "bin/sh".into(),
        ..Hook::default()
    });
    refused(Hook {
        path: String::new(),
        ..Hook::default()
    });
    refused(Hook {
        timeout: Some(0),
        ..shell("")
    });
    refused(Hook {
        timeout: Some(-1),
        ..shell("")
    });
    refused(Hook {
        env: vec!["a\0b".into()],
        ..shell("")
    });
    shell("").check().unwrap();
    // Longer than any clock: never.
    run(
        &Hook {
            timeout: Some(i64::MAX),
            ..shell("exit 0")
        },
        "",
        Tree::Machine,
    )
    .unwrap();
}

fn a_timeout_kills_all_of_it() {
    let mark = format!("30.{}", std::process::id());
    let started = Instant::now();
    let hook = Hook {
        timeout: Some(1),
        ..shell(&format!("echo waiting; sleep {mark} & sleep {mark}"))
    };
    let error = run(&hook, "{}", Tree::Machine).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hook \"/bin/sh\" was killed after its timeout of 1 s; it wrote: waiting"
    );
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_no_child();
    // The orphan is another's child, who takes a moment to reap it.
    let running = || {
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|c| c.contains(&mark))
        })
    };
    while running() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "a child was not killed"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn floods_and_closed_ears_hold_nobody_up() {
    // Never reads its input.
    run(&shell("exit 0"), &"x".repeat(1 << 20), Tree::Machine).unwrap();
    // Writes much more than is kept.
    let text = wrote(
        &shell("head -c 5000000 /dev/zero | tr '\\0' y; echo end"),
        "{}",
    );
    assert!(
        text.ends_with("yend") && text.len() < 4096,
        "{}",
        text.len()
    );
    // Floods for ever.
    let started = Instant::now();
    let hook = Hook {
        timeout: Some(1),
        ..shell("exec cat /dev/zero")
    };
    assert!(matches!(
        run(&hook, "{}", Tree::Machine),
        Err(HookError::TimedOut { .. })
    ));
    assert!(started.elapsed() < Duration::from_secs(5));
    // Closes its output and works on.
    let started = Instant::now();
    run(&shell("exec >&- 2>&-; sleep 0.3"), "{}", Tree::Machine).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_no_child();
}

fn a_daemon_left_behind_holds_nobody_up() {
    let started = Instant::now();
    run(&shell("sleep 3 & exit 0"), "{}", Tree::Machine).unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
}

fn in_a_pid_namespace_without_zombies() {
    let spaces = flags::NEWPID | flags::NEWNS | flags::NEWUTS;
    let Cloned::Parent { pidfd, .. } = clone3(spaces, None)
        .map(|cloned| match cloned {
            Cloned::Child => exit_now(first_process()),
            parent => parent,
        })
        .unwrap()
    else {
        unreachable!()
    };
    let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    assert_eq!(status.unwrap().unwrap().exit_status(), Some(0));
}

/// PID 1: as the container's first process. Returns the exit status, which tells what was wrong.
fn first_process() -> i32 {
    // Orphans that have ended before their leader come to PID 1 as zombies.
    let orphans = shell("(sleep 0.1 &) ; (true &) ; sleep 0.3; hostname hook; [ $$ -gt 1 ]");
    if let Err(e) = run(&orphans, "{}", Tree::Machine) {
        eprintln!("{e}");
        return 1;
    }
    if rustix::system::uname().nodename().to_bytes() != b"hook" {
        return 2;
    }
    let slow = Hook {
        timeout: Some(1),
        ..shell("(sleep 9 &) ; sleep 9")
    };
    if !matches!(
        run(&slow, "{}", Tree::Machine),
        Err(HookError::TimedOut { .. })
    ) {
        return 3;
    }
    // Those who were killed may take a moment to end; none is left by the next hook.
    std::thread::sleep(Duration::from_millis(100));
    if run(&shell("exit 0"), "{}", Tree::Machine).is_err() {
        return 4;
    }
    let anyone =
        rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    if anyone.is_err() { 0 } else { 5 }
}

/// startContainer hooks run when the container's filter is there already; Docker's knows neither clone3 nor, without
/// CAP_SYS_ADMIN, unshare.
fn under_dockers_system_call_filter() {
    let filter =
        Filter::docker_default(CapSet::default(), KernelVersion::current().unwrap()).unwrap();
    let Cloned::Parent { pidfd, .. } = clone3(flags::NEWPID, None)
        .map(|cloned| match cloned {
            Cloned::Child => {
                rustix::thread::set_no_new_privs(true).unwrap();
                filter.load().unwrap();
                let slow = Hook {
                    timeout: Some(1),
                    ..shell("sleep 9")
                };
                let ran = run(&shell("exit 0"), "{}", Tree::Container);
                let killed = run(&slow, "{}", Tree::Container);
                let right = ran.is_ok() && matches!(killed, Err(HookError::TimedOut { .. }));
                if !right {
                    eprintln!("{ran:?} {killed:?}");
                }
                exit_now(i32::from(!right))
            }
            parent => parent,
        })
        .unwrap()
    else {
        unreachable!()
    };
    let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    assert_eq!(status.unwrap().unwrap().exit_status(), Some(0));
}

fn a_container_cannot_name_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("hook");
    symlink("/proc/self/exe", &link).unwrap();
    let hook = Hook {
        path: link.to_str().unwrap().into(),
        args: vec!["x".into(), "--list".into()],
        ..Hook::default()
    };
    let error = run(&hook, "{}", Tree::Container).unwrap_err();
    assert!(matches!(error, HookError::NotExecuted { .. }), "{error}");
    // The machine's own configuration may.
    run(&hook, "{}", Tree::Machine).unwrap();
}

fn assert_no_child() {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    assert!(rustix::process::waitid(WaitId::All, ended).is_err());
}

fn script(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
