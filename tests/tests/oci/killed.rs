//! The runtime is killed right before one of its system calls, whichever it is, and `delete --force` cleans up.
//!
//! `oci::killed` tries some of the calls, `oci::slow` each of them, and says how many there are: of `create`, and with
//! `SOUTE_TEST_EVERY_CALL` set of all commands.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use soute_tests::{Killer, Outcome, Running, output_in_files, wait_until};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::{Case, cases};
use crate::checkpoint;
use crate::namespaces::mapped;

/// What is done to a container.
#[derive(Clone, Copy)]
struct Deed {
    /// The words before the container's id.
    words: &'static [&'static str],
    /// And after it.
    rest: &'static [&'static str],
    /// What has been done before.
    before: &'static [&'static str],
    /// What the container may be after, if it must be there.
    then: &'static [&'static str],
    bundle: fn(&mut Bench) -> Bundle,
}

const CREATE: Deed = Deed {
    words: &["create"],
    rest: &[],
    before: &[],
    then: &[],
    bundle: plain,
};
const CREATE_MUCH: Deed = Deed {
    bundle: much,
    ..CREATE
};
const RUN: Deed = Deed {
    words: &["run"],
    bundle: short,
    ..CREATE
};
const START: Deed = Deed {
    words: &["start"],
    before: &["create"],
    then: &["created", "running"],
    bundle: much,
    ..CREATE
};
const EXEC: Deed = Deed {
    words: &["exec"],
    rest: &["true"],
    before: &["create", "start"],
    then: &["running"],
    ..CREATE
};
const DELETE: Deed = Deed {
    words: &["delete", "--force"],
    before: &["create", "start"],
    ..CREATE
};
/// With a script in criu's place.
const CHECKPOINT: Deed = Deed {
    words: &["checkpoint", "--leave-running"],
    before: &["create", "start"],
    then: &["running"],
    ..CREATE
};
const RESTORE: Deed = Deed {
    words: &["restore", "--detach"],
    bundle: with_a_hook,
    ..CREATE
};

/// Cases with how many calls each goes on by: few, so that it takes seconds.
macro_rules! sweeps {
    ($($list:ident: $($name:ident = $deed:ident by $stride:literal),* $(,)?;)*) => {
        $(
            pub const $list: &[Case] = &[$(Case::new(stringify!($name), |bench| sweep(bench, $deed, $stride))),*];
        )*
    };
}

cases![a_hook_ends_with_the_runtime];

sweeps! {
    SOME:
        create_is_killed = CREATE by 6,
        create_of_much_is_killed = CREATE_MUCH by 11,
        run_is_killed = RUN by 11,
        start_is_killed = START by 7,
        exec_is_killed = EXEC by 11,
        delete_is_killed = DELETE by 7,
        checkpoint_is_killed = CHECKPOINT by 11,
        restore_is_killed = RESTORE by 11;
    ALL:
        create_is_killed_at_each_call = CREATE by 1,
        create_of_much_is_killed_at_each_call = CREATE_MUCH by 1,
        run_is_killed_at_each_call = RUN by 1,
        start_is_killed_at_each_call = START by 1,
        exec_is_killed_at_each_call = EXEC by 1,
        delete_is_killed_at_each_call = DELETE by 1,
        checkpoint_is_killed_at_each_call = CHECKPOINT by 1,
        restore_is_killed_at_each_call = RESTORE by 1;
}

fn sweep(bench: &mut Bench, deed: Deed, stride: usize) {
    checkpoint::criu(bench, checkpoint::ANSWERS);
    let sweep = Sweep {
        bundle: (deed.bundle)(bench),
        id: bench.id(),
        killer: Killer::new(&bench.path("")),
        sockets: sockets(),
        bench,
        deed,
    };
    sweep.bundle.write();
    let mut kills = 0;
    let mut call = 1;
    while sweep.is_killed_before(call) {
        kills += 1;
        call += stride;
    }
    eprintln!(
        "{}: killed before {kills} of its system calls, one in {stride}",
        deed.words.join(" ")
    );
    assert!(kills > 5, "it was killed {kills} times only");
}

struct Sweep<'a> {
    bench: &'a Bench,
    bundle: Bundle,
    id: String,
    killer: Killer,
    /// How many there are without it.
    sockets: usize,
    deed: Deed,
}

