//! What a program may do.

use std::process::Command;

use serde_json::json;
use soute_tests::{Outcome, output};

use super::{program, set_mode};
use crate::bench::Bench;
use crate::case::cases;
use crate::namespaces::mapped;

cases![
    sets_are_exact_in_run_and_exec,
    exec_adds_nothing_inheritable,
    the_callers_sets_do_not_matter,
    no_new_privileges_holds_in_run_and_exec,
];

const NONE: &str = "0000000000000000";
const NET_RAW: &str = "0000000000002000";

/// The five sets of a `cat /proc/self/status`: inheritable, permitted, effective, bounding, ambient.
#[track_caller]
fn sets(outcome: &Outcome) -> [String; 5] {
    let text = outcome.text();
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|name| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    })
}

const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

/// CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: inheritable capabilities, which a program with file capabilities
/// takes up. The defence is `apply` in capabilities.rs, on the one way that create and exec have in common.
fn sets_are_exact_in_run_and_exec(bench: &mut Bench) {
    for user_namespace in [false, true] {
        for (uid, expected) in [
            (0, [NONE, NET_RAW, NET_RAW, NET_RAW, NONE]),
            (1000, [NONE, NONE, NONE, NET_RAW, NONE]),
        ] {
            let mut bundle = bench.bundle();
            if user_namespace {
                mapped(&mut bundle);
            }
            bundle.capabilities(&["CAP_NET_RAW"]);
            bundle.set("/process/user", json!({"uid": uid, "gid": uid}));
            bundle.args(&STATUS);
            assert_eq!(sets(&bench.run(&bundle)), expected, "uid {uid}");
            bundle.args(&["sleep", "1000"]);
            let id = bench.start(&bundle);
            assert_eq!(sets(&bench.exec(&id, &STATUS)), expected, "exec, uid {uid}");
        }
    }
}

/// `exec --cap` is more, and not for what the program executes. The defence is `add_capabilities` in
/// crates/soute/src/runtime/exec.rs.
fn exec_adds_nothing_inheritable(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.capabilities(&["CAP_NET_RAW"]);
    let id = bench.start(&bundle);
    let outcome = bench.call(&[&["exec", "--cap", "CAP_SYS_ADMIN", &id], &STATUS[..]].concat());
    let both = "0000000000202000";
    assert_eq!(sets(&outcome), [NONE, both, both, both, NONE]);
}

/// The caller's own sets are not passed on, whatever they are. The defence is the same line: without it the program has
/// them inheritable.
fn the_callers_sets_do_not_matter(bench: &mut Bench) {
    let by_caller = |command: &Command| {
        let mut caller = Command::new("setpriv");
        caller.args(["--inh-caps=+sys_admin,+net_raw,+chown"]);
        caller.args(["--ambient-caps=+sys_admin,+net_raw"]);
        caller.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            caller.env(name, value.expect("variables are only set"));
        }
        output(&mut caller)
    };
    let expected = [NONE, NET_RAW, NET_RAW, NET_RAW, NONE];
    let mut bundle = bench.bundle();
    bundle.capabilities(&["CAP_NET_RAW"]).args(&STATUS).write();
    let at = bundle.folder().display().to_string();
    let id = bench.id();
    let run = bench.command(&["run", "--bundle", &at, &id]);
    assert_eq!(sets(&by_caller(&run)), expected);
    bundle.args(&["sleep", "1000"]);
    let id = bench.start(&bundle);
    let exec = bench.command(&[&["exec", &id], &STATUS[..]].concat());
    assert_eq!(sets(&by_caller(&exec)), expected);
}

/// Programs that their owner's rights come with. The defence is `set_no_new_privs` in process/privileges.rs.
fn no_new_privileges_holds_in_run_and_exec(bench: &mut Bench) {
    for (no_new_privileges, effective) in [(true, 1000), (false, 0)] {
        let mut bundle = bench.bundle();
        let source = include_str!("../../security/programs/identity.c");
        let identity = program(bench, &bundle, "identity", source);
        set_mode(&identity, 0o4755);
        bundle.set("/process/noNewPrivileges", json!(no_new_privileges));
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        bundle.args(&["identity"]);
        let expected = format!("real 1000 effective {effective}");
        bench.run(&bundle).success().prints(&expected);
        bundle.args(&["sleep", "1000"]);
        let id = bench.start(&bundle);
        bench.exec(&id, &["identity"]).success().prints(&expected);
    }
    // Asked for one process alone.
    let mut bundle = bench.sleeper();
    let source = include_str!("../../security/programs/identity.c");
    let identity = program(bench, &bundle, "identity", source);
    set_mode(&identity, 0o4755);
    bundle.set("/process/noNewPrivileges", json!(false));
    let id = bench.start(&bundle);
    let flags = ["exec", "--no-new-privs", "--user", "1000", &id, "identity"];
    bench
        .call(&flags)
        .success()
        .prints("real 1000 effective 1000");
}
