//! What crosses a container's interfaces.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use soute_tests::{Outcome, Running, World, output, wait_until};

use crate::neighbour::Neighbour;

/// `soute capture WORDS`, which hears by now.
struct Capture {
    running: Running,
    told: PathBuf,
}

impl Capture {
    #[track_caller]
    fn start(world: &World, words: &[&str]) -> Self {
        let command = world.command([&["capture"], words].concat());
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let told = world.path(&format!("capture.{number}.told"));
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" 2> \"$0\""]).arg(&told);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let mut this = Self {
            running: Running::start(shell.stdin(Stdio::null())),
            told,
        };
        wait_until("it hears", || {
            this.told().contains("capturing on") || !this.running.is_running()
        });
        assert!(this.told().contains("capturing on"), "{}", this.told());
        this
    }

    fn told(&self) -> String {
        std::fs::read_to_string(&self.told).unwrap_or_default()
    }

    /// What it wrote, and at the end said.
    #[track_caller]
    fn end(self) -> Outcome {
        let mut outcome = self.running.outcome();
        outcome.stderr = std::fs::read_to_string(&self.told).unwrap();
        outcome
    }

    #[track_caller]
    fn interrupt(self) -> Outcome {
        self.running.signal(Signal::INT);
        self.end()
    }
}

/// Two containers on a bridge, and their addresses.
#[track_caller]
fn two(world: &World) -> [(String, String); 2] {
    ["one", "other"].map(|name| {
        let words = [
            "--network",
            "bridge",
            "--name",
            name,
            "busybox",
            "sleep",
            "1000",
        ];
        let id = world.detached(words);
        let address = world.inspect(&id)["NetworkSettings"]["IPAddress"].clone();
        (id, address.as_str().unwrap().to_owned())
    })
}

#[track_caller]
fn ping(world: &World, from: &str, to: &str, count: &str) {
    let words = [
        "exec", from, "ping", "-c", count, "-i", "0.2", "-W", "5", to,
    ];
    world.soute(words).success();
}

#[track_caller]
fn tshark(file: &Path, words: &[&str]) -> Outcome {
    let outcome = output(
        Command::new("tshark")
            .arg("-n")
            .arg("-r")
            .arg(file)
            .args(words),
    );
    outcome.success();
    outcome
}

/// Fields of all packets, one line each.
#[track_caller]
fn fields(file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut words = vec!["-Y", filter, "-T", "fields", "-E", "separator= "];
    fields.iter().for_each(|field| words.extend(["-e", field]));
    tshark(file, &words)
        .text()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Story scene 8.
#[test]
fn a_ping_is_seen_live() {
    let world = World::new();
    let [(one, from), (other, to)] = two(&world);
    let mut capture = Capture::start(&world, &["other"]);
    assert!(
        capture
            .told()
            .contains("capturing on lo, eth0 of container other"),
        "{}",
        capture.told()
    );
    ping(&world, &one, &to, "1");
    let request = format!("eth0 In  IP {from} > {to}: ICMP echo request, id ");
    let reply = format!("eth0 Out IP {to} > {from}: ICMP echo reply, id ");
    capture.running.expect(&request);
    capture.running.expect(&reply);
    // By its id as well, and both at once.
    let short = Capture::start(&world, &[&other[..12], "--count", "1", "icmp"]);
    ping(&world, &one, &to, "1");
    short.end().success().shows(&request);
    let outcome = capture.interrupt();
    outcome.success();
    let line = outcome.stdout.lines().next().unwrap();
    let time = line.split(' ').next().unwrap();
    assert_eq!(time.len(), "12:34:56.123456".len(), "{line}");
    assert!(
        outcome
            .stderr
            .contains(" packets captured, 0 dropped by the kernel"),
        "{outcome}"
    );
}

/// The file has what the lines have, and those who know the format agree.
#[test]
fn a_file_is_read_by_others() {
    let world = World::new();
    let [(one, from), (_, to)] = two(&world);
    let file = world.path("file.pcapng");
    let path = file.to_str().unwrap();
    let text = Capture::start(&world, &["other", "-i", "eth0", "--filter", "icmp"]);
    let mut words = world.command(["capture", "other", "-w", path, "--filter", "icmp"]);
    let kept = Running::start(words.stdin(Stdio::null()));
    wait_until("it hears", || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    ping(&world, &one, &to, "3");
    kept.signal(Signal::TERM);
    let outcome = kept.outcome();
    assert!(
        outcome
            .success()
            .stderr
            .contains("soute: 6 packets captured, 0 dropped"),
        "{outcome}"
    );
    let lines = text.interrupt();
    let ways: Vec<_> = lines
        .success()
        .stdout
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let way = if words[2] == "In" {
                "0x00000001"
            } else {
                "0x00000002"
            };
            format!(
                "{} {way} {} {}",
                words[1],
                words[4],
                words[6].trim_end_matches(':')
            )
        })
        .collect();
    let seen = fields(
        &file,
        "icmp",
        &[
            "frame.interface_name",
            "frame.packet_flags_direction",
            "ip.src",
            "ip.dst",
        ],
    );
    assert_eq!(seen.len(), 6);
    assert_eq!(seen, ways);
    assert_eq!(seen[0], format!("eth0 0x00000001 {from} {to}"));
    // No packet is there that the filter did not want, and all are whole.
    assert_eq!(
        fields(&file, "not icmp or _ws.malformed", &["frame.number"]),
        [""; 0]
    );
    let about = output(Command::new("capinfos").arg(&file))
        .text()
        .to_owned();
    for wanted in [
        "Name = lo",
        "Name = eth0",
        "Filter string = icmp",
        "Time precision = nanoseconds (9)",
        "Number of packets = 6",
    ] {
        assert!(about.contains(wanted), "no {wanted:?} in {about}");
    }
    // tcpdump's lines are nearly ours.
    let theirs = output(Command::new("tcpdump").args(["-n", "-t", "-r", path]));
    let ours: Vec<_> = lines
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once(" IP ")?.1))
        .collect();
    let theirs: Vec<_> = theirs
        .success()
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("IP "))
        .collect();
    assert_eq!(theirs, ours);
}

