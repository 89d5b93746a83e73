//! Interfaces carried into a container: veth pairs in a network namespace of each test's own. Needs root and `ip`.

#[path = "../alone/mod.rs"]
mod alone;

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use soute_runtime::netdev::NetDevice;
use soute_sys::process::{Cloned, clone3, exit_now, flags, pidfd_send_signal};

fn main() {
    let tests: [(&str, fn()); 9] = [
        (
            "lasting_addresses_go_along_and_it_is_up",
            lasting_addresses_go_along_and_it_is_up,
        ),
        ("it_can_be_renamed", it_can_be_renamed),
        (
            "a_template_takes_the_first_free_number",
            a_template_takes_the_first_free_number,
        ),
        ("a_taken_name_is_refused", a_taken_name_is_refused),
        (
            "what_cannot_be_carried_is_told",
            what_cannot_be_carried_is_told,
        ),
        ("not_into_the_own_namespace", not_into_the_own_namespace),
        ("what_fails_inside_is_undone", what_fails_inside_is_undone),
        ("it_goes_back_as_it_was", it_goes_back_as_it_was),
        (
            "nothing_is_left_in_the_caller",
            nothing_is_left_in_the_caller,
        ),
    ];
    alone::run(tests.map(|(name, test)| (name, move || in_own_network(test)))).exit();
}

