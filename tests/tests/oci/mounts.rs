//! `mounts`: each option by what the kernel shows of it inside.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use soute_tests::output;

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::namespaces::mapped;

cases![
    a_tmpfs_has_its_size_and_mode,
    a_tmpfs_is_read_only,
    flags_of_a_tmpfs,
    flags_of_a_bind,
    flags_are_taken_back,
    access_times,
    a_bind_shows_the_machines_folder,
    a_read_only_bind,
    a_bind_shows_no_mounts_below,
    an_rbind_shows_the_mounts_below,
    a_read_only_rbind_is_of_one_mount,
    recursive_read_only,
    recursive_flags,
    recursive_flags_are_taken_back,
    recursive_access_times,
    propagation_of_a_mount,
    recursive_propagation_of_a_mount,
    mounts_of_the_machine_come_in_where_asked,
    mounts_of_the_container_stay_inside,
    a_file_is_bound,
    a_device_is_bound,
    a_missing_folder_is_made,
    a_missing_file_is_made,
    a_missing_source_is_refused,
    a_relative_source_is_the_bundles,
    a_relative_destination,
    a_symlink_on_the_way_stays_inside,
    a_symlink_at_the_end_stays_inside,
    mounts_are_in_their_order,
    a_mount_over_another,
    a_mount_over_a_file_is_of_a_file,
    data_reaches_the_file_system,
    an_unknown_option_is_refused,
    an_unknown_file_system_is_refused,
    a_mount_without_options,
    tmpcopyup_copies_the_image,
    an_idmapped_bind,
    an_idmapped_rbind,
    an_idmapped_bind_without_a_user_namespace,
    an_idmap_option_takes_the_containers_map,
    an_idmapped_tmpfs_is_refused,
    devpts_is_the_containers_own,
    mqueue_is_the_containers_own,
    sysfs_is_read_only,
    a_read_only_cgroup_mount,
    proc_is_of_the_containers_pids,
    a_mount_on_proc_is_refused,
    a_file_of_proc_is_covered,
    an_overlay,
    a_destination_with_dots_stays_inside,
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
fn shows(bench: &mut Bench, bundle: &mut Bundle, place: &str, has: &[&str], has_not: &[&str]) {
    let options = options(bench, bundle, place);
    let is = |word: &&str| options.iter().any(|option| option == word);
    for word in has {
        assert!(is(word), "no {word} at {place}: {options:?}");
    }
    for word in has_not {
        assert!(!is(word), "{word} at {place}: {options:?}");
    }
}

/// A folder of the machine's with a file in it.
#[track_caller]
fn folder(bench: &Bench, name: &str) -> String {
    let path = bench.path(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("file"), format!("in {name}\n")).unwrap();
    path.display().to_string()
}

/// A folder of the machine's with a mount below it, `folder/below`; unmounted when the case is over.
struct WithMount(PathBuf);

impl WithMount {
    #[track_caller]
    fn new(bench: &Bench, name: &str) -> Self {
        let below = PathBuf::from(folder(bench, name)).join("below");
        fs::create_dir(&below).unwrap();
        let mount = ["-t", "tmpfs", "tmpfs"];
        output(Command::new("mount").args(mount).arg(&below)).success();
        fs::write(below.join("deep"), "deep\n").unwrap();
        Self(below)
    }

    fn path(&self) -> String {
        self.0.parent().expect("a folder").display().to_string()
    }
}

impl Drop for WithMount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
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

fn a_bind_shows_the_machines_folder(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("bind", &source, "/mnt", &["bind"]);
    bundle.set("/root/readonly", json!(false));
    bundle.sh("cat /mnt/file; echo back > /mnt/back");
    bench.run(&bundle).success().prints("in source");
    let back = fs::read_to_string(bench.path("source/back")).unwrap();
    assert_eq!(back, "back\n");
}

fn a_read_only_bind(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("bind", &source, "/tmp", &["bind", "ro"]);
    bundle.sh("cat /tmp/file; echo > /tmp/file");
    let outcome = bench.run(&bundle);
    outcome
        .fails(1, &["Read-only file system"])
        .prints("in source");
}

fn a_bind_shows_no_mounts_below(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let mut bundle = bench.bundle();
    bundle.mount("bind", &source.path(), "/tmp", &["bind"]);
    bundle.args(&["ls", "/tmp/below"]);
    bench.run(&bundle).success().prints("");
}

fn an_rbind_shows_the_mounts_below(bench: &mut Bench) {
    let source = WithMount::new(bench, "source");
    let mut bundle = bench.bundle();
    bundle.mount("bind", &source.path(), "/tmp", &["rbind"]);
    bundle.args(&["cat", "/tmp/below/deep"]);
    bench.run(&bundle).success().prints("deep");
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

fn a_file_is_bound(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    folder(bench, "source");
    let file = bench.text("source/file");
    bundle.mount("bind", &file, "/etc/passwd", &["bind", "ro"]);
    bundle.args(&["cat", "/etc/passwd"]);
    bench.run(&bundle).success().prints("in source");
    // The image's own is as it was.
    let own = fs::read_to_string(bundle.rootfs().join("etc/passwd")).unwrap();
    assert!(own.contains("root"));
}

fn a_device_is_bound(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("bind", "/dev/zero", "/dev/nought", &["bind"]);
    bundle.args(&["stat", "-c", "%F %t:%T", "/dev/nought"]);
    let outcome = bench.run(&bundle);
    outcome.success().prints("character special file 1:5");
}

fn a_missing_folder_is_made(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("bind", &source, "/a/b/c", &["rbind"]);
    bundle.args(&["cat", "/a/b/c/file"]);
    bench.run(&bundle).success().prints("in source");
    let made = bundle.rootfs().join("a/b/c").metadata().unwrap();
    assert!(made.is_dir() && made.mode() & 0o777 == 0o755);
}

fn a_missing_file_is_made(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    folder(bench, "source");
    let file = bench.text("source/file");
    bundle.mount("bind", &file, "/a/b/file", &["bind"]);
    bundle.args(&["cat", "/a/b/file"]);
    bench.run(&bundle).success().prints("in source");
    assert!(
        bundle
            .rootfs()
            .join("a/b/file")
            .metadata()
            .unwrap()
            .is_file()
    );
}

fn a_missing_source_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = bench.text("no-such-folder");
    bundle.mount("bind", &source, "/tmp", &["bind"]);
    bench.refuses(&bundle);
    assert!(!bench.path("no-such-folder").exists());
}

/// "For bind mounts … the source … if relative, is relative to the bundle" (config.md).
fn a_relative_source_is_the_bundles(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    fs::create_dir(bundle.folder().join("beside")).unwrap();
    fs::write(bundle.folder().join("beside/file"), "beside\n").unwrap();
    bundle.mount("bind", "beside", "/tmp", &["bind"]);
    bundle.args(&["cat", "/tmp/file"]);
    bench.run(&bundle).success().prints("beside");
}

/// Told from the root: what runtimes do, though the specification asks for an absolute path.
fn a_relative_destination(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("bind", &source, "tmp", &["bind"]);
    bundle.args(&["cat", "/tmp/file"]);
    bench.run(&bundle).success().prints("in source");
}

/// CVE-2021-30465 and many more.
fn a_symlink_on_the_way_stays_inside(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    let outside = bench.path("outside");
    fs::create_dir(&outside).unwrap();
    for (name, target) in [
        ("absolute", outside.display().to_string()),
        ("up", "../../../../../..".to_owned()),
    ] {
        std::os::unix::fs::symlink(target, bundle.rootfs().join(name)).unwrap();
    }
    bundle.mount("bind", &source, "/absolute/x", &["bind"]);
    bundle.mount("bind", &source, "/up/tmp", &["bind"]);
    bundle.args(&["cat", "/tmp/file"]);
    bench.run(&bundle).success().prints("in source");
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
}

fn a_symlink_at_the_end_stays_inside(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    std::os::unix::fs::symlink("/tmp", bundle.rootfs().join("link")).unwrap();
    bundle.mount("bind", &source, "/link", &["bind"]);
    bundle.args(&["cat", "/tmp/file"]);
    bench.run(&bundle).success().prints("in source");
}

fn mounts_are_in_their_order(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    bundle.mount("bind", &source, "/tmp/in/it", &["bind"]);
    bundle.args(&["cat", "/tmp/in/it/file"]);
    bench.run(&bundle).success().prints("in source");
    assert!(!bundle.rootfs().join("tmp/in").exists());
}

fn a_mount_over_another(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let (one, two) = (folder(bench, "one"), folder(bench, "two"));
    bundle.mount("bind", &one, "/tmp", &["bind"]);
    bundle.mount("bind", &two, "/tmp", &["bind"]);
    bundle.args(&["cat", "/tmp/file"]);
    bench.run(&bundle).success().prints("in two");
}

fn a_mount_over_a_file_is_of_a_file(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("bind", &source, "/etc/passwd", &["bind"]);
    bench.refuses(&bundle);
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

fn an_unknown_file_system_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("bogusfs", "none", "/tmp", &[]);
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

/// A folder of the machine's, of user 5.
#[track_caller]
fn owned_folder(bench: &Bench) -> String {
    let source = folder(bench, "source");
    output(Command::new("chown").args(["5:5", &source])).success();
    source
}

/// A folder of the machine's, of user 5 and with a mount of user 6 below, in a container with ids of its own.
#[track_caller]
fn owned(bench: &Bench) -> WithMount {
    let source = WithMount::new(bench, "source");
    for (owner, path) in [
        ("5:5", source.path()),
        ("6:6", source.0.display().to_string()),
    ] {
        output(Command::new("chown").args([owner, &path])).success();
    }
    source
}

/// Who owns a folder of user 5 where it is bound, and a mount of user 6 below it.
#[track_caller]
fn owners(bench: &mut Bench, bundle: &mut Bundle) -> String {
    bundle.args(&["stat", "-c", "%u:%g", "/tmp", "/tmp/below"]);
    bench.run(bundle).text().replace('\n', " ")
}

fn map(from: u32, to: u32) -> serde_json::Value {
    json!([{"containerID": from, "hostID": to, "size": 1000}])
}

fn an_idmapped_bind(bench: &mut Bench) {
    let source = owned_folder(bench);
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    // What is 0–999 on the disk is the container's 0–999.
    bundle.push(
        "/mounts",
        json!({
            "destination": "/tmp", "type": "bind", "source": source, "options": ["bind"],
            "uidMappings": map(0, 100_000), "gidMappings": map(0, 100_000),
        }),
    );
    bundle.args(&["stat", "-c", "%u:%g", "/tmp"]);
    bench.run(&bundle).success().prints("5:5");
}

fn an_idmapped_rbind(bench: &mut Bench) {
    let source = owned(bench);
    for (option, below) in [("idmap", "65534:65534"), ("ridmap", "6:6")] {
        let mut bundle = bench.bundle();
        mapped(&mut bundle);
        bundle.push(
            "/mounts",
            json!({
                "destination": "/tmp", "type": "bind", "source": source.path(),
                "options": ["rbind", option],
                "uidMappings": map(0, 100_000), "gidMappings": map(0, 100_000),
            }),
        );
        let owners = owners(bench, &mut bundle);
        assert_eq!(owners, format!("5:5 {below}"), "{option}");
    }
}

fn an_idmapped_bind_without_a_user_namespace(bench: &mut Bench) {
    let source = owned_folder(bench);
    let mut bundle = bench.bundle();
    bundle.push(
        "/mounts",
        json!({
            "destination": "/tmp", "type": "bind", "source": source, "options": ["bind"],
            "uidMappings": map(0, 500), "gidMappings": map(0, 600),
        }),
    );
    bundle.args(&["stat", "-c", "%u:%g", "/tmp"]);
    bench.run(&bundle).success().prints("505:605");
}

fn an_idmap_option_takes_the_containers_map(bench: &mut Bench) {
    let source = owned_folder(bench);
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    bundle.mount("bind", &source, "/tmp", &["bind", "idmap"]);
    bundle.args(&["stat", "-c", "%u:%g", "/tmp"]);
    bench.run(&bundle).success().prints("5:5");
}

fn an_idmapped_tmpfs_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push(
        "/mounts",
        json!({
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
            "uidMappings": map(0, 500), "gidMappings": map(0, 600),
        }),
    );
    bench.refuses(&bundle);
}

fn devpts_is_the_containers_own(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("ls /dev/pts; stat -c %a /dev/pts/ptmx; readlink /dev/ptmx");
    bench.run(&bundle).success().prints("ptmx\n666\npts/ptmx");
    let has = ["nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"];
    shows(bench, &mut bundle, "/dev/pts", &has, &[]);
}

fn mqueue_is_the_containers_own(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let has = ["nosuid", "nodev", "noexec"];
    shows(bench, &mut bundle, "/dev/mqueue", &has, &[]);
}

fn sysfs_is_read_only(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let has = ["ro", "nosuid", "nodev", "noexec"];
    shows(bench, &mut bundle, "/sys", &has, &[]);
}

fn a_read_only_cgroup_mount(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("find /sys/fs/cgroup -name cgroup.procs | head -n 1 | grep . && ! mkdir $(dirname $(find /sys/fs/cgroup -name cgroup.procs | head -n 1))/new");
    bench.run(&bundle).success();
    let has = ["ro", "nosuid", "nodev", "noexec"];
    let place = match soute_tests::layout() {
        soute_tests::Layout::V1 => "/sys/fs/cgroup/pids",
        soute_tests::Layout::V2 => "/sys/fs/cgroup",
    };
    shows(bench, &mut bundle, place, &has, &[]);
}

fn proc_is_of_the_containers_pids(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("cd /proc; echo [0-9]* | cut -d' ' -f1; readlink self");
    bench.run(&bundle).success().prints("1\n1");
}

/// CVE-2019-16884, CVE-2023-27561.
fn a_mount_on_proc_is_refused(bench: &mut Bench) {
    let source = folder(bench, "source");
    for (kind, from) in [("tmpfs", "tmpfs"), ("bind", source.as_str())] {
        for place in ["/proc/self", "/proc/sys", "/proc/1/fd"] {
            let mut bundle = bench.bundle();
            let options: &[&str] = if kind == "bind" { &["bind"] } else { &[] };
            bundle.mount(kind, from, place, options);
            bench.refuses(&bundle);
        }
    }
}

/// Which lxcfs does.
fn a_file_of_proc_is_covered(bench: &mut Bench) {
    folder(bench, "source");
    let mut bundle = bench.bundle();
    let file = bench.text("source/file");
    bundle.mount("bind", &file, "/proc/meminfo", &["bind", "ro"]);
    bundle.args(&["cat", "/proc/meminfo"]);
    bench.run(&bundle).success().prints("in source");
}

fn an_overlay(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let lower = folder(bench, "lower");
    let [upper, work] = ["upper", "work"].map(|name| {
        fs::create_dir(bench.path(name)).unwrap();
        bench.text(name)
    });
    let [lower, upper_option, work] = [
        format!("lowerdir={lower}"),
        format!("upperdir={upper}"),
        format!("workdir={work}"),
    ];
    bundle.mount(
        "overlay",
        "overlay",
        "/tmp",
        &[&lower, &upper_option, &work],
    );
    bundle.sh("cat /tmp/file; echo changed > /tmp/file");
    bench.run(&bundle).success().prints("in lower");
    let changed = fs::read_to_string(bench.path("upper/file")).unwrap();
    assert_eq!(changed, "changed\n");
}

/// A mount's target that `..` leads out of the root.
fn a_destination_with_dots_stays_inside(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = folder(bench, "source");
    bundle.mount("bind", &source, "/../../../../tmp", &["bind"]);
    bundle.args(&["cat", "/tmp/file"]);
    bench.run(&bundle).success().prints("in source");
}
