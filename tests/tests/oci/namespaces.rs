//! `linux.namespaces`: new ones, others', and the names and maps in them.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::runtime::Runtime;

cases![
    namespaces_that_are_asked_for_are_new,
    namespaces_that_are_not_asked_for_are_the_callers,
    a_network_namespace_by_path,
    an_ipc_namespace_by_path,
    a_uts_namespace_by_path,
    a_pid_namespace_by_path,
    a_cgroup_namespace_by_path,
    a_mount_namespace_by_path,
    a_user_namespace_by_path,
    a_time_namespace_by_path,
    namespaces_of_another_container,
    a_path_of_another_kind_is_refused,
    a_path_that_is_no_namespace_is_refused,
    a_namespace_twice_is_refused,
    an_unknown_namespace_is_refused,
    a_new_network_has_loopback_alone,
    loopback_is_up,
    the_host_name_is_set,
    the_host_name_needs_a_namespace,
    the_domain_name_is_set,
    ids_are_mapped,
    several_ranges_of_ids,
    a_mapped_user_runs_the_program,
    devices_in_a_user_namespace,
    a_user_namespace_without_maps_is_refused,
    setgroups_works_in_a_user_namespace,
    clocks_are_offset,
    clock_offsets_need_a_namespace,
    sysctls_are_set,
    a_sysctl_of_the_machine_is_refused,
    a_sysctl_without_its_namespace_is_refused,
    a_sysctl_in_the_callers_namespace_by_path_is_refused,
    the_cgroup_namespace_shows_a_root,
];

/// A namespace's identity as `/proc/PID/ns/NAME` shows it.
#[track_caller]
fn identity(pid: u32, name: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
    link.display().to_string()
}

/// The runtime's kinds and the kernel's names of them.
const KINDS: &[(&str, &str)] = &[
    ("mount", "mnt"),
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
];

/// With a range of ids for its own user namespace, and a root file system that root there owns.
#[track_caller]
pub fn mapped(bundle: &mut Bundle) {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.namespace("user", None);
    bundle.set("/linux/uidMappings", map.clone());
    bundle.set("/linux/gidMappings", map);
    let mut chown = Command::new("chown");
    chown.args(["--recursive", "--no-dereference", "100000:100000"]);
    soute_tests::output(chown.arg(bundle.rootfs())).success();
}

/// A process that lives in a namespace of its own until it is dropped.
struct Holder(Child);

