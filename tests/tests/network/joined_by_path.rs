//! Containers in a network namespace that somebody else has made: `--network ns:PATH`.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use soute_tests::{Outcome, World, output, own_folders};

use crate::lan::ip;
use crate::{exec, sleeper};

/// A namespace that a file leads to, with an interface `inside0` (10.5.0.2) whose other end the machine has (10.5.0.1).
struct Named {
    path: String,
}

impl Named {
    #[track_caller]
    fn new(path: &str) -> Self {
        std::fs::write(path, "").expect("a file to mount the namespace on");
        let named = Self {
            path: path.to_owned(),
        };
        named.make();
        let link = "link add out0 type veth peer name inside0";
        ip(link).success();
        named.take("inside0");
        ip("address add 10.5.0.1/24 dev out0").success();
        ip("link set out0 up").success();
        named.ip("address add 10.5.0.2/24 dev inside0").success();
        named.ip("link set inside0 up").success();
        named
    }

    #[track_caller]
    fn make(&self) {
        let net = format!("--net={}", self.path);
        output(Command::new("unshare").args([&net, "true"])).success();
    }

    #[track_caller]
    fn unmake(&self) {
        output(Command::new("umount").arg(&self.path)).success();
    }

    /// Gives it an interface of the machine's.
    #[track_caller]
    fn take(&self, interface: &str) {
        let net = format!("--net={}", self.path);
        let mut holder = Command::new("nsenter")
            .args([&net, "sleep", "1000"])
            .spawn()
            .expect("nsenter (package util-linux)");
        let own = inode("/proc/thread-self/ns/net");
        let pid = holder.id();
        soute_tests::wait_until("it is there", || {
            inode(&format!("/proc/{pid}/ns/net")) != own
        });
        let moved = ip(&format!("link set {interface} netns {pid}"));
        holder.kill().expect("kill");
        holder.wait().expect("wait");
        moved.success();
    }

    #[track_caller]
    fn ip(&self, words: &str) -> Outcome {
        let net = format!("--net={}", self.path);
        output(
            Command::new("nsenter")
                .args([&net, "ip"])
                .args(words.split(' ')),
        )
    }

    fn flag(&self) -> String {
        format!("--network=ns:{}", self.path)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}

#[track_caller]
fn write(path: &str, content: &str) {
    // It may be a link to somewhere else.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, content).unwrap();
}

fn inode(namespace: &str) -> String {
    let link = std::fs::read_link(namespace).expect("a namespace");
    link.to_string_lossy().into_owned()
}

/// It sees the interfaces that are there, and none of the machine's; whoever owns the namespace keeps it.
#[test]
fn a_container_is_in_the_namespace() {
    own_folders();
    write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.77 printer\n");
    write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.53\nnameserver 192.0.2.53\n",
    );
    let world = World::new();
    let named = Named::new(world.path("blue").to_str().unwrap());
    for userns in [&[][..], &["--userns", "host"]] {
        let id = sleeper(&world, &[&[&named.flag()[..]], userns].concat());
        exec(&world, &id, "ls /sys/class/net")
            .success()
            .shows("inside0")
            .shows_not("out0");
        // The machine is there, where nobody listens.
        exec(&world, &id, "nc -w 5 10.5.0.1 7 < /dev/null").fails(1, &["Connection refused"]);
        exec(&world, &id, "cat /proc/net/dev")
            .success()
            .shows("inside0");
        // What it may do there is as little as with --network host.
        exec(&world, &id, "ip link set inside0 down").fails(2, &["not permitted"]);
        exec(&world, &id, "touch /sys/class/net/inside0/x").code(1);
        exec(&world, &id, "cat /etc/hosts")
            .success()
            .shows("192.0.2.77 printer");
        exec(&world, &id, "cat /etc/resolv.conf")
            .success()
            .shows("nameserver 192.0.2.53")
            .shows_not("127.0.0.53");
        exec(&world, &id, "hostname").success().prints(&id[..12]);
        let told = world.inspect(&id);
        let mode = format!("ns:{}", named.path);
        assert_eq!(told["HostConfig"]["NetworkMode"], mode);
        let list = world.soute(["ps", "--format", "{{.Networks}}"]);
        list.success().prints(&mode);
        world
            .soute(["network", "connect", "bridge", &id])
            .fails(1, &["no network of its own", &mode]);
        world.soute(["rm", "--force", &id]).success();
    }
    named.ip("link show inside0").success();
}