/// The command for a shell.
fn line(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// To a program that reads while it goes on.
#[test]
fn standard_output_takes_a_file() {
    let world = World::new();
    let [(one, _), (_, to)] = two(&world);
    let command = world.command(["capture", "other", "-w", "-", "--count", "2", "icmp"]);
    let line = line(&command);
    let script = format!("{line} | tshark -n -l -r -");
    let mut reader = Running::start(
        Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null()),
    );
    let end = Instant::now() + Duration::from_secs(30);
    while reader.is_running() && Instant::now() < end {
        ping(&world, &one, &to, "1");
    }
    reader
        .outcome()
        .success()
        .shows("Echo (ping) request")
        .shows("Echo (ping) reply");
    let (code, shown) = world.terminal(["capture", "other", "-w", "-"]).finish();
    assert_eq!(code, 1);
    assert!(shown.contains("standard output is a terminal"), "{shown}");
}

#[test]
fn tcp_is_told_and_the_filter_drops_the_rest() {
    let world = World::new();
    let [(one, from), (other, to)] = two(&world);
    let server = world.start(["exec", &other, "sh", "-c", "echo hello | nc -l -p 8080"]);
    wait_until("it listens", || {
        world
            .soute(["exec", &other, "netstat", "-ltn"])
            .stdout
            .contains(":8080")
    });
    let capture = Capture::start(
        &world,
        &["other", &format!("tcp port 8080 and host {from}")],
    );
    ping(&world, &one, &to, "1");
    world
        .soute(["exec", &one, "nc", &to, "8080"])
        .success()
        .prints("hello");
    server.outcome().success();
    let outcome = capture.interrupt();
    outcome
        .success()
        .shows(&format!("> {to}.8080: Flags [S], seq "))
        .shows("options [mss 1460,sackOK,TS val ")
        .shows(&format!("IP {to}.8080 > {from}."))
        .shows("Flags [S.]")
        .shows("length 6\n")
        .shows("Flags [F.]")
        .shows_not("ICMP")
        .shows_not("ARP");
}

