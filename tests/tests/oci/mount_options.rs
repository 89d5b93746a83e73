//! `mounts[].options`: each by what the kernel shows of it inside.

use std::fs;
use std::process::Command;

use serde_json::json;
use soute_tests::output;

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::mounts::{WithMount, folder};

cases![
    a_tmpfs_has_its_size_and_mode,
    a_tmpfs_is_read_only,
    flags_of_a_tmpfs,
    flags_of_a_bind,
    flags_are_taken_back,
    access_times,
    a_read_only_rbind_is_of_one_mount,
    recursive_read_only,
    recursive_flags,
    recursive_flags_are_taken_back,
    recursive_access_times,
    propagation_of_a_mount,
    recursive_propagation_of_a_mount,
    mounts_of_the_machine_come_in_where_asked,
    mounts_of_the_container_stay_inside,
    data_reaches_the_file_system,
    an_unknown_option_is_refused,
    a_mount_without_options,
    tmpcopyup_copies_the_image,
];

/// The options of the mount at `place`: its own, its file system's, and its propagation.
#[track_caller]
fn options(bench: &mut Bench, bundle: &mut Bundle, place: &str) -> Vec<String> {
    bundle.args(&["cat", "/proc/self/mountinfo"]);
    let outcome = bench.run(bundle);
    let line = outcome
        .text()
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some(place));
    let line = line.unwrap_or_else(|| panic!("no {place}: {outcome}"));
    let (own, system) = line.split_once(" - ").expect("a separator");
    let system = system.split(' ').nth(2).expect("options");
    let own: Vec<&str> = own.split(' ').skip(5).collect();
    let all = own.iter().flat_map(|field| field.split(','));
    all.chain(system.split(',')).map(str::to_owned).collect()
}

/// Asserts which options a mount has, and which it has not.
#[track_caller]
pub fn shows(bench: &mut Bench, bundle: &mut Bundle, place: &str, has: &[&str], has_not: &[&str]) {
    let options = options(bench, bundle, place);
    let is = |word: &&str| options.iter().any(|option| option == word);
    for word in has {
        assert!(is(word), "no {word} at {place}: {options:?}");
    }
    for word in has_not {
        assert!(!is(word), "{word} at {place}: {options:?}");
    }
}

fn a_tmpfs_has_its_size_and_mode(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let own = ["size=1m", "mode=1751", "uid=7", "gid=8", "nr_inodes=100"];
    bundle.mount("tmpfs", "tmpfs", "/mnt/own", &own);
    let has = ["size=1024k", "mode=1751", "nr_inodes=100"];
    bundle.set("/root/readonly", json!(false));
    shows(bench, &mut bundle, "/mnt/own", &has, &[]);
    bundle.args(&["stat", "-c", "%a %u:%g", "/mnt/own"]);
    bench.run(&bundle).success().prints("1751 7:8");
}

fn a_tmpfs_is_read_only(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/tmp", &["ro"]);
    bundle.args(&["touch", "/tmp/file"]);
    let outcome = bench.run(&bundle);
    outcome.fails(1, &["Read-only file system"]);
}

fn flags_of_a_tmpfs(bench: &mut Bench) {
    for flag in [
        "nosuid",
        "nodev",
        "noexec",
        "nodiratime",
        "ro",
        "sync",
        "nosymfollow",
    ] {
        let mut bundle = bench.bundle();
        bundle.mount("tmpfs", "tmpfs", "/tmp", &[flag]);
        shows(bench, &mut bundle, "/tmp", &[flag], &[]);
    }
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    let not = ["nosuid", "nodev", "noexec", "ro"];
    shows(bench, &mut bundle, "/tmp", &["rw"], &not);
}

fn flags_of_a_bind(bench: &mut Bench) {
    let source = folder(bench, "source");
    for flag in ["nosuid", "nodev", "noexec", "nodiratime", "ro"] {
        let mut bundle = bench.bundle();
        bundle.mount("bind", &source, "/tmp", &["bind", flag]);
        shows(bench, &mut bundle, "/tmp", &[flag], &[]);
    }
}