/// As ip-netns(8) has it for whatever runs in a namespace with a name.
#[test]
fn a_named_one_may_have_files_of_its_own() {
    own_folders();
    write("/etc/resolv.conf", "nameserver 192.0.2.53\n");
    std::fs::create_dir("/run/netns").unwrap();
    std::fs::create_dir_all("/etc/netns/red").unwrap();
    write("/etc/netns/red/resolv.conf", "nameserver 127.0.0.9\n");
    let world = World::new();
    for (name, server) in [("red", "127.0.0.9"), ("green", "192.0.2.53")] {
        let named = Named::new(&format!("/run/netns/{name}"));
        let told = world.sh(&[&named.flag()], "cat /etc/resolv.conf");
        told.success().prints(&format!("nameserver {server}"));
        ip("link delete out0").success();
    }
}

#[test]
fn any_processs_namespace_can_be_joined() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let id = sleeper(&world, &["--network", "net"]);
    let path = format!("/proc/{}/ns/net", world.pid(&id));
    let flag = format!("--network=ns:{path}");
    let other = sleeper(&world, &[&flag]);
    let other_path = format!("/proc/{}/ns/net", world.pid(&other));
    assert_eq!(inode(&other_path), inode(&path));
    exec(&world, &other, "ls /sys/class/net")
        .success()
        .shows("eth0");
    // The machine's own is as --network host.
    let own = "--network=ns:/proc/self/ns/net";
    world
        .sh(&[own], "cat /proc/net/dev")
        .success()
        .shows("soute1");
}

/// What the path leads to is looked at anew.
#[test]
fn it_is_opened_again_at_each_start() {
    let world = World::new();
    let named = Named::new(world.path("green").to_str().unwrap());
    let id = sleeper(&world, &[&named.flag(), "--name", "box"]);
    named.unmake();
    // It goes on where it is.
    exec(&world, &id, "cat /proc/net/dev")
        .success()
        .shows("inside0");
    world
        .soute(["restart", "--time", "0", "box"])
        .fails(1, &[&named.path, "not one any more"]);
    named.make();
    world.soute(["start", "box"]).success();
    let file = std::fs::metadata(&named.path).expect("a namespace").ino();
    let own = inode(&format!("/proc/{}/ns/net", world.pid(&id)));
    assert_eq!(own, format!("net:[{file}]"));
    exec(&world, &id, "ls /sys/class/net")
        .success()
        .shows_not("inside0");
}

#[test]
fn what_leads_to_no_network_is_refused() {
    let world = World::new();
    let stale = world.path("stale");
    std::fs::write(&stale, "").unwrap();
    let fifo = world.path("fifo");
    output(Command::new("mkfifo").arg(&fifo)).success();
    for (path, why) in [
        ("/run/netns/no-such-one", "No such file"),
        ("/proc/self/ns/uts", "of the kind uts"),
        ("/proc/self/ns/user", "of the kind user"),
        ("/dev/null", "not the file of a namespace"),
        (stale.to_str().unwrap(), "not one any more"),
        (fifo.to_str().unwrap(), "not the file of a namespace"),
    ] {
        world
            .sh(&[&format!("--network=ns:{path}")], "true")
            .fails(125, &[path, why, "ip netns add"]);
    }
    world
        .sh(&["--network", "ns:relative"], "true")
        .fails(125, &["absolute path"]);
    for flags in [["-p", "80:80"], ["--ip", "10.5.0.9"]] {
        let network = ["--network", "ns:/proc/1/ns/net"];
        world
            .sh(&[network, flags].concat(), "true")
            .fails(125, &["--network"]);
    }
    let network = ["--network", "ns:/proc/1/ns/net", "--network", "bridge"];
    world
        .sh(&network, "true")
        .fails(125, &["no other --network"]);
    let named = Named::new(world.path("grey").to_str().unwrap());
    world
        .sh(
            &[&named.flag(), "--sysctl", "net.ipv4.ip_forward=1"],
            "true",
        )
        .fails(125, &["net.ipv4.ip_forward", "not its own"]);
    // A terminal gets nothing raw of a path.
    let told = world.sh(&["--network", "ns:/nowhere\u{1b}[31m"], "true");
    told.code(125);
    assert!(!told.stderr.contains('\u{1b}'), "{told}");
    assert!(world.ids().is_empty());
}