#[test]
fn it_ends_as_it_is_told() {
    let world = World::new();
    let [(one, _), (_, to)] = two(&world);
    let counted = Capture::start(&world, &["other", "--count", "3", "icmp"]);
    ping(&world, &one, &to, "4");
    let counted = counted.end();
    assert_eq!(counted.success().stdout.lines().count(), 3, "{counted}");
    assert!(counted.stderr.contains("3 packets captured"), "{counted}");
    let begun = Instant::now();
    let timed = Capture::start(&world, &["other", "--seconds", "1", "udp"]).end();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(
        timed.success().stderr.contains("0 packets captured"),
        "{timed}"
    );
    // A reader that has read enough, though nothing more comes.
    let command = world.command(["capture", "other", "icmp"]);
    let line = line(&command);
    let script = format!("{line} | head -n 1");
    let reader = Running::start(
        Command::new("bash")
            .args(["-o", "pipefail", "-c", &script])
            .stdin(Stdio::null()),
    );
    wait_until("a packet is read", || {
        ping(&world, &one, &to, "1");
        true
    });
    std::thread::sleep(Duration::from_millis(300));
    ping(&world, &one, &to, "1");
    let outcome = reader.outcome();
    assert_eq!(outcome.success().stdout.lines().count(), 1, "{outcome}");
    assert!(!outcome.stderr.contains("error"), "{outcome}");
}

/// Less of each packet is taken, and their lengths are what they were.
#[test]
fn a_snaplen_cuts() {
    let world = World::new();
    let [(one, _), (_, to)] = two(&world);
    let file = world.path("file.pcapng");
    let words = [
        "other",
        "-w",
        file.to_str().unwrap(),
        "--snaplen",
        "40",
        "--count",
        "2",
        "icmp",
    ];
    let capture = Capture::start(&world, &words);
    ping(&world, &one, &to, "1");
    capture.end().success();
    assert_eq!(
        fields(&file, "frame", &["frame.cap_len", "frame.len"]),
        ["40 98", "40 98"]
    );
}

/// With the container its network ends, and nothing holds it.
#[test]
fn the_containers_end_is_the_captures() {
    let world = World::new();
    let [(one, _), (other, to)] = two(&world);
    let file = world.path("file.pcapng");
    let capture = Capture::start(
        &world,
        &["other", "-i", "eth0", "-w", file.to_str().unwrap()],
    );
    ping(&world, &one, &to, "1");
    let peer = world.inspect(&other)["NetworkSettings"]["Networks"]["bridge"]["Peer"].clone();
    let peer = peer.as_str().unwrap().to_owned();
    world.soute(["kill", &other]).success();
    capture.end().success();
    let seen = fields(&file, "icmp", &["icmp.type"]);
    assert_eq!(seen, ["8", "0"]);
    wait_until("its wire is gone", || {
        output(Command::new("ip").args(["link", "show", &peer])).code != 0
    });
}