/// A panic there is told on standard error and fails the test.
fn in_own_network(test: fn()) {
    match clone3(flags::NEWNET, None).unwrap() {
        Cloned::Child => {
            let tested = std::panic::catch_unwind(|| {
                ip("link set lo up");
                test();
            });
            exit_now(i32::from(tested.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            let ended =
                rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            assert_eq!(ended.unwrap().unwrap().exit_status(), Some(0));
        }
    }
}

/// A process in a user and a network namespace of its own, as a container's first is.
struct Container(Pid, OwnedFd);

impl Container {
    fn start() -> Self {
        match clone3(flags::NEWUSER | flags::NEWNET, None).unwrap() {
            Cloned::Child => loop {
                std::thread::park();
            },
            Cloned::Parent { pid, pidfd } => Self(pid, pidfd),
        }
    }

    fn network(&self) -> OwnedFd {
        let path = format!("/proc/{}/ns/net", self.0.as_raw_nonzero());
        fs::File::open(path).unwrap().into()
    }

    /// Makes an interface of that name in there.
    fn take(&self, name: &str) {
        self.ip(&format!("link add {name} type veth peer name of-{name}"));
    }

    /// What `ip ARGUMENTS` says in there.
    fn ip(&self, arguments: &str) -> String {
        let pid = self.0.as_raw_nonzero().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-n", "ip"]);
        said(command.args(arguments.split(' ')))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.1, Signal::KILL.as_raw());
        let _ = rustix::process::waitid(WaitId::PidFd(self.1.as_fd()), WaitIdOptions::EXITED);
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn ip(arguments: &str) -> String {
    said(Command::new("ip").args(arguments.split(' ')))
}

/// A pair of which one end, `dev0`, is to be carried.
fn pair() {
    ip("link add dev0 type veth peer name peer0");
    ip("link set peer0 up");
}

fn device(name: &str, new_name: Option<&str>) -> NetDevice {
    NetDevice {
        name: name.into(),
        new_name: new_name.map(str::to_owned),
    }
}

/// `inet 10.1.2.3/24 … scope global …`, without the prefix routes' and lifetimes' lines.
fn addresses(listed: &str) -> Vec<String> {
    let mut lines: Vec<String> = listed
        .lines()
        .filter_map(|l| l.trim().strip_prefix("inet"))
        .map(|l| {
            l.trim_start_matches('6')
                .trim()
                .split(" dev0")
                .next()
                .unwrap()
                .to_owned()
        })
        .filter(|l| !l.contains("scope link"))
        .collect();
    lines.sort();
    lines
}

fn lasting_addresses_go_along_and_it_is_up() {
    pair();
    ip("link set dev0 address 02:00:00:00:00:07 mtu 1400 up");
    ip("addr add 10.1.2.3/24 brd 10.1.2.255 dev dev0");
    ip("addr add 10.1.2.4/24 dev dev0");
    ip("addr add 10.9.9.1 peer 10.9.9.2/32 dev dev0 metric 77");
    ip("addr add 10.1.3.1/24 dev dev0 noprefixroute");
    ip("-6 addr add fd00::7/64 dev dev0 nodad");
    // Neither of these lasts.
    ip("addr add 10.7.7.7/24 dev dev0 valid_lft 1000 preferred_lft 900");
    ip("-6 addr add fd00:7::7/64 dev dev0 valid_lft 1000 preferred_lft 900");
    ip("addr add 169.254.7.7/16 dev dev0 scope link");
    let container = Container::start();
    let moved = device("dev0", None)
        .carry(container.network().as_fd())
        .unwrap();
    assert_eq!(moved.name, "dev0");
    let inside = container.ip("addr show dev dev0");
    assert_eq!(
        addresses(&inside),
        [
            "10.1.2.3/24 brd 10.1.2.255 scope global",
            "10.1.2.4/24 scope global secondary",
            "10.1.3.1/24 scope global noprefixroute",
            "10.9.9.1 peer 10.9.9.2/32 metric 77 scope global",
            "fd00::7/64 scope global nodad",
        ],
        "{inside}"
    );
    assert!(!inside.contains("169.254"), "{inside}");
    assert!(
        inside.contains("UP,LOWER_UP") && inside.contains("mtu 1400"),
        "{inside}"
    );
    assert!(inside.contains("02:00:00:00:00:07"), "{inside}");
    assert!(!ip("link show").contains("dev0:"));
    let routes = container.ip("route show");
    assert!(
        routes.contains("10.1.2.0/24") && !routes.contains("10.1.3.0/24"),
        "{routes}"
    );
}

fn it_can_be_renamed() {
    pair();
    ip("addr add 10.1.2.3/24 dev dev0");
    let container = Container::start();
    // The old name and the number are taken inside: neither is asked for.
    container.take("dev0");
    let moved = device("dev0", Some("eth0"))
        .carry(container.network().as_fd())
        .unwrap();
    assert_eq!(moved.name, "eth0");
    let inside = container.ip("addr show dev eth0");
    assert!(inside.contains("10.1.2.3/24 scope global eth0"), "{inside}");
}

fn a_template_takes_the_first_free_number() {
    pair();
    let container = Container::start();
    container.take("eth0");
    let moved = device("dev0", Some("eth%d"))
        .carry(container.network().as_fd())
        .unwrap();
    assert_eq!(moved.name, "eth1");
    container.ip("link show eth1");
}

fn a_taken_name_is_refused() {
    pair();
    ip("link set dev0 up");
    ip("addr add 10.1.2.3/24 dev dev0");
    let container = Container::start();
    container.take("eth0");
    container.take("dev0");
    for (new_name, taken) in [(Some("eth0"), "eth0"), (Some("lo"), "lo"), (None, "dev0")] {
        let failure = device("dev0", new_name)
            .carry(container.network().as_fd())
            .unwrap_err();
        assert_eq!(
            failure.message,
            format!("the network device \"dev0\": the name \"{taken}\" is taken in the container")
        );
    }
    let here = ip("addr show dev dev0");
    assert!(
        here.contains("10.1.2.3/24") && here.contains("UP"),
        "{here}"
    );
}

fn what_cannot_be_carried_is_told() {
    let container = Container::start();
    let network = container.network();
    let failure = device("nosuch0", None).carry(network.as_fd()).unwrap_err();
    assert!(
        failure.message.ends_with("there is no such one"),
        "{failure}"
    );
    let failure = device("lo", Some("lo1"))
        .carry(network.as_fd())
        .unwrap_err();
    assert!(
        failure
            .message
            .contains("cannot change their network namespace"),
        "{failure}"
    );
    let failure = device("a/b", None).carry(network.as_fd()).unwrap_err();
    assert!(failure.message.contains("white space"), "{failure}");
    pair();
    let other = fs::File::open("/proc/self/ns/uts").unwrap();
    let failure = device("dev0", None).carry(other.as_fd()).unwrap_err();
    assert!(failure.message.contains("setns(CLONE_NEWNET)"), "{failure}");
}

fn not_into_the_own_namespace() {
    pair();
    let own = fs::File::open("/proc/self/ns/net").unwrap();
    let failure = device("dev0", Some("eth0")).carry(own.as_fd()).unwrap_err();
    assert!(
        failure.message.contains("no network namespace of its own"),
        "{failure}"
    );
    ip("link show dev0");
}

fn what_fails_inside_is_undone() {
    pair();
    ip("link set dev0 up");
    ip("addr add 10.1.2.3/24 dev dev0");
    ip("-6 addr add fd00::7/64 dev dev0 nodad");
    let container = Container::start();
    // A network in which IPv6 is off takes no such address.
    let pid = container.0.as_raw_nonzero().to_string();
    let script = "sysctl -qw net.ipv6.conf.default.disable_ipv6=1";
    said(Command::new("nsenter").args(["-t", &pid, "-n", "sh", "-c", script]));
    let failure = device("dev0", Some("eth0"))
        .carry(container.network().as_fd())
        .unwrap_err();
    assert!(
        failure.message.contains("RTM_NEWADDR") && !failure.message.contains("undone"),
        "{failure}"
    );
    assert!(!container.ip("link show").contains("eth0"));
    let here = ip("addr show dev dev0");
    for part in ["10.1.2.3/24", "fd00::7/64", "UP"] {
        assert!(here.contains(part), "no {part} in {here}");
    }
}

fn it_goes_back_as_it_was() {
    pair();
    ip("addr add 10.1.2.3/24 dev dev0");
    let container = Container::start();
    let moved = device("dev0", Some("eth0"))
        .carry(container.network().as_fd())
        .unwrap();
    moved.back().unwrap();
    let here = ip("addr show dev dev0");
    assert!(
        here.contains("10.1.2.3/24") && !here.contains("UP"),
        "{here}"
    );
    assert!(!container.ip("link show").contains("eth0"));
}

fn nothing_is_left_in_the_caller() {
    pair();
    let container = Container::start();
    let network = container.network();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let own = || fs::read_link("/proc/self/ns/net").unwrap();
    let before = (descriptors(), own());
    let moved = device("dev0", None).carry(network.as_fd()).unwrap();
    drop(moved);
    device("dev0", None).carry(network.as_fd()).unwrap_err();
    assert_eq!((descriptors(), own()), before);
}
