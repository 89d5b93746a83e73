//! A process that enters shows nothing before it is the program.

use std::process::Command;

use soute_tests::output;

use super::{program, with_descriptors};
use crate::bench::Bench;
use crate::case::cases;
use crate::namespaces::mapped;

cases![
    the_callers_environment_stays_behind,
    the_callers_folders_stay_behind,
    the_callers_keyring_stays_behind,
];

/// CVE-2016-9962: between its entry and execve, a process has the runtime's memory. With as many folders in the PATH as
/// fit, the last moment of it is long. The defence is `NotDumpable` in process/privileges.rs. (Without a user namespace,
/// CAP_SYS_PTRACE is the machine's own, and looks into everything.)
fn the_callers_environment_stays_behind(bench: &mut Bench) {
    let path: String = (0..4000).map(|n| format!("/none/{n:05}:")).collect();
    let path = format!("PATH={path}/bin");
    for (user_namespace, capability) in [
        (true, "CAP_CHOWN"),
        (true, "CAP_SYS_PTRACE"),
        (false, "CAP_CHOWN"),
    ] {
        let mut bundle = bench.bundle();
        let source = include_str!("../../security/programs/peek.c");
        program(bench, &bundle, "peek", source);
        if user_namespace {
            mapped(&mut bundle);
        }
        bundle.capabilities(&[capability]);
        bundle.args(&["peek", "CALLERS_SECRET"]);
        let id = bench.start(&bundle);
        bench.hears(&id, "waiting");
        for _ in 0..10 {
            let mut exec = bench.command(&["exec", "--env", &path, &id, "true"]);
            output(exec.env("CALLERS_SECRET", "1")).success();
        }
        // It does see what it may.
        let exec = ["exec", "--env", "NOT_CALLERS_SECRET=1", &id, "sleep", "1"];
        bench.call(&exec).success();
        bench.hears(&id, "SEEN NOT_CALLERS_SECRET");
        let said = bench.said(&id);
        assert!(!said.contains("SEEN CALLERS_SECRET"), "{said}");
    }
}

/// What enters has folders of the machine's open, by which the machine could be reached. With CAP_SYS_PTRACE and without
/// a user namespace, a program inside may follow them. The defence is that they are closed before the clone that makes
/// the process visible, in process/enter.rs: without that line it gets hold of the caller's.
fn the_callers_folders_stay_behind(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = include_str!("../programs/grab.c");
    program(bench, &bundle, "grab", source);
    bundle.capabilities(&["CAP_SYS_PTRACE"]);
    bundle.args(&["grab"]);
    let id = bench.start(&bundle);
    bench.hears(&id, "waiting");
    for _ in 0..200 {
        let exec = bench.command(&["exec", &id, "true"]);
        output(&mut with_descriptors(&exec, "/var/tmp".as_ref())).success();
    }
    let said = bench.said(&id);
    assert!(!said.contains("GRABBED"), "{said}");
}

/// Whoever possesses a session keyring may use its keys, whatever it may otherwise. The defence is
/// `new_session_keyring` in process/privileges.rs.
fn the_callers_keyring_stays_behind(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = include_str!("../../security/programs/keyring.c");
    let keyring = program(bench, &bundle, "keyring", source);
    let by_caller = |command: &Command| {
        let mut caller = Command::new(&keyring);
        caller.arg("give").arg(command.get_program());
        caller.args(command.get_args());
        for (name, value) in command.get_envs() {
            caller.env(name, value.expect("variables are only set"));
        }
        output(&mut caller)
    };
    // It is the caller's, indeed.
    let mut take = Command::new(&keyring);
    by_caller(take.arg("take")).success().prints("key: SECRET");
    bundle.args(&["keyring", "take"]);
    bundle.write();
    let id = bench.id();
    let at = bundle.folder().display().to_string();
    by_caller(&bench.command(&["run", "--bundle", &at, &id]))
        .success()
        .shows("no key:");
    bundle.args(&["sleep", "1000"]);
    let id = bench.start(&bundle);
    by_caller(&bench.command(&["exec", &id, "keyring", "take"]))
        .success()
        .shows("no key:");
}
