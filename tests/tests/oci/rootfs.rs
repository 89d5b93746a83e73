//! `root`, the paths that are masked, and `/dev`.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    the_root_is_the_bundles,
    the_root_by_an_absolute_path,
    the_root_is_read_only,
    the_root_is_writable,
    nothing_of_the_machine_is_seen,
    the_roots_propagation,
    masked_paths_show_nothing,
    a_masked_path_that_is_not_there,
    a_masked_symlink_stays_inside,
    read_only_paths_are_read_only,
    a_read_only_path_that_is_not_there,
    a_path_is_masked_within_a_bind,
    default_devices_are_there,
    default_links_are_there,
    default_devices_can_be_used,
    devices_are_made,
    a_device_over_one_that_is_there,
    devices_of_every_kind,
    an_unknown_device_is_refused,
    a_device_that_is_not_allowed_does_not_open,
    a_device_that_is_allowed_opens,
    no_pivot_runs_too,
    a_root_that_is_a_mount,
    a_fake_proc_is_refused,
    a_fake_sys_is_refused,
    a_symlink_as_dev_stays_inside,
];

fn the_root_is_the_bundles(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    fs::write(bundle.rootfs().join("own"), "mine\n").unwrap();
    bundle.args(&["cat", "/own"]);
    bench.run(&bundle).success().prints("mine");
}

fn the_root_by_an_absolute_path(bench: &mut Bench) {
    let other = bench.bundle();
    fs::write(other.rootfs().join("own"), "other\n").unwrap();
    let mut bundle = bench.bundle();
    let path = other.rootfs().display().to_string();
    bundle.set("/root/path", json!(path)).args(&["cat", "/own"]);
    bench.run(&bundle).success().prints("other");
}

fn the_root_is_read_only(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["touch", "/file"]);
    bench.run(&bundle).fails(1, &["Read-only file system"]);
}

fn the_root_is_writable(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/root/readonly", json!(false));
    bundle.args(&["touch", "/file"]);
    bench.run(&bundle).success();
    assert!(bundle.rootfs().join("file").exists());
}

fn nothing_of_the_machine_is_seen(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["cat", "/proc/self/mountinfo"]);
    let outcome = bench.run(&bundle);
    let places: Vec<&str> = outcome
        .text()
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    let known = ["/", "/dev", "/proc", "/sys"];
    for place in places {
        let ours = known
            .iter()
            .any(|one| place == *one || *one != "/" && place.starts_with(&format!("{one}/")));
        assert!(ours, "{place}: {outcome}");
    }
}

fn the_roots_propagation(bench: &mut Bench) {
    for (propagation, word) in [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared:"),
        ("unbindable", "unbindable"),
    ] {
        let mut bundle = bench.bundle();
        bundle.set("/linux/rootfsPropagation", json!(propagation));
        bundle.args(&["awk", "$5 == \"/\" {print $7}", "/proc/self/mountinfo"]);
        let outcome = bench.run(&bundle);
        let shown = outcome.text();
        match word {
            "" => assert_eq!(shown, "-", "{propagation}"),
            word => assert!(shown.starts_with(word), "{propagation}: {shown}"),
        }
    }
    let mut bundle = bench.bundle();
    bundle.set("/linux/rootfsPropagation", json!("bogus"));
    bench.refuses(&bundle);
}

fn masked_paths_show_nothing(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let folder = bundle.rootfs().join("secret");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "secret").unwrap();
    fs::write(bundle.rootfs().join("hidden"), "hidden").unwrap();
    bundle.set(
        "/linux/maskedPaths",
        json!(["/secret", "/hidden", "/proc/kcore"]),
    );
    bundle.sh("ls /secret; cat /hidden; head -c 1 /proc/kcore | wc -c; touch /secret/new");
    let outcome = bench.run(&bundle);
    outcome.fails(1, &["Read-only file system"]).prints("0");
}

fn a_masked_path_that_is_not_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/maskedPaths", json!(["/no/such/path"]));
    bench.run(&bundle).success();
    assert!(!bundle.rootfs().join("no").exists());
}

