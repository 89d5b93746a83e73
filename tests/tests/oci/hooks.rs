//! `hooks`: when each runs, where, what it is told, and what becomes of the container when one fails.

use std::fs;

use serde_json::{Value, json};
use soute_tests::wait_until;

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    hooks_run_in_their_order,
    hooks_of_a_kind_run_one_after_the_other,
    hooks_are_told_the_state,
    the_status_is_that_of_the_moment,
    hooks_run_in_their_namespaces,
    hooks_see_the_right_files,
    arguments_of_a_hook,
    the_environment_of_a_hook,
    no_environment_of_the_callers,
    a_failing_prestart_hook,
    a_failing_create_runtime_hook,
    a_failing_create_container_hook,
    a_failing_start_container_hook,
    a_failing_poststart_hook,
    a_failing_poststop_hook,
    a_missing_hook,
    a_relative_hook_is_refused,
    a_hook_over_its_time,
    a_hook_within_its_time,
    a_bad_timeout_is_refused,
    poststop_hooks_run_after_force_too,
    poststop_hooks_run_after_run,
    a_hook_may_change_the_containers_network,
    a_hook_may_unmount,
    the_output_of_a_failing_hook_is_told,
];

/// In the order of a container's life.
const KINDS: &[&str] = &[
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Those that the container's own files are seen from.
const INSIDE: &str = "startContainer";

/// A shell script as a hook. Inside, busybox is the shell too.
fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]})
}

/// The folder that hooks write to, seen inside at the same path.
#[track_caller]
fn notes(bench: &Bench, bundle: &mut Bundle) -> String {
    let notes = bench.text("notes");
    fs::create_dir_all(&notes).unwrap();
    bundle.mount("bind", &notes, &notes, &["bind"]);
    notes
}

#[track_caller]
fn note(bench: &Bench, name: &str) -> String {
    fs::read_to_string(bench.path("notes").join(name)).unwrap_or_default()
}

fn hooks_run_in_their_order(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    for kind in KINDS {
        let script = format!("echo {kind} >> {notes}/order");
        bundle.push(&format!("/hooks/{kind}"), hook(&script));
    }
    let id = bench.create(&bundle);
    assert_eq!(
        note(bench, "order"),
        "prestart\ncreateRuntime\ncreateContainer\n"
    );
    bench.call(&["start", &id]).success();
    bench.becomes(&id, "stopped");
    wait_until("poststart has run", || {
        note(bench, "order").lines().count() == 5
    });
    assert!(note(bench, "order").ends_with("startContainer\npoststart\n"));
    bench.call(&["delete", &id]).success();
    assert!(note(bench, "order").ends_with("poststart\npoststop\n"));
}

fn hooks_of_a_kind_run_one_after_the_other(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    for kind in KINDS {
        for number in 0..3 {
            let script = format!("sleep 0.0{}; echo {number} >> {notes}/{kind}", 3 - number);
            bundle.push(&format!("/hooks/{kind}"), hook(&script));
        }
    }
    bench.run(&bundle).success();
    for kind in KINDS {
        assert_eq!(note(bench, kind), "0\n1\n2\n", "{kind}");
    }
}

fn hooks_are_told_the_state(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let notes = notes(bench, &mut bundle);
    bundle.set("/annotations", json!({"org.example.a": "one"}));
    for kind in KINDS {
        bundle.push(
            &format!("/hooks/{kind}"),
            hook(&format!("cat > {notes}/{kind}")),
        );
    }
    let id = bench.start(&bundle);
    let pid = bench.pid(&id);
    bench.call(&["delete", "--force", &id]).success();
    for kind in KINDS {
        let state: Value = serde_json::from_str(&note(bench, kind))
            .unwrap_or_else(|e| panic!("{kind}: {e}: {}", note(bench, kind)));
        assert!(state["ociVersion"].is_string(), "{kind}: {state}");
        assert_eq!(state["id"], id.as_str(), "{kind}");
        assert_eq!(
            state["bundle"],
            bundle.folder().display().to_string(),
            "{kind}"
        );
        assert_eq!(
            state["annotations"]["org.example.a"], "one",
            "{kind}: {state}"
        );
        // The machine's pid: old network hooks join by it.
        if ["prestart", "createRuntime", "poststart"].contains(kind) {
            assert_eq!(state["pid"], pid, "{kind}: {state}");
        }
    }
}

