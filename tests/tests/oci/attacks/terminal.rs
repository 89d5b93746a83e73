//! The caller's terminal.

use soute_tests::Terminal;

use super::program;
use crate::bench::Bench;
use crate::case::cases;

cases![nothing_is_typed_for_the_caller];

/// CVE-2017-5226: a program that has the caller's terminal for standard files types into it, and the caller executes that
/// when the container is gone. The defence is `setsid` in process/init.rs and process/enter.rs: nobody types into a
/// terminal that is not his session's.
fn nothing_is_typed_for_the_caller(bench: &mut Bench) {
    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
    // A kernel that forbids it altogether shows nothing of the defence.
    assert!(
        allowed.is_err() || allowed.unwrap().trim() == "1",
        "dev.tty.legacy_tiocsti is 0"
    );
    let mut bundle = bench.bundle();
    let source = include_str!("../../security/programs/inject.c");
    program(bench, &bundle, "inject", source);
    bundle.args(&["inject"]).write();
    let at = bundle.folder().display().to_string();
    let id = bench.id();
    let mut run = Terminal::start(&bench.command(&["run", "--bundle", &at, &id]));
    let (code, text) = run.finish();
    // It does have the terminal.
    assert!(code == 0 && text.contains("0: denied"), "{text}");
    assert!(!text.contains("INJECTED"), "{text}");
    bundle.args(&["sleep", "1000"]);
    let id = bench.start(&bundle);
    let mut exec = Terminal::start(&bench.command(&["exec", &id, "inject"]));
    let (code, text) = exec.finish();
    assert!(code == 0 && text.contains("0: denied"), "{text}");
    assert!(!text.contains("INJECTED"), "{text}");
}