impl Holder {
    #[track_caller]
    fn new(flags: &[&str]) -> Self {
        let mut unshare = Command::new("unshare");
        unshare
            .args(flags)
            .args(["sh", "-c", "echo; exec sleep 1000"]);
        unshare.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = unshare.spawn().expect("unshare (package util-linux)");
        let mut line = [0];
        let mut stdout = child.stdout.take().expect("piped");
        std::io::Read::read_exact(&mut stdout, &mut line).expect("it has started");
        Self(child)
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn namespaces_that_are_asked_for_are_new(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.namespace("cgroup", None);
    let id = bench.start(&bundle);
    for (kind, name) in KINDS {
        let theirs = identity(bench.pid(&id), name);
        let ours = fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap();
        assert_ne!(theirs, ours.display().to_string(), "{kind}");
    }
}

fn namespaces_that_are_not_asked_for_are_the_callers(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    for kind in ["pid", "ipc", "network", "uts"] {
        bundle.without_namespace(kind);
    }
    bundle.remove("/hostname");
    let id = bench.start(&bundle);
    for name in ["pid", "ipc", "net", "uts", "user", "time"] {
        let ours = fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap();
        assert_eq!(identity(bench.pid(&id), name), ours.display().to_string());
    }
}

#[track_caller]
fn joins(bench: &mut Bench, flags: &[&str], kind: &str, name: &str) {
    let holder = Holder::new(flags);
    let mut bundle = bench.sleeper();
    bundle.namespace(kind, Some(&holder.path(name)));
    if kind == "uts" {
        bundle.remove("/hostname");
    }
    let id = bench.start(&bundle);
    let theirs = fs::read_link(holder.path(name)).unwrap();
    assert_eq!(identity(bench.pid(&id), name), theirs.display().to_string());
    let exec = bench.exec(&id, &["readlink", &format!("/proc/self/ns/{name}")]);
    exec.success().prints(&theirs.display().to_string());
}

fn a_network_namespace_by_path(bench: &mut Bench) {
    joins(bench, &["--net"], "network", "net");
}

fn an_ipc_namespace_by_path(bench: &mut Bench) {
    joins(bench, &["--ipc"], "ipc", "ipc");
}

fn a_uts_namespace_by_path(bench: &mut Bench) {
    joins(bench, &["--uts"], "uts", "uts");
}

fn a_cgroup_namespace_by_path(bench: &mut Bench) {
    joins(bench, &["--cgroup"], "cgroup", "cgroup");
}

fn a_pid_namespace_by_path(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let first = bench.start(&bundle);
    let path = format!("/proc/{}/ns/pid", bench.pid(&first));
    let mut bundle = bench.sleeper();
    bundle.namespace("pid", Some(&path));
    let second = bench.start(&bundle);
    let of = |id: &str| identity(bench.pid(id), "pid");
    assert_eq!(of(&first), of(&second));
    bench.exec(&first, &["ps"]).success().shows("sleep 1000");
    // The end of the second is not the first's.
    bench.call(&["delete", "--force", &second]).success();
    assert_eq!(bench.state(&first)["status"], "running");
}

/// runc and crun join it, and change its root for whoever else is in it. soute makes a mount namespace for each
/// container, and refuses: docs/oci-runtime.md.
fn a_mount_namespace_by_path(bench: &mut Bench) {
    let holder = Holder::new(&["--mount", "--propagation", "private"]);
    let mut bundle = bench.sleeper();
    bundle.namespace("mount", Some(&holder.path("mnt")));
    if bench.runtime == Runtime::Soute {
        bench.run(&bundle).fails(1, &["namespace of its own"]);
        return;
    }
    let id = bench.start(&bundle);
    let theirs = fs::read_link(holder.path("mnt")).unwrap();
    assert_eq!(
        identity(bench.pid(&id), "mnt"),
        theirs.display().to_string()
    );
}

fn a_user_namespace_by_path(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    mapped(&mut bundle);
    let first = bench.start(&bundle);
    let path = format!("/proc/{}/ns/user", bench.pid(&first));
    bundle.namespace("user", Some(&path));
    bundle
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings");
    let second = bench.start(&bundle);
    let of = |id: &str| identity(bench.pid(id), "user");
    assert_eq!(of(&first), of(&second));
    bench.exec(&second, &["id", "-u"]).success().prints("0");
}

fn a_time_namespace_by_path(bench: &mut Bench) {
    joins(
        bench,
        &["--time", "--fork", "--kill-child"],
        "time",
        "time_for_children",
    );
}

/// What a pod is.
fn namespaces_of_another_container(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let pause = bench.start(&bundle);
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let path = format!("/proc/{}/ns/{name}", bench.pid(&pause));
        bundle.namespace(kind, Some(&path));
    }
    bundle.remove("/hostname");
    let id = bench.start(&bundle);
    for name in ["net", "ipc", "uts"] {
        assert_eq!(
            identity(bench.pid(&id), name),
            identity(bench.pid(&pause), name)
        );
    }
    bench.exec(&id, &["hostname"]).success().prints("box");
}

fn a_path_of_another_kind_is_refused(bench: &mut Bench) {
    // Nobody in the bench's own namespaces, which must be empty in the end.
    let holder = Holder::new(&["--ipc", "--mount", "--net"]);
    let mut bundle = bench.bundle();
    bundle.namespace("network", Some(&holder.path("ipc")));
    bench.refuses(&bundle);
}

fn a_path_that_is_no_namespace_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    for path in ["/etc/passwd", "/no/such/file"] {
        bundle.namespace("network", Some(path));
        bench.refuses(&bundle);
    }
}

/// "If a namespaces field contains duplicated namespaces with same type, the runtime MUST generate an error" (config-linux.md).
fn a_namespace_twice_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/linux/namespaces", json!({"type": "ipc"}));
    bench.refuses(&bundle);
}

fn an_unknown_namespace_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/linux/namespaces", json!({"type": "bogus"}));
    bench.refuses(&bundle);
}

fn a_new_network_has_loopback_alone(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["ls", "/sys/class/net"]);
    bench.run(&bundle).success().prints("lo");
}

fn loopback_is_up(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["ip", "address", "show", "lo"]);
    let outcome = bench.run(&bundle);
    outcome.success().shows("127.0.0.1/8").shows("LOOPBACK,UP");
}

fn the_host_name_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle
        .set("/hostname", json!("named.example"))
        .args(&["hostname"]);
    bench.run(&bundle).success().prints("named.example");
}

/// It would be the machine's.
fn the_host_name_needs_a_namespace(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without_namespace("uts");
    bench.refuses(&bundle);
}

fn the_domain_name_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/domainname", json!("domain.example"));
    bundle.args(&["cat", "/proc/sys/kernel/domainname"]);
    bench.run(&bundle).success().prints("domain.example");
}

fn ids_are_mapped(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    bundle.sh("id -u; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin");
    let outcome = bench.run(&bundle);
    let words: Vec<&str> = outcome.text().split_whitespace().collect();
    let wanted = ["0", "0", "100000", "65536", "0", "100000", "65536", "0:0"];
    assert_eq!(words, wanted, "{outcome}");
}