/// The last of two that exclude each other counts.
fn flags_are_taken_back(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let options = [
        "ro", "nosuid", "nodev", "noexec", "rw", "suid", "dev", "exec",
    ];
    bundle.mount("tmpfs", "tmpfs", "/tmp", &options);
    let not = ["nosuid", "nodev", "noexec", "ro"];
    shows(bench, &mut bundle, "/tmp", &["rw"], &not);
}

fn access_times(bench: &mut Bench) {
    let source = folder(bench, "source");
    for (option, has, has_not) in [
        ("noatime", &["noatime"][..], &["relatime"][..]),
        ("relatime", &["relatime"], &["noatime"]),
        ("strictatime", &[], &["relatime", "noatime"]),
    ] {
        let mut bundle = bench.bundle();
        bundle.mount("tmpfs", "tmpfs", "/tmp", &[option]);
        shows(bench, &mut bundle, "/tmp", has, has_not);
        let mut bundle = bench.bundle();
        bundle.mount("bind", &source, "/tmp", &["bind", option]);
        shows(bench, &mut bundle, "/tmp", has, has_not);
    }
}

/// `ro`, unlike `rro`.
fn a_read_only_rbind_is_of_one_mount(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let mut bundle = bench.bundle();
    bundle.mount("bind", &source.path(), "/tmp", &["rbind", "ro"]);
    shows(bench, &mut bundle, "/tmp", &["ro"], &[]);
    bundle.sh("touch /tmp/below/new && ! touch /tmp/new");
    bench.run(&bundle).success();
}

fn recursive_read_only(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let mut bundle = bench.bundle();
    bundle.mount("bind", &source.path(), "/tmp", &["rbind", "rro"]);
    bundle.sh("! touch /tmp/below/new && ! touch /tmp/new");
    bench.run(&bundle).success();
}

fn recursive_flags(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    for flag in ["nosuid", "nodev", "noexec", "nodiratime"] {
        let mut bundle = bench.bundle();
        let option = format!("r{flag}");
        bundle.mount("bind", &source.path(), "/tmp", &["rbind", &option]);
        shows(bench, &mut bundle, "/tmp/below", &[flag], &[]);
        shows(bench, &mut bundle, "/tmp", &[flag], &[]);
    }
}

fn recursive_flags_are_taken_back(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let remount = ["-o", "remount,bind,ro,nosuid,nodev,noexec"];
    output(Command::new("mount").args(remount).arg(&source.0)).success();
    for (option, flag) in [
        ("rrw", "ro"),
        ("rsuid", "nosuid"),
        ("rdev", "nodev"),
        ("rexec", "noexec"),
    ] {
        let mut bundle = bench.bundle();
        bundle.mount("bind", &source.path(), "/tmp", &["rbind", option]);
        let own = options(bench, &mut bundle, "/tmp/below");
        let own = own.iter().filter(|option| *option == flag).count();
        assert_eq!(own, 0, "{option}");
    }
}

fn recursive_access_times(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    for (option, has, has_not) in [
        ("rnoatime", &["noatime"][..], &["relatime"][..]),
        ("rrelatime", &["relatime"], &["noatime"]),
        ("rstrictatime", &[], &["relatime", "noatime"]),
    ] {
        let mut bundle = bench.bundle();
        bundle.mount("bind", &source.path(), "/tmp", &["rbind", option]);
        shows(bench, &mut bundle, "/tmp/below", has, has_not);
    }
}

/// The word before the separator, without its number.
#[track_caller]
fn propagation(bench: &mut Bench, bundle: &mut Bundle, place: &str) -> String {
    let options = options(bench, bundle, place);
    let words = options.iter().filter_map(|option| {
        let word = option.split(':').next()?;
        ["shared", "master", "unbindable"]
            .contains(&word)
            .then_some(word)
    });
    words.collect::<Vec<_>>().join(" ")
}