fn a_masked_symlink_stays_inside(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let outside = bench.path("outside");
    fs::write(&outside, "outside").unwrap();
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("link")).unwrap();
    bundle.set("/linux/maskedPaths", json!(["/link"]));
    // Masked inside, or refused: nothing happens outside.
    bench.run(&bundle);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "outside");
}

fn read_only_paths_are_read_only(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let folder = bundle.rootfs().join("kept");
    fs::create_dir(&folder).unwrap();
    bundle.set("/root/readonly", json!(false));
    bundle.set("/linux/readonlyPaths", json!(["/kept", "/proc/sys"]));
    bundle.sh("! touch /kept/new && ! echo 1 > /proc/sys/net/ipv4/ip_forward && touch /other");
    bench.run(&bundle).success();
}

fn a_read_only_path_that_is_not_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/readonlyPaths", json!(["/no/such/path"]));
    bench.run(&bundle).success();
}

fn a_path_is_masked_within_a_bind(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let source = bench.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("secret"), "secret").unwrap();
    bundle.mount("bind", source.to_str().unwrap(), "/tmp", &["bind"]);
    bundle.set("/linux/maskedPaths", json!(["/tmp/secret"]));
    bundle.args(&["cat", "/tmp/secret"]);
    bench.run(&bundle).success().prints("");
    assert_eq!(fs::read_to_string(source.join("secret")).unwrap(), "secret");
}

/// Name and numbers of what every container has.
const DEVICES: &[(&str, &str)] = &[
    ("null", "1:3"),
    ("zero", "1:5"),
    ("full", "1:7"),
    ("random", "1:8"),
    ("urandom", "1:9"),
    ("tty", "5:0"),
];

fn default_devices_are_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut words = vec!["stat".to_owned(), "-c".into(), "%n %t:%T %a %u:%g".into()];
    words.extend(DEVICES.iter().map(|(name, _)| format!("/dev/{name}")));
    bundle.set("/process/args", json!(words));
    let wanted: Vec<String> = DEVICES
        .iter()
        .map(|(name, numbers)| format!("/dev/{name} {numbers} 666 0:0"))
        .collect();
    bench.run(&bundle).success().prints(&wanted.join("\n"));
}

fn default_links_are_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("for name in fd stdin stdout stderr ptmx; do readlink /dev/$name; done");
    let links = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx";
    bench.run(&bundle).success().prints(links);
}

fn default_devices_can_be_used(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh(
        "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c && ! echo x > /dev/full && echo to-stdout > /dev/stdout",
    );
    bench.run(&bundle).success().prints("3\n3\nto-stdout");
}

fn device(kind: &str, path: &str, major: u32, minor: u32) -> Value {
    json!({
        "type": kind, "path": path, "major": major, "minor": minor,
        "fileMode": 0o640, "uid": 5, "gid": 6,
    })
}

fn devices_are_made(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/linux/devices", device("c", "/dev/nought", 1, 5));
    bundle.push("/linux/devices", device("c", "/dev/folder/deep", 10, 229));
    bundle.args(&[
        "stat",
        "-c",
        "%F %t:%T %a %u:%g",
        "/dev/nought",
        "/dev/folder/deep",
    ]);
    let wanted = "character special file 1:5 640 5:6\ncharacter special file a:e5 640 5:6";
    bench.run(&bundle).success().prints(wanted);
}

fn a_device_over_one_that_is_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/linux/devices", device("c", "/dev/zero", 1, 5));
    bundle.args(&["stat", "-c", "%t:%T %a %u:%g", "/dev/zero"]);
    bench.run(&bundle).success().prints("1:5 640 5:6");
}

fn devices_of_every_kind(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/linux/devices", device("b", "/dev/block", 7, 0));
    bundle.push("/linux/devices", device("u", "/dev/unbuffered", 1, 3));
    let pipe = json!({"type": "p", "path": "/dev/pipe", "fileMode": 0o600, "uid": 0, "gid": 0});
    bundle.push("/linux/devices", pipe);
    bundle.args(&[
        "stat",
        "-c",
        "%F",
        "/dev/block",
        "/dev/unbuffered",
        "/dev/pipe",
    ]);
    let outcome = bench.run(&bundle);
    outcome
        .success()
        .prints("block special file\ncharacter special file\nfifo");
}