impl Sweep<'_> {
    /// False: it made no such call, and has succeeded.
    fn is_killed_before(&self, call: usize) -> bool {
        for verb in self.deed.before {
            self.run(&mut self.command(&[verb], &[])).success();
        }
        let command = self.command(self.deed.words, self.deed.rest);
        let outcome = self.run(&mut self.killer.command(call, &command));
        if outcome.code != Killer::HAS_KILLED {
            outcome.success();
            self.is_clean("it has succeeded");
            return false;
        }
        let when = format!("killed before call {call}");
        if !self.deed.then.is_empty() {
            self.is_as_it_may_be(&when);
        }
        self.is_clean(&when);
        // And the id is as good as new.
        self.run(&mut self.command(&["create"], &[])).success();
        self.is_clean(&when);
        true
    }

    fn is_as_it_may_be(&self, when: &str) {
        let state = self.bench.state(&self.id);
        let status = state["status"].as_str().unwrap_or_default();
        assert!(self.deed.then.contains(&status), "{when}: {state}");
        // It goes on from there, if it has not begun to.
        if status == "created" {
            self.run(&mut self.command(&["start"], &[]));
            self.bench.becomes(&self.id, "running");
        }
        self.run(&mut self.command(&["exec"], &["true"])).success();
    }

    fn is_clean(&self, when: &str) {
        let deleted = self.bench.call(&["delete", "--force", &self.id]);
        assert_eq!(deleted.code, 0, "{when}: {deleted}");
        let left = self.bench.settled();
        assert!(left.is_empty(), "{when}: {}", left.join(", "));
        assert_eq!(sockets(), self.sockets, "{when}: a socket");
    }

    /// What a command makes goes on writing, so that its output is in a file.
    fn run(&self, command: &mut Command) -> Outcome {
        output_in_files(command, &self.bench.path(""), "killed")
    }

    fn command(&self, words: &[&str], rest: &[&str]) -> Command {
        let mut command = self.bench.command(words);
        if ["create", "run", "restore"].contains(&words[0]) {
            command.arg("--bundle").arg(self.bundle.folder());
            command.arg("--pid-file").arg(self.bench.path("pid"));
        }
        if ["checkpoint", "restore"].contains(&words[0]) {
            command
                .arg("--image-path")
                .arg(checkpoint::images(self.bench));
            checkpoint::find_the_script(self.bench, &mut command);
        }
        command.arg(&self.id).args(rest);
        command
    }
}

/// The sockets of this network namespace.
fn sockets() -> usize {
    let table = fs::read_to_string("/proc/thread-self/net/unix").expect("the sockets");
    table.lines().count()
}

fn plain(bench: &mut Bench) -> Bundle {
    let mut bundle = bench.sleeper();
    bundle.set("/linux/resources/memory", json!({"limit": 100 << 20}));
    bundle.set("/linux/resources/pids", json!({"limit": 100}));
    bundle
}

fn short(bench: &mut Bench) -> Bundle {
    let mut bundle = plain(bench);
    bundle.args(&["true"]);
    bundle
}

/// The one of those that a restore runs.
fn with_a_hook(bench: &mut Bench) -> Bundle {
    let mut bundle = plain(bench);
    let hook = json!([{"path": "/bin/true", "args": ["true"]}]);
    bundle.set("/hooks/createRuntime", hook);
    bundle
}

/// All that takes further processes and messages.
fn much(bench: &mut Bench) -> Bundle {
    let mut bundle = plain(bench);
    mapped(&mut bundle);
    bundle.namespace("time", None).namespace("cgroup", None);
    bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 1000}}));
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    let hook = json!([{"path": "/bin/true", "args": ["true"]}]);
    for kind in [
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        bundle.set(&format!("/hooks/{kind}"), hook.clone());
    }
    bundle
}

/// Nobody else would ever end it: it has no time limit any more, and `delete --force` knows of the container alone. The
/// defence is PR_SET_PDEATHSIG in crates/runtime/src/hooks.rs: without it the hook is left.
fn a_hook_ends_with_the_runtime(bench: &mut Bench) {
    let up = bench.path("up");
    let script = format!("touch {}; exec sleep 1000", up.display());
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = bench.bundle();
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        bundle.set(&format!("/hooks/{kind}"), hook);
        bundle.write();
        let id = bench.id();
        let at = bundle.folder().display().to_string();
        let mut create = bench.command(&["create", "--bundle", &at, &id]);
        let create = Running::start(create.stdin(Stdio::null()));
        wait_until("the hook runs", || up.exists());
        fs::remove_file(&up).unwrap();
        create.signal(rustix::process::Signal::KILL);
        create.outcome().code(137);
        bench.call(&["delete", "--force", &id]).success();
        let left = bench.settled();
        assert!(left.is_empty(), "{kind}: {}", left.join(", "));
    }
}