/// kill -9: what was written by then is read.
#[test]
fn a_capture_that_is_killed_leaves_what_it_has() {
    let world = World::new();
    let [(one, _), (_, to)] = two(&world);
    let file = world.path("file.pcapng");
    let capture = Capture::start(&world, &["other", "-w", file.to_str().unwrap(), "icmp"]);
    ping(&world, &one, &to, "1");
    wait_until("it is written", || {
        fields(&file, "icmp", &["icmp.type"]).len() == 2
    });
    capture.running.signal(Signal::KILL);
    capture.end().code(128 + 9);
    assert_eq!(fields(&file, "icmp", &["icmp.type"]), ["8", "0"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    let [(one, _), (other, _)] = two(&world);
    let capture = |words: &[&str]| world.soute([&["capture"], words].concat());
    capture(&["nobody"]).fails(1, &["no such container: nobody", "soute ps -a"]);
    capture(&["4194304"]).fails(1, &["there is no process 4194304"]);
    capture(&["one", "-i", "eth7"]).fails(
        1,
        &["there is no interface \"eth7\" there, but lo, ", "eth0"],
    );
    capture(&["one", "--filter", "tcp prot 80"])
        .fails(125, &["tcp >>>prot<<< 80: 'and' or 'or' is wanted"]);
    capture(&["one", "host", "example.org"])
        .fails(1, &["host >>>example.org<<<", "names are not looked up"]);
    capture(&["one", "--filter", "tcp", "udp"]).fails(125, &["cannot be used with"]);
    capture(&["one", "--count", "0"]).fails(125, &["0 is not in"]);
    capture(&["one", "--snaplen", "262145"]).fails(125, &["262145 is not in"]);
    capture(&["one", "-w", "/nowhere/at/all"]).fails(1, &["/nowhere/at/all", "No such file"]);
    capture(&["/etc/passwd"]).fails(1, &["/etc/passwd is not a namespace"]);
    capture(&[]).fails(1, &["CONTAINER|PID|PATH"]);
    let long = vec!["port 80"; 600].join(" or ");
    capture(&["one", &long]).fails(1, &["the filter is too long", "4096"]);
    // A file that was there is there still.
    let file = world.path("file");
    std::fs::write(&file, "precious").unwrap();
    capture(&["one", "-i", "eth7", "-w", file.to_str().unwrap()]).code(1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let pid = world.pid(&one).to_string();
    let down = ["-t", &pid, "-n", "ip", "link", "set", "eth0", "down"];
    output(Command::new("nsenter").args(down)).success();
    capture(&["one", "-i", "eth0"]).fails(1, &["interface \"eth0\" is down"]);
    world.soute(["kill", &other]).success();
    world.soute(["wait", &other]);
    capture(&["other"]).fails(1, &["container other is exited"]);
    let never = ["create", "--name", "never", "busybox", "true"];
    world.soute(never).success();
    capture(&["never"]).fails(1, &["container never is created"]);
}

#[test]
fn without_root_it_is_told_what_lacks() {
    let world = World::new();
    let outside = Neighbour::new(1);
    let command = world.command(["capture", &outside.pid().to_string()]);
    let mut lesser = Command::new("setpriv");
    lesser.args(["--bounding-set=-sys_admin,-net_raw", "--inh-caps=-all"]);
    lesser.arg(command.get_program()).args(command.get_args());
    output(&mut lesser).fails(1, &["by root alone", "CAP_NET_RAW", "setns"]);
}

/// Any process's network, container or not.
#[test]
fn a_process_is_enough() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let pid = outside.pid().to_string();
    let capture = Capture::start(&world, &[&pid, "icmp"]);
    assert!(
        capture.told().contains(&format!("of process {pid}")),
        "{}",
        capture.told()
    );
    let path = format!("/proc/{pid}/ns/net");
    let by_path = Command::new("timeout")
        .args(["-s", "INT", "5"])
        .arg(world.command([""]).get_program())
        .args(["capture", &path, "-c", "1", "icmp"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut by_path = by_path.unwrap();
    let ping = |address: &str| {
        output(Command::new("busybox").args(["ping", "-c", "1", "-W", "5", address])).success();
    };
    wait_until("both have heard", || {
        ping(&outside.address());
        by_path
            .try_wait()
            .unwrap()
            .is_some_and(|status| status.success())
    });
    // On loopback, each packet once.
    outside
        .run("busybox", &["ping", "-c", "1", "127.0.0.1"])
        .success();
    let outcome = capture.interrupt();
    outcome.success().shows(&format!(
        "eth0 In  IP {} > {}: ICMP echo request",
        outside.machine(),
        outside.address()
    ));
    let looped: Vec<_> = outcome
        .stdout
        .lines()
        .filter(|line| line.contains(" lo "))
        .collect();
    assert_eq!(looped.len(), 2, "{outcome}");
    assert!(
        looped[0].contains("lo In  IP 127.0.0.1 > 127.0.0.1: ICMP echo request"),
        "{outcome}"
    );
    assert!(looped[1].contains("ICMP echo reply"), "{outcome}");
}

/// One that comes later, whose name is an attack on the terminal; and tags of VLANs are put back.
#[test]
fn interfaces_come_and_go() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let pid = outside.pid().to_string();
    let file = world.path("file.pcapng");
    let text = Capture::start(&world, &[&pid]);
    let mut kept = world.command(["capture", &pid, "-w", file.to_str().unwrap()]);
    let kept = Running::start(kept.stdin(Stdio::null()));
    wait_until("it hears", || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    let ip = |words: &[&str]| outside.run("ip", words);
    ip(&["link", "add", "\x1b[31m", "type", "veth", "peer", "far"]).success();
    for name in ["\x1b[31m", "far"] {
        ip(&["link", "set", name, "up"]).success();
    }
    ip(&["address", "add", "192.0.2.129/30", "dev", "\x1b[31m"]).success();
    outside.run("busybox", &["ping", "-c", "1", "-W", "1", "192.0.2.130"]);
    let lines = text.interrupt();
    lines
        .success()
        .shows(" \\u{1b}[31m Out ARP, Request who-has 192.0.2.130 tell 192.0.2.129, length 28")
        .shows_not("\x1b");
    kept.signal(Signal::INT);
    kept.outcome().success();
    let names = fields(
        &file,
        "arp.dst.proto_ipv4 == 192.0.2.130",
        &["frame.interface_name"],
    );
    assert!(names.iter().any(|name| name == "far"), "{names:?}");
    // The only one that is heard goes.
    let gone = Capture::start(&world, &[&pid, "-i", "far"]);
    ip(&["link", "delete", "far"]).success();
    gone.end()
        .fails(1, &["interface \"far\" is gone", " captured"]);
}

/// A datagram from a VLAN, as it comes: the kernel takes its tag out on the way in, and it is put back.
const TAGGED: &str = "import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('out1', 0))
ip = bytes.fromhex('4500001d000000004011000005050501050505021092000900090000') + b'x'
s.send(b'\\xff' * 6 + b'\\x02\\0\\0\\0\\0\\1' + bytes.fromhex('810020050800') + ip)";

#[test]
fn tags_of_vlans_are_put_back() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let pid = outside.pid().to_string();
    let file = world.path("file.pcapng");
    let flags = ["-i", "eth0", "vlan 5 and udp port 9", "--count", "1"];
    let text = Capture::start(&world, &[&[&pid[..]], &flags[..]].concat());
    let write = ["-w", file.to_str().unwrap()];
    let kept = Capture::start(&world, &[&[&pid[..]], &flags[..], &write].concat());
    let other = Capture::start(&world, &[&pid, "vlan 6"]);
    // On the way out nobody takes it out.
    let thread = rustix::thread::gettid().as_raw_nonzero();
    let own = format!("/proc/{}/task/{thread}/ns/net", std::process::id());
    let sent = Capture::start(&world, &[&own, "-i", "out1", "vlan 5", "--count", "1"]);
    output(Command::new("python3").args(["-c", TAGGED])).success();
    let line = "vlan 5, IP 5.5.5.1.4242 > 5.5.5.2.9: UDP, length 1";
    text.end().success().shows(&format!("eth0 B   {line}"));
    sent.end().success().shows(&format!("out1 Out {line}"));
    kept.end().success();
    let seen = fields(
        &file,
        "udp",
        &["vlan.id", "vlan.priority", "udp.dstport", "frame.len"],
    );
    assert_eq!(seen, ["5 1 9 47"]);
    other.interrupt().success().prints("");
}

/// A tunnel, whose packets begin with IP's header: the filter knows.
const TUNNEL: &str = "import fcntl, os, socket, struct, subprocess, sys
f = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(f, 0x400454ca, struct.pack('16sH22x', b'tun0', 0x1001))
for words in 'link set tun0 up', 'address add 10.9.0.1/24 dev tun0':
    subprocess.run(['ip'] + words.split(), check=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'hello', ('10.9.0.2', 9))
s.sendto(b'hello', ('10.9.0.2', 10))
sys.stdin.read()";

#[test]
fn tunnels_have_no_ethernet() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let pid = outside.pid().to_string();
    let file = world.path("file.pcapng");
    let filter = [
        "--filter",
        "udp port 9 and dst net 10.9.0.0/16",
        "--count",
        "1",
    ];
    let text = Capture::start(&world, &[&[&pid[..]], &filter[..]].concat());
    let write = ["-w", file.to_str().unwrap()];
    let kept = Capture::start(&world, &[&[&pid[..]], &filter[..], &write].concat());
    // It is there until its input ends: an interface that is gone has no name any more.
    let mut tunnel = outside.command("python3", &["-c", TUNNEL]);
    let mut tunnel = Running::start(tunnel.stdin(Stdio::piped()));
    text.end()
        .success()
        .shows(" tun0 Out IP 10.9.0.1.")
        .shows(" > 10.9.0.2.9: UDP, length 5");
    kept.end().success();
    tunnel.close();
    tunnel.outcome().success();
    // Beside lo and eth0, which are Ethernet.
    let seen = fields(
        &file,
        "udp",
        &["frame.interface_name", "frame.encap_type", "udp.dstport"],
    );
    assert_eq!(seen, ["tun0 7 9"]);
}

/// What was written before there was no more room is whole.
#[test]
fn a_full_disk_leaves_whole_packets() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let pid = outside.pid().to_string();
    let place = world.path("small");
    std::fs::create_dir(&place).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=64k", "small"];
    output(Command::new("mount").args(mount).arg(&place)).success();
    let file = place.join("file.pcapng");
    let capture = Capture::start(&world, &[&pid, "-w", file.to_str().unwrap(), "icmp"]);
    for _ in 0..40 {
        let words = ["ping", "-c", "1", "-s", "1400", &outside.address()];
        output(Command::new("busybox").args(words)).success();
    }
    capture
        .end()
        .fails(1, &["small/file.pcapng", "No space left on device"]);
    let seen = output(Command::new("capinfos").arg("-c").arg(&file));
    seen.success().shows("Number of packets:");
    assert!(!seen.stderr.contains("cut short"), "{seen}");
    output(Command::new("umount").arg(&place)).success();
}

/// A capture that waits for its reader, which does not read, with its only packet; what it told, and its output.
fn stuck(world: &World, outside: &Neighbour) -> (Child, PathBuf, std::io::PipeReader) {
    let told = world.path("told");
    let filter = format!("icmp and dst host {}", outside.address());
    let mut command = world.command(["capture", &outside.pid().to_string(), "-w", "-", &filter]);
    let (reader, writer) = std::io::pipe().unwrap();
    // A single page: full as soon as the file's beginning is in it.
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    command.stdout(writer).stdin(Stdio::null());
    let told_to = std::fs::File::create(&told).unwrap();
    let capture = command.stderr(told_to).spawn().unwrap();
    drop(command);
    let hears = || std::fs::read_to_string(&told).unwrap();
    wait_until("it hears", || hears().contains("capturing on"));
    output(Command::new("busybox").args(["ping", "-c", "1", &outside.address()])).success();
    std::thread::sleep(Duration::from_millis(300));
    (capture, told, reader)
}

/// A reader that does not read is waited for, once.
#[test]
fn a_second_signal_does_not_wait_for_the_reader() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let (mut capture, told, reader) = stuck(&world, &outside);
    let told = || std::fs::read_to_string(&told).unwrap();
    let process = rustix::process::Pid::from_child(&capture);
    let interrupt = || rustix::process::kill_process(process, Signal::INT).unwrap();
    interrupt();
    std::thread::sleep(Duration::from_millis(300));
    assert!(capture.try_wait().unwrap().is_none(), "{}", told());
    interrupt();
    assert!(capture.wait().unwrap().success());
    assert!(told().contains("packets are not written"), "{}", told());
    drop(reader);
}

