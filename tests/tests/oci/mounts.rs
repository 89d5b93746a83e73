//! `mounts`: what is mounted, and where.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use soute_tests::output;

use crate::bench::Bench;
use crate::case::cases;
use crate::mount_options::shows;

cases![
    a_bind_shows_the_machines_folder,
    a_read_only_bind,
    a_bind_shows_no_mounts_below,
    an_rbind_shows_the_mounts_below,
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
    an_unknown_file_system_is_refused,
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

/// A folder of the machine's with a file in it.
#[track_caller]
pub fn folder(bench: &Bench, name: &str) -> String {
    let path = bench.path(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("file"), format!("in {name}\n")).unwrap();
    path.display().to_string()
}

/// A folder of the machine's with a mount below it, `folder/below`; unmounted when the case is over.
pub struct WithMount(pub PathBuf);

impl WithMount {
    #[track_caller]
    pub fn new(bench: &Bench, name: &str) -> Self {
        let below = PathBuf::from(folder(bench, name)).join("below");
        fs::create_dir(&below).unwrap();
        let mount = ["-t", "tmpfs", "tmpfs"];
        output(Command::new("mount").args(mount).arg(&below)).success();
        fs::write(below.join("deep"), "deep\n").unwrap();
        Self(below)
    }

    pub fn path(&self) -> String {
        self.0.parent().expect("a folder").display().to_string()
    }
}

impl Drop for WithMount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
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

fn an_unknown_file_system_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("bogusfs", "none", "/tmp", &[]);
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
