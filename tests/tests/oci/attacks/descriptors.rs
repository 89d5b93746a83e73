//! Nothing of the machine's is open in a container, at no moment.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use soute_tests::{Outcome, output, output_in_files};

use super::{Outside, program, with_descriptors};
use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    the_program_has_three_descriptors,
    only_what_is_given_is_preserved,
    hooks_have_three_descriptors,
    the_programs_path_leads_through_no_descriptor,
    no_descriptor_is_a_working_directory,
];

/// Lists the descriptors beyond the standard three.
const LIST: &str = include_str!("../../security/programs/descriptors.c");

/// `run FLAGS` by a caller who has descriptors of the machine's open.
#[track_caller]
fn run(bench: &mut Bench, bundle: &Bundle, flags: &[&str], folder: &Path) -> Outcome {
    bundle.write();
    let id = bench.id();
    let at = bundle.folder().display().to_string();
    let command = bench.command(&[&["run", "--bundle", &at], flags, &[&id]].concat());
    output(&mut with_descriptors(&command, folder))
}

/// CVE-2024-21626, first half. The defence is `close_all_but` in process/privileges.rs.
fn the_program_has_three_descriptors(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    program(bench, &bundle, "descriptors", LIST);
    bundle.args(&["descriptors"]);
    run(bench, &bundle, &[], outside.path())
        .success()
        .prints("listed");
    // The same at the gate, and through it.
    let id = bench.id();
    bundle.write();
    let at = bundle.folder().display().to_string();
    let command = bench.command(&["create", "--bundle", &at, &id]);
    let mut caller = with_descriptors(&command, outside.path());
    output_in_files(&mut caller, &bench.path(""), &id).success();
    let open = fs::read_dir(format!("/proc/{}/fd", bench.pid(&id))).unwrap();
    for descriptor in open {
        let path = descriptor.unwrap().path();
        let number = path.file_name().unwrap().to_string_lossy().into_owned();
        let kind = fs::metadata(&path).unwrap().file_type();
        let standard = ["0", "1", "2"].contains(&number.as_str());
        assert!(standard || !kind.is_dir(), "{number} is a folder");
    }
    bench.call(&["start", &id]).success();
    bench.hears(&id, "listed");
    assert_eq!(bench.said(&id).trim(), "listed");
    // And in a process that enters.
    bundle.args(&["sleep", "1000"]);
    let id = bench.start(&bundle);
    let command = bench.command(&["exec", &id, "descriptors"]);
    output(&mut with_descriptors(&command, outside.path()))
        .success()
        .prints("listed");
}

/// More may be asked for than the caller has: what else has such a number by then is the runtime's own.
fn only_what_is_given_is_preserved(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    let list = program(bench, &bundle, "descriptors", LIST);
    bundle.args(&["descriptors"]);
    let given = |text: &str| {
        let numbers = text
            .lines()
            .filter_map(|line| line.strip_prefix("open: ")?.split(' ').next());
        let mut numbers: Vec<u32> = numbers.map(|number| number.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    // The caller may have been given some himself.
    let all = output(&mut with_descriptors(&Command::new(list), outside.path()));
    let all = given(all.text());
    assert!(all.starts_with(&[3, 4, 5, 9]), "{all:?}");
    let below = |end: u32| -> Vec<u32> { all.iter().copied().filter(|n| *n < end).collect() };
    for count in [1, 3, 100] {
        let flags = ["--preserve-fds", &count.to_string()];
        let outcome = run(bench, &bundle, &flags, outside.path());
        assert_eq!(given(outcome.text()), below(3 + count), "{outcome}");
    }
    bundle.args(&["sleep", "1000"]);
    let id = bench.start(&bundle);
    let command = bench.command(&["exec", "--preserve-fds", "100", &id, "descriptors"]);
    let outcome = output(&mut with_descriptors(&command, outside.path()));
    assert_eq!(given(outcome.text()), below(103), "{outcome}");
}

/// Hooks are the machine's programs, and `startContainer` is the image's. The defence is `close_all_but` in hooks.rs.
fn hooks_have_three_descriptors(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    let list = program(bench, &bundle, "descriptors", LIST);
    bundle.set("/root/readonly", json!(false));
    let noted = |kind: &str| bench.path(&format!("{kind}.list"));
    for kind in ["prestart", "createRuntime", "createContainer", "poststart"] {
        let script = format!("{} > {}", list.display(), noted(kind).display());
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        bundle.set(&format!("/hooks/{kind}"), hook);
    }
    let script = "descriptors > /startContainer.list";
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]);
    bundle.set("/hooks/startContainer", hook);
    let inside = bundle.rootfs().join("startContainer.list");
    let notes: Vec<_> = ["prestart", "createRuntime", "createContainer", "poststart"]
        .map(noted)
        .into_iter()
        .chain([inside])
        .collect();
    run(bench, &bundle, &[], outside.path()).success();
    for note in notes {
        let text = fs::read_to_string(&note).unwrap();
        assert_eq!(text.trim(), "listed", "{}", note.display());
    }
}

/// CVE-2024-21626, third variant: execve looks the program's path up, and what is closed by execve alone is open then.
/// The defences are `close_all_but` and `avoid_magic` in process/privileges.rs.
fn the_programs_path_leads_through_no_descriptor(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    let theirs = outside.path().join("busybox");
    fs::copy(bundle.rootfs().join("bin/busybox"), &theirs).unwrap();
    for n in 3..20 {
        for path in [
            format!("/proc/self/fd/{n}/busybox"),
            format!("/proc/self/fd/{n}/{}", theirs.display()),
            format!("/proc/self/fd/{n}/../../../../../../..{}", theirs.display()),
        ] {
            bundle.args(&[&path, "id"]);
            let outcome = run(bench, &bundle, &["--preserve-fds", "2"], outside.path());
            assert_ne!(outcome.code, 0, "{outcome}");
        }
    }
    fs::remove_file(theirs).unwrap();
}

/// CVE-2024-21626: a folder of the machine's as working directory. The defences are, in mounts/root.rs, that no magic
/// link is followed, and in process/directory.rs the question where it is.
fn no_descriptor_is_a_working_directory(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    bundle.sh("ls; cat secret");
    for preserve in ["0", "2"] {
        let flags = ["--preserve-fds", preserve];
        for cwd in (3..20)
            .map(|n| format!("/proc/self/fd/{n}"))
            .chain(["/proc/self/cwd".into(), "/proc/1/root".into()])
        {
            bundle.set("/process/cwd", json!(cwd));
            let outcome = run(bench, &bundle, &flags, outside.path());
            assert_ne!(outcome.code, 0, "{cwd}: {outcome}");
            outcome.shows_not("SECRET");
        }
    }
    bundle
        .set("/process/cwd", json!("/"))
        .args(&["sleep", "1000"]);
    let id = bench.start(&bundle);
    for n in 3..20 {
        let cwd = format!("/proc/self/fd/{n}");
        let command = bench.command(&["exec", "--cwd", &cwd, &id, "ls"]);
        let outcome = output(&mut with_descriptors(&command, outside.path()));
        assert_ne!(outcome.code, 0, "{cwd}: {outcome}");
    }
    outside.is_untouched();
}
