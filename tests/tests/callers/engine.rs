//! What Docker and Podman do alike, as their users type it.

use soute_tests::{Outcome, wait_until};

/// An engine with the image busybox.
pub trait Engine {
    /// How `soute ns` names it.
    fn name(&self) -> &'static str;

    /// The image's name in full.
    fn image(&self) -> &'static str;

    /// Runs `docker WORDS`, or what is called like it.
    fn call(&self, words: &[&str]) -> Outcome;
}

/// `run FLAGS IMAGE WORDS`, without a network: there is none around.
#[track_caller]
pub fn run(engine: &dyn Engine, flags: &[&str], words: &[&str]) -> Outcome {
    let run = ["run", "--network", "none"];
    engine.call(&[&run[..], flags, &[engine.image()], words].concat())
}

/// A container that runs until it is stopped.
#[track_caller]
fn started(engine: &impl Engine, name: &str, flags: &[&str]) {
    let own = ["-d", "--name", name];
    let flags = [&own[..], flags].concat();
    run(engine, &flags, &["sleep", "1000"]).success();
}

/// One field of what `inspect` tells.
#[track_caller]
pub fn shows(engine: &dyn Engine, name: &str, field: &str) -> String {
    let format = format!("{{{{{field}}}}}");
    let outcome = engine.call(&["inspect", "--format", &format, name]);
    outcome.text().to_owned()
}

/// Output and statuses of what ends by itself.
pub fn programs_end_as_they_do(engine: &impl Engine) {
    run(engine, &["--rm"], &["echo", "works"])
        .success()
        .prints("works");
    run(engine, &["--rm"], &["sh", "-c", "exit 42"]).code(42);
    run(engine, &["--rm"], &["no-such-program"]).code(127);
    run(engine, &["--rm"], &["/etc/passwd"]).code(126);
    run(engine, &["--rm", "-t"], &["tty"]).shows("/dev/pts/0");
}

/// From run to rm.
pub fn a_container_lives(engine: &impl Engine) {
    started(engine, "web", &[]);
    engine
        .call(&["exec", "web", "echo", "inside"])
        .prints("inside");
    engine.call(&["exec", "web", "sh", "-c", "exit 7"]).code(7);
    engine
        .call(&["exec", "-t", "web", "tty"])
        .shows("/dev/pts/");
    engine
        .call(&["exec", "-u", "1000:1000", "web", "id", "-u"])
        .prints("1000");
    engine.call(&["top", "web"]).shows("sleep 1000");
    engine.call(&["ps"]).shows("web");
    engine.call(&["stop", "-t", "0", "web"]).success();
    assert_eq!(shows(engine, "web", ".State.Running"), "false");
    engine.call(&["start", "web"]).success();
    assert_eq!(shows(engine, "web", ".State.Running"), "true");
    engine.call(&["kill", "web"]).success();
    engine.call(&["wait", "web"]).prints("137");
    engine.call(&["rm", "web"]).success();
}

/// SIGTERM is the program's to hear.
pub fn stop_is_heard(engine: &impl Engine) {
    let script = "trap 'echo heard; exit 3' TERM; echo ready; while :; do sleep 0.02; done";
    run(engine, &["-d", "--name", "web"], &["sh", "-c", script]).success();
    wait_until("it is ready", || {
        engine.call(&["logs", "web"]).stdout.contains("ready")
    });
    engine.call(&["stop", "web"]).success();
    assert_eq!(shows(engine, "web", ".State.ExitCode"), "3");
    engine.call(&["logs", "web"]).shows("heard");
    engine.call(&["rm", "web"]).success();
}

/// Restarted by hand, and by the engine when it ends.
pub fn a_container_is_restarted(engine: &impl Engine) {
    started(engine, "web", &[]);
    let pid = shows(engine, "web", ".State.Pid");
    engine.call(&["restart", "-t", "0", "web"]).success();
    assert_eq!(shows(engine, "web", ".State.Running"), "true");
    assert_ne!(shows(engine, "web", ".State.Pid"), pid);
    engine.call(&["rm", "-f", "web"]).success();
    let flags = ["-d", "--name", "web", "--restart", "on-failure:2"];
    run(engine, &flags, &["sh", "-c", "echo once; exit 1"]).success();
    wait_until("it has run three times", || {
        engine.call(&["logs", "web"]).stdout.matches("once").count() == 3
    });
    engine.call(&["rm", "-f", "web"]).success();
}

/// Paused, changed while it runs, and measured.
pub fn a_container_is_paused_updated_and_measured(engine: &impl Engine) {
    started(engine, "web", &["--memory", "64m", "--pids-limit", "50"]);
    engine.call(&["pause", "web"]).success();
    assert_eq!(shows(engine, "web", ".State.Paused"), "true");
    engine.call(&["unpause", "web"]).success();
    assert_eq!(shows(engine, "web", ".State.Paused"), "false");
    let update = ["update", "--memory", "128m", "--memory-swap", "256m", "web"];
    engine.call(&update).success();
    let limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes";
    let limit = format!("{limit} 2>/dev/null; true");
    engine
        .call(&["exec", "web", "sh", "-c", &limit])
        .prints("134217728");
    let stats = [
        "stats",
        "--no-stream",
        "--format",
        "{{.PIDs}} {{.MemUsage}}",
        "web",
    ];
    let stats = engine.call(&stats);
    let text = stats.text();
    assert!(text.starts_with("1 ") && !text.contains(" 0B"), "{stats}");
    engine.call(&["rm", "-f", "web"]).success();
}

/// What an engine asks of a runtime for each of its containers.
pub fn a_container_is_confined(engine: &impl Engine) {
    let status = ["grep", "-E", "^(Seccomp|CapEff):", "/proc/self/status"];
    let outcome = run(engine, &["--rm"], &status);
    outcome.success().shows("Seccomp:\t2").shows_not("ffffffff");
    run(engine, &["--rm", "--read-only"], &["touch", "/file"]).fails(1, &["Read-only"]);
    run(engine, &["--rm", "--hostname", "named"], &["hostname"]).prints("named");
    run(engine, &["--rm", "--user", "1000"], &["id", "-u"]).prints("1000");
    run(
        engine,
        &["--rm", "--tmpfs", "/own:size=1m"],
        &["df", "/own"],
    )
    .shows("1024");
    run(engine, &["--rm", "-v", "/usr:/seen:ro"], &["ls", "/seen"]).shows("bin");
    let ulimit = ["--rm", "--ulimit", "nofile=77:77"];
    run(engine, &ulimit, &["sh", "-c", "ulimit -n"]).prints("77");
}

/// One after the other, with nothing left that would slow or stop the last.
pub fn fifty_in_a_row(engine: &impl Engine) {
    for number in 0..50 {
        let word = number.to_string();
        run(engine, &["--rm"], &["echo", &word])
            .success()
            .prints(&word);
    }
    engine.call(&["ps", "-aq"]).success().prints("");
}

/// The tests of an engine; `$start` makes a stage and starts it there.
macro_rules! tests {
    ($start:path) => {
        $crate::engine::tests!($start;
            programs_end_as_they_do, a_container_lives, stop_is_heard, a_container_is_restarted,
            a_container_is_paused_updated_and_measured, a_container_is_confined, fifty_in_a_row);
    };
    ($start:path; $($name:ident),*) => {
        $(#[test]
        fn $name() {
            let stage = $crate::stage::Stage::new();
            $crate::engine::$name(&$start(&stage));
        })*
    };
}
pub(crate) use tests;