fn an_unknown_device_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/linux/devices", device("x", "/dev/odd", 1, 3));
    bench.refuses(&bundle);
}

/// CAP_MKNOD makes the node; the cgroup keeps it shut.
#[track_caller]
fn opens(bench: &mut Bench, bundle: &mut Bundle, numbers: &str, mode: &str) -> bool {
    // Reading /dev/kmsg takes CAP_SYSLOG.
    bundle.capabilities(&["CAP_MKNOD", "CAP_SYSLOG"]);
    bundle.mount("tmpfs", "tmpfs", "/tmp", &["dev"]);
    let open = if mode == "r" { "<" } else { ">" };
    bundle.sh(&format!(
        "mknod /tmp/node {numbers} && : {open} /tmp/node && echo opens"
    ));
    let outcome = bench.run(bundle);
    outcome.stdout.contains("opens")
}

fn a_device_that_is_not_allowed_does_not_open(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    // /dev/kmsg
    assert!(!opens(bench, &mut bundle, "c 1 11", "r"));
    let mut bundle = bench.bundle();
    assert!(opens(bench, &mut bundle, "c 1 3", "w"));
}

fn a_device_that_is_allowed_opens(bench: &mut Bench) {
    let rule = |access: &str| json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": access});
    let mut bundle = bench.bundle();
    bundle.push("/linux/resources/devices", rule("rwm"));
    assert!(opens(bench, &mut bundle, "c 1 11", "r"));
    // Of what is allowed, only that.
    let mut bundle = bench.bundle();
    bundle.push("/linux/resources/devices", rule("rm"));
    assert!(opens(bench, &mut bundle, "c 1 11", "r"));
    let mut bundle = bench.bundle();
    bundle.push("/linux/resources/devices", rule("rm"));
    assert!(!opens(bench, &mut bundle, "c 1 11", "w"));
}

fn no_pivot_runs_too(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    fs::write(bundle.rootfs().join("own"), "mine\n").unwrap();
    bundle.args(&["cat", "/own"]);
    let outcome = bench.run_with(&bundle, &["--no-pivot"]);
    outcome.success().prints("mine");
}

/// As containerd and Docker hand it over.
fn a_root_that_is_a_mount(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let root = bundle.rootfs();
    rustix::mount::mount_bind(&root, &root).unwrap();
    fs::write(root.join("own"), "mine\n").unwrap();
    bundle.args(&["cat", "/own"]);
    let outcome = bench.run(&bundle);
    rustix::mount::unmount(&root, rustix::mount::UnmountFlags::DETACH).unwrap();
    outcome.success().prints("mine");
}

/// CVE-2019-19921: /proc of the image is a link to a folder that the image controls.
fn a_fake_proc_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    fs::remove_dir(bundle.rootfs().join("proc")).unwrap();
    fs::create_dir(bundle.rootfs().join("fake")).unwrap();
    std::os::unix::fs::symlink("/fake", bundle.rootfs().join("proc")).unwrap();
    bundle.args(&["true"]);
    bench.refuses(&bundle);
}

fn a_fake_sys_is_refused(bench: &mut Bench) {
    let bundle = bench.bundle();
    fs::remove_dir(bundle.rootfs().join("sys")).unwrap();
    fs::create_dir(bundle.rootfs().join("fake")).unwrap();
    std::os::unix::fs::symlink("/fake", bundle.rootfs().join("sys")).unwrap();
    bench.refuses(&bundle);
}

/// CVE-2026-41579: devices made where the link leads.
fn a_symlink_as_dev_stays_inside(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let outside = bench.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("dev")).unwrap();
    bundle.push("/linux/devices", device("c", "/dev/nought", 1, 5));
    bench.run(&bundle);
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
}