fn propagation_of_a_mount(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let make_shared = ["--make-shared"];
    let place = source.0.display().to_string();
    output(Command::new("mount").args(make_shared).arg(&place)).success();
    for (option, word) in [
        ("private", ""),
        ("slave", "master"),
        ("shared", "shared"),
        ("unbindable", "unbindable"),
    ] {
        let mut bundle = bench.bundle();
        if option == "shared" {
            bundle.set("/linux/rootfsPropagation", json!("shared"));
        }
        bundle.mount("bind", &place, "/tmp", &["rbind", option]);
        assert_eq!(propagation(bench, &mut bundle, "/tmp"), word, "{option}");
    }
}

fn recursive_propagation_of_a_mount(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let make_shared = ["--make-shared"];
    output(Command::new("mount").args(make_shared).arg(&source.0)).success();
    for (option, word) in [
        ("rprivate", ""),
        ("rslave", "master"),
        ("runbindable", "unbindable"),
    ] {
        let mut bundle = bench.bundle();
        bundle.mount("bind", &source.path(), "/tmp", &["rbind", option]);
        let shown = propagation(bench, &mut bundle, "/tmp/below");
        assert_eq!(shown, word, "{option}");
    }
}

fn mounts_of_the_machine_come_in_where_asked(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    output(Command::new("mount").arg("--make-shared").arg(&source.0)).success();
    let mut bundle = bench.sleeper();
    bundle.set("/linux/rootfsPropagation", json!("rslave"));
    let place = source.0.display().to_string();
    bundle.mount("bind", &place, "/tmp", &["rbind", "rslave"]);
    let id = bench.start(&bundle);
    let late = source.0.join("late");
    fs::create_dir(&late).unwrap();
    output(
        Command::new("mount")
            .args(["-t", "tmpfs", "late"])
            .arg(&late),
    )
    .success();
    let seen = bench.exec(&id, &["grep", "-c", " /tmp/late ", "/proc/self/mountinfo"]);
    output(Command::new("umount").arg(&late)).success();
    seen.success().prints("1");
}

fn mounts_of_the_container_stay_inside(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    output(Command::new("mount").arg("--make-shared").arg(&source.0)).success();
    let before = soute_tests::mounts();
    let mut bundle = bench.sleeper();
    let place = source.0.display().to_string();
    bundle.mount("bind", &place, "/tmp", &["rbind", "rslave"]);
    bundle.mount("tmpfs", "inside", "/tmp/inside", &[]);
    let id = bench.start(&bundle);
    assert_eq!(soute_tests::mounts(), before);
    bench
        .exec(&id, &["grep", " /tmp/inside ", "/proc/self/mountinfo"])
        .success();
}

/// What is no option of a mount is the file system's.
fn data_reaches_the_file_system(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount(
        "tmpfs",
        "tmpfs",
        "/tmp",
        &["nosuid", "huge=never", "size=2m"],
    );
    shows(bench, &mut bundle, "/tmp", &["size=2048k", "nosuid"], &[]);
}

fn an_unknown_option_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/tmp", &["bogus"]);
    bench.refuses(&bundle);
}

fn a_mount_without_options(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mount = json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"});
    bundle.push("/mounts", mount);
    bundle.args(&["touch", "/tmp/file"]);
    bench.run(&bundle).success();
}

fn tmpcopyup_copies_the_image(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let own = bundle.rootfs().join("data");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("file"), "from the image\n").unwrap();
    std::os::unix::fs::symlink("file", own.join("link")).unwrap();
    bundle.mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]);
    bundle.sh("cat /data/file; readlink /data/link; touch /data/new");
    bench.run(&bundle).success().prints("from the image\nfile");
    assert!(!own.join("new").exists());
}