fn the_status_is_that_of_the_moment(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let notes = notes(bench, &mut bundle);
    for kind in KINDS {
        bundle.push(
            &format!("/hooks/{kind}"),
            hook(&format!("cat > {notes}/{kind}")),
        );
    }
    let id = bench.start(&bundle);
    bench.call(&["delete", "--force", &id]).success();
    for (kind, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        let state: Value = serde_json::from_str(&note(bench, kind)).unwrap();
        assert_eq!(state["status"], status, "{kind}");
    }
}

/// "createContainer … in the container namespace", the others in the runtime's (config.md).
fn hooks_run_in_their_namespaces(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let notes = notes(bench, &mut bundle);
    for kind in KINDS {
        let script =
            format!("for n in mnt net; do readlink /proc/self/ns/$n; done > {notes}/{kind}");
        bundle.push(&format!("/hooks/{kind}"), hook(&script));
    }
    let id = bench.start(&bundle);
    let of = |process: &str| {
        let names = ["mnt", "net"].map(|name| {
            let link = fs::read_link(format!("/proc/{process}/ns/{name}")).unwrap();
            format!("{}\n", link.display())
        });
        names.concat()
    };
    let (machine, container) = (of("thread-self"), of(&bench.pid(&id).to_string()));
    bench.call(&["delete", "--force", &id]).success();
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        assert_eq!(note(bench, kind), machine, "{kind}");
    }
    for kind in ["createContainer", "startContainer"] {
        assert_eq!(note(bench, kind), container, "{kind}");
    }
}

/// startContainer's program is the container's; the others are the machine's, before and after the root changes.
fn hooks_see_the_right_files(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    fs::write(bundle.rootfs().join("inside"), "").unwrap();
    for kind in KINDS {
        let script = format!(
            "test -e /inside && echo inside > {notes}/{kind} || echo outside > {notes}/{kind}"
        );
        bundle.push(&format!("/hooks/{kind}"), hook(&script));
    }
    bench.run(&bundle).success();
    for kind in KINDS {
        let wanted = if *kind == INSIDE { "inside" } else { "outside" };
        assert_eq!(note(bench, kind).trim(), wanted, "{kind}");
    }
}

fn arguments_of_a_hook(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    let script = format!("echo $0 $# \"$2\" > {notes}/args");
    let args = json!(["sh", "-c", script, "zero", "one", "two words"]);
    bundle.push(
        "/hooks/createRuntime",
        json!({"path": "/bin/sh", "args": args}),
    );
    bench.run(&bundle).success();
    assert_eq!(note(bench, "args"), "zero 2 two words\n");
}

fn the_environment_of_a_hook(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    let args = json!(["sh", "-c", format!("echo $A $B > {notes}/env")]);
    let env = json!(["A=one", "B=two words"]);
    bundle.push(
        "/hooks/createRuntime",
        json!({"path": "/bin/sh", "args": args, "env": env}),
    );
    bench.run(&bundle).success();
    assert_eq!(note(bench, "env"), "one two words\n");
}

fn no_environment_of_the_callers(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    let script = format!("tr '\\0' '\\n' < /proc/self/environ > {notes}/env");
    bundle.push("/hooks/createRuntime", hook(&script));
    bench.run(&bundle).success();
    let own = |line: &&str| !line.starts_with("PATH=");
    let text = note(bench, "env");
    let others: Vec<&str> = text.lines().filter(own).collect();
    assert_eq!(others, [""; 0]);
}

/// A hook of that kind that fails: the container never is.
#[track_caller]
fn fails_at_create(bench: &mut Bench, kind: &str) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    bundle.push(&format!("/hooks/{kind}"), hook("exit 3"));
    bundle.push("/hooks/poststop", hook(&format!("echo > {notes}/poststop")));
    let id = bench.id();
    bench.try_create(&bundle, &[], &id).code(1);
    bench.has_logged_an_error();
    bench.is_gone(&id);
    // "If … fails, … the runtime MUST … continue the lifecycle at step 12": poststop.
    assert_eq!(note(bench, "poststop"), "\n");
}

fn a_failing_prestart_hook(bench: &mut Bench) {
    fails_at_create(bench, "prestart");
}

fn a_failing_create_runtime_hook(bench: &mut Bench) {
    fails_at_create(bench, "createRuntime");
}