fn several_ranges_of_ids(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    let map = json!([
        {"containerID": 0, "hostID": 100_000, "size": 10},
        {"containerID": 10, "hostID": 200_000, "size": 5},
        {"containerID": 1000, "hostID": 300_000, "size": 1},
    ]);
    bundle.set("/linux/uidMappings", map.clone());
    bundle.set("/linux/gidMappings", map);
    // The gid of terminals is not among them.
    bundle.without("/mounts", |mount| mount["destination"] == "/dev/pts");
    bundle.args(&["cat", "/proc/self/uid_map"]);
    let outcome = bench.run(&bundle);
    let words: Vec<&str> = outcome.text().split_whitespace().collect();
    let wanted = [
        "0", "100000", "10", "10", "200000", "5", "1000", "300000", "1",
    ];
    assert_eq!(words, wanted, "{outcome}");
}

fn a_mapped_user_runs_the_program(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    mapped(&mut bundle);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 50}));
    let id = bench.start(&bundle);
    let status = fs::read_to_string(format!("/proc/{}/status", bench.pid(&id))).unwrap();
    assert!(status.contains("Uid:\t101000\t"), "{status}");
    assert!(status.contains("Gid:\t100050\t"), "{status}");
}

/// Nodes cannot be made in a user namespace: the machine's are bound.
fn devices_in_a_user_namespace(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    bundle.sh("echo x > /dev/null; head -c 4 /dev/zero | wc -c; stat -c %t:%T /dev/null");
    bench.run(&bundle).success().prints("4\n1:3");
}

fn a_user_namespace_without_maps_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.namespace("user", None);
    bench.refuses(&bundle);
}

fn setgroups_works_in_a_user_namespace(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    bundle.set("/process/user/additionalGids", json!([5, 6]));
    bundle.sh("cat /proc/self/setgroups; id -G");
    bench.run(&bundle).success().prints("allow\n0 5 6");
}

fn clocks_are_offset(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.namespace("time", None);
    bundle.set(
        "/linux/timeOffsets",
        json!({"boottime": {"secs": 864_000, "nanosecs": 5}, "monotonic": {"secs": 86_400}}),
    );
    bundle.args(&["cat", "/proc/self/timens_offsets"]);
    let outcome = bench.run(&bundle);
    let words: Vec<&str> = outcome.text().split_whitespace().collect();
    assert_eq!(
        words,
        ["monotonic", "86400", "0", "boottime", "864000", "5"]
    );
    bundle.args(&["cat", "/proc/uptime"]);
    let uptime = bench.run(&bundle);
    let seconds: f64 = uptime.text().split(' ').next().unwrap().parse().unwrap();
    assert!(seconds > 864_000.0, "{uptime}");
}

fn clock_offsets_need_a_namespace(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 864_000}}));
    bench.refuses(&bundle);
}

fn sysctls_are_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let sysctl = json!({
        "net.ipv4.ip_forward": "1", "kernel.msgmax": "12345", "fs.mqueue.msg_max": "7",
        "net.ipv4.ping_group_range": "0 5",
    });
    bundle.set("/linux/sysctl", sysctl);
    bundle.sh(
        "cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax fs/mqueue/msg_max; cat net/ipv4/ping_group_range | tr '\t' ' '",
    );
    bench.run(&bundle).success().prints("1\n12345\n7\n0 5");
}

#[track_caller]
fn refuses_sysctl(bench: &mut Bench, bundle: &mut Bundle, name: &str, value: &str) {
    let mut sysctl = Value::Object(serde_json::Map::new());
    sysctl[name] = json!(value);
    bundle.set("/linux/sysctl", sysctl);
    bench.refuses(bundle);
}

/// CVE-2022-0811.
fn a_sysctl_of_the_machine_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    for name in [
        "kernel.core_pattern",
        "vm.drop_caches",
        "kernel.shm_rmid_forced/../core_pattern",
        "net/../kernel/core_pattern",
        "net.ipv4.no_such",
    ] {
        refuses_sysctl(bench, &mut bundle, name, pattern.trim());
    }
}

fn a_sysctl_without_its_namespace_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without_namespace("network");
    refuses_sysctl(bench, &mut bundle, "net.ipv4.ip_forward", "1");
    let mut bundle = bench.bundle();
    bundle.without_namespace("ipc");
    refuses_sysctl(bench, &mut bundle, "kernel.msgmax", "12345");
}

/// Named by a path, it is the machine's all the same; the values are those that the machine has.
fn a_sysctl_in_the_callers_namespace_by_path_is_refused(bench: &mut Bench) {
    for (kind, file, name) in [
        ("network", "net", "net.ipv4.ip_forward"),
        ("ipc", "ipc", "kernel.msgmax"),
    ] {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = fs::read_to_string(path).unwrap();
        let mut bundle = bench.bundle();
        bundle.namespace(kind, Some(&format!("/proc/self/ns/{file}")));
        refuses_sysctl(bench, &mut bundle, name, value.trim());
    }
}

fn the_cgroup_namespace_shows_a_root(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.namespace("cgroup", None);
    bundle.args(&["cat", "/proc/self/cgroup"]);
    let outcome = bench.run(&bundle);
    let line = outcome
        .text()
        .lines()
        .find(|line| line.contains(":pids:") || line.starts_with("0::"));
    assert!(line.is_some_and(|line| line.ends_with(":/")), "{outcome}");
}