/// A signal that comes while it waits for its reader ends it as soon as that reads, although no packet comes any more.
#[test]
fn a_signal_while_it_writes_is_remembered() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let (mut capture, told, mut reader) = stuck(&world, &outside);
    let process = rustix::process::Pid::from_child(&capture);
    rustix::process::kill_process(process, Signal::INT).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let read = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    wait_until("it ends", || capture.try_wait().unwrap().is_some());
    let told = std::fs::read_to_string(&told).unwrap();
    assert!(capture.wait().unwrap().success(), "{told}");
    assert!(read.join().unwrap().unwrap() > 200, "{told}");
    assert!(told.contains("1 packet captured"), "{told}");
}

#[test]
fn control_c_ends_it_in_order() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let mut terminal = world.terminal(["capture", &outside.pid().to_string(), "icmp"]);
    terminal.expect("capturing on");
    output(Command::new("busybox").args(["ping", "-c", "1", &outside.address()])).success();
    // Each line as it comes.
    terminal.expect("ICMP echo request");
    terminal.send("\x03");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("2 packets captured, 0 dropped"), "{shown}");
}

/// Where jumps have to be made in two, and where the kernel has no room (net.core.optmem_max, 20 KiB with older ones).
#[test]
fn a_long_filter_is_loaded_or_refused() {
    let world = World::empty();
    let outside = Neighbour::new(1);
    let ports = |count: u16| {
        let ports: Vec<String> = (2000..2000 + count)
            .map(|port| format!("port {port}"))
            .collect();
        ports.join(" or ")
    };
    let pid = outside.pid().to_string();
    let capture = Capture::start(&world, &[&pid, "-i", "eth0", "--count", "1", &ports(40)]);
    let send = |port: u16| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let address = outside.address();
        socket.send_to(b"x", (&address[..], port)).unwrap();
    };
    send(1999);
    send(2039);
    let outcome = capture.end();
    outcome
        .success()
        .shows(".2039: UDP, length 1")
        .shows_not(".1999");
    let room = outside.run("sysctl", &["-w", "net.core.optmem_max=20480"]);
    room.success();
    world
        .soute(["capture", &pid, &ports(75)])
        .fails(1, &["no room for the filter", "net.core.optmem_max"]);
}