fn a_failing_create_container_hook(bench: &mut Bench) {
    fails_at_create(bench, "createContainer");
}

fn a_failing_start_container_hook(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    bundle.push("/hooks/startContainer", hook("exit 3"));
    bundle.args(&["touch", &format!("{notes}/ran")]);
    let id = bench.create(&bundle);
    bench.call(&["start", &id]);
    bench.becomes(&id, "stopped");
    assert!(!bench.path("notes/ran").exists());
    bench.call(&["delete", &id]).success();
}

/// "the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12" (runtime.md, 1.3).
fn a_failing_poststart_hook(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.push("/hooks/poststart", hook("exit 3"));
    let id = bench.create(&bundle);
    let start = bench.call(&["start", &id]);
    assert_ne!(start.code, 0, "{start}");
    bench.has_logged_an_error();
    wait_until("it has stopped, or is gone", || {
        let state = bench.call(&["state", &id]);
        state.code != 0 || state.json()["status"] == "stopped"
    });
}

/// "the runtime MUST log a warning, but … continues" (runtime.md).
fn a_failing_poststop_hook(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    bundle.push("/hooks/poststop", hook("exit 3"));
    bundle.push("/hooks/poststop", hook(&format!("echo > {notes}/second")));
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
    assert_eq!(note(bench, "second"), "\n");
}

fn a_missing_hook(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/hooks/createRuntime", json!({"path": "/no/such/hook"}));
    bench.refuses(&bundle).code(1);
}

/// "path … REQUIRED … the value MUST be an absolute path" (config.md).
fn a_relative_hook_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/hooks/createRuntime", json!({"path": "bin/true"}));
    bench.refuses(&bundle);
}

fn a_hook_over_its_time(bench: &mut Bench) {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = bench.bundle();
        let mut slow = hook("exec sleep 30");
        slow["timeout"] = json!(1);
        bundle.push(&format!("/hooks/{kind}"), slow);
        let begin = std::time::Instant::now();
        bench.refuses(&bundle);
        assert!(begin.elapsed().as_secs() < 15, "{kind}");
    }
}

fn a_hook_within_its_time(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut quick = hook("sleep 0.1");
    quick["timeout"] = json!(20);
    bundle.push("/hooks/createRuntime", quick);
    bundle.args(&["echo", "works"]);
    bench.run(&bundle).success().prints("works");
}

/// "If set, timeout MUST be greater than zero" (config.md).
fn a_bad_timeout_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut odd = hook("true");
    odd["timeout"] = json!(-1);
    bundle.push("/hooks/createRuntime", odd);
    bench.refuses(&bundle);
}

fn poststop_hooks_run_after_force_too(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let notes = notes(bench, &mut bundle);
    bundle.push(
        "/hooks/poststop",
        hook(&format!("echo >> {notes}/poststop")),
    );
    let id = bench.start(&bundle);
    bench.call(&["delete", "--force", &id]).success();
    assert_eq!(note(bench, "poststop"), "\n");
}

fn poststop_hooks_run_after_run(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let notes = notes(bench, &mut bundle);
    bundle.push(
        "/hooks/poststop",
        hook(&format!("echo >> {notes}/poststop")),
    );
    bench.run(&bundle).success();
    assert_eq!(note(bench, "poststop"), "\n");
}

/// What network plug-ins do.
fn a_hook_may_change_the_containers_network(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/;t;d' | head -n 1); nsenter --target $pid --net ip address add 10.9.8.7/32 dev lo";
    bundle.push("/hooks/createRuntime", hook(script));
    bundle.args(&["ip", "address", "show", "lo"]);
    bench.run(&bundle).success().shows("10.9.8.7");
}

/// By its path, in the container's mount namespace before the root changes; nothing of the runtime's holds it.
fn a_hook_may_unmount(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/unwanted", &["size=4k"]);
    let script = format!("umount {}/unwanted", bundle.rootfs().display());
    bundle.push("/hooks/createContainer", hook(&script));
    bundle.args(&["cat", "/proc/self/mounts"]);
    let mounts = bench.run(&bundle);
    assert!(!mounts.success().stdout.contains("unwanted"), "{mounts}");
}

fn the_output_of_a_failing_hook_is_told(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/hooks/createRuntime", hook("echo the-reason >&2; exit 3"));
    let outcome = bench.refuses(&bundle);
    outcome.fails(1, &["the-reason"]);
}
