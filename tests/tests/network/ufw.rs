//! Published ports and ways out where ufw(8) itself keeps the machine.

use std::path::PathBuf;
use std::process::Command;

use soute_tests::{Mounted, Outcome, World, output};

use crate::closed_input::{
    KNOCK, MACHINE6, closes, is_closed, is_open, knock, opens, server, serves_the_machine,
};
use crate::neighbour::{CLIENT, Neighbour};

/// The machine's program, with settings of the test's own. What it does to the kernel stays in the test's namespaces.
struct Ufw {
    settings: PathBuf,
}

impl Ufw {
    /// As it comes with its package, but for these policies of what comes in and what is routed.
    #[track_caller]
    fn new(world: &World, input: &str, routed: &str) -> Self {
        let settings = world.path("ufw");
        for folder in ["etc/default", "etc/ufw/applications.d", "lib/ufw"] {
            std::fs::create_dir_all(settings.join(folder)).unwrap();
        }
        // What the package brings, and not what has become of it on this machine.
        let mut copy = Command::new("cp");
        for name in ["before", "before6", "after", "after6", "user", "user6"] {
            copy.arg(format!("/usr/share/ufw/{name}.rules"));
        }
        copy.arg("/usr/share/ufw/ufw.conf");
        output(copy.arg(settings.join("etc/ufw"))).success();
        // As `ufw default` writes them, one of which takes a while.
        let defaults = format!(
            "IPV6=yes
DEFAULT_INPUT_POLICY=\"{input}\"
DEFAULT_OUTPUT_POLICY=\"ACCEPT\"
DEFAULT_FORWARD_POLICY=\"{routed}\"
DEFAULT_APPLICATION_POLICY=\"SKIP\"
MANAGE_BUILTINS=no
"
        );
        std::fs::write(settings.join("etc/default/ufw"), defaults).unwrap();
        Self { settings }
    }

    /// As [`Ufw::new`], and enabled.
    #[track_caller]
    fn enabled(world: &World, input: &str, routed: &str) -> Self {
        let ufw = Self::new(world, input, routed);
        ufw.does("--force enable");
        ufw
    }

    /// `ufw WORDS`.
    #[track_caller]
    fn does(&self, words: &str) {
        let mut command = Command::new("ufw");
        command.arg("--rootdir=/");
        command.arg(format!("--datadir={}", self.settings.display()));
        output(command.args(words.split(' '))).success();
    }
}

/// What a client on the machine itself hears.
#[track_caller]
fn from_the_machine(address: &str) -> Outcome {
    output(Command::new("python3").args(["-c", CLIENT, address, "8080"]))
}

fn check(world: &World, words: &[&str]) -> Outcome {
    world.soute([&["network", "check", "--timeout", "1"], words].concat())
}

fn why(world: &World, words: &[&str]) -> Outcome {
    world.soute([&["network", "why", "--timeout", "1"], words].concat())
}

#[test]
fn a_port_is_the_machines_until_it_is_allowed() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let ufw = Ufw::enabled(&world, "DROP", "ACCEPT");
    let (id, told) = server(&world, &["-p", "8080:80"]);
    for said in [
        "port 8080/tcp serves this machine and its containers alone by IPv4: chain INPUT of table ip filter drops",
        "alone by IPv6: chain INPUT of table ip6 filter drops",
    ] {
        assert!(told.contains(said), "{told}");
    }
    is_closed(&outside);
    serves_the_machine(&world, &outside, &id);
    for (allow, delete) in [
        ("allow 8080/tcp", "delete allow 8080/tcp"),
        ("allow 8000:8100/tcp", "delete allow 8000:8100/tcp"),
    ] {
        ufw.does(allow);
        opens(&outside, &outside.machine(), &outside.address());
        opens(&outside, MACHINE6, &outside.address6());
        ufw.does(delete);
        closes(&outside, &outside.machine());
        closes(&outside, MACHINE6);
    }
    // Another port, another protocol.
    ufw.does("allow 8081/tcp");
    ufw.does("allow 8080/udp");
    world.soute(["network", "reconcile"]).success();
    is_closed(&outside);
}

/// Where everything is let in but what is named.
#[test]
fn a_port_that_is_denied_or_rejected_is_closed() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let ufw = Ufw::enabled(&world, "ACCEPT", "ACCEPT");
    let (id, told) = server(&world, &["-p", "8080:80"]);
    assert!(!told.contains("alone"), "{told}");
    is_open(&outside);
    for rule in ["deny 8080/tcp", "reject 8080/tcp"] {
        ufw.does(rule);
        closes(&outside, &outside.machine());
        closes(&outside, MACHINE6);
        ufw.does(&format!("delete {rule}"));
        opens(&outside, &outside.machine(), &outside.address());
        opens(&outside, MACHINE6, &outside.address6());
    }
    serves_the_machine(&world, &outside, &id);
    ufw.does("default reject incoming");
    closes(&outside, &outside.machine());
    closes(&outside, MACHINE6);
}

/// It is for all or for nobody (decision 12).
#[test]
fn what_is_for_some_is_closed_to_all() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let machine = outside.machine();
    let ufw = Ufw::enabled(&world, "DROP", "ACCEPT");
    let one = format!("{machine}:8090:80");
    server(&world, &["-p", "8080:80", "-p", &one]);
    let by_address = || outside.run("python3", &["-c", KNOCK, &machine, "8090"]);
    let from = format!(
        "allow from {} to any port 8080 proto tcp",
        outside.address()
    );
    let to = format!("allow to {machine} port 8080 proto tcp");
    for rule in [
        "limit 8080/tcp",
        "allow in on out0 to any port 8080",
        &from,
        &to,
    ] {
        ufw.does(rule);
        world.soute(["network", "reconcile"]).success();
        // Nobody on the machine serves whom it lets in.
        for address in [&machine, MACHINE6] {
            assert_eq!(knock(&outside, address).stdout, "", "{rule}");
        }
        ufw.does(&format!("delete {rule}"));
    }
    // A port of one address is for that alone.
    by_address().code(1);
    ufw.does(&format!("allow to {machine} port 8090 proto tcp"));
    world.soute(["network", "reconcile"]).success();
    by_address()
        .success()
        .prints(&format!("you are {}", outside.address()));
}

/// As decision 12 has it for whoever lets some in: open to all at the door, and ufw's rules for what is routed say to whom.
#[test]
fn what_is_routed_is_let_through_to_whom_ufw_says() {
    let world = World::debian();
    let (outside, other) = (Neighbour::new(0), Neighbour::new(1));
    let ufw = Ufw::enabled(&world, "DROP", "DROP");
    let (_, told) = server(&world, &["-p", "8080:80", "--publish-open"]);
    for table in ["ip filter", "ip6 filter"] {
        let said = format!("chain FORWARD of table {table} has the policy drop");
        assert!(told.contains(&said), "{told}");
    }
    is_closed(&outside);
    from_the_machine("127.0.0.1").success();
    let client = outside.address();
    ufw.does(&format!(
        "route allow proto tcp from {client} to any port 80"
    ));
    knock(&outside, &outside.machine())
        .success()
        .prints(&format!("you are {client}"));
    knock(&other, &other.machine()).code(1);
    ufw.does("route insert 1 deny from 192.0.2.0/24");
    knock(&outside, &outside.machine()).code(1);
}

/// ufw's default: a container reaches nobody, and nobody reaches it by the machine, until it is told otherwise.
#[test]
fn a_drop_of_what_is_routed_is_one() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let ufw = Ufw::enabled(&world, "DROP", "DROP");
    let (id, told) = server(&world, &["-p", "8080:80", "--name", "web"]);
    assert!(
        told.contains("chain FORWARD of table ip filter has the policy drop"),
        "{told}"
    );
    let machine = outside.machine();
    for address in ["127.0.0.1", "::1", &machine] {
        from_the_machine(address).success().shows("you are ");
    }
    let out = |address: &str| world.soute(["exec", &id, "python3", "-c", KNOCK, address, "9"]);
    let refused = "ConnectionRefusedError";
    out(&outside.address()).fails(1, &["timed out"]);
    check(&world, &["web", &format!("{}:9", outside.address())])
        .code(1)
        .shows("does not answer");
    let to = format!("{}:9", outside.address());
    for (to, table) in [(to.as_str(), "ip"), ("[2001:db8::2]:9", "ip6")] {
        why(&world, &["--from", "web", to])
            .code(1)
            .shows("stopped in this machine, hook forward")
            .shows(&format!(
                "chain FORWARD of table {table} filter: policy drop"
            ));
    }
    // What comes in may, and is then dropped where it is forwarded.
    ufw.does("allow 8080/tcp");
    world.soute(["network", "reconcile"]).success();
    is_closed(&outside);
    ufw.does("route allow proto tcp to any port 80");
    opens(&outside, &machine, &outside.address());
    opens(&outside, MACHINE6, &outside.address6());
    serves_the_machine(&world, &outside, &id);
    out(&outside.address()).fails(1, &["timed out"]);
    ufw.does("route allow in on soute0 out on out0");
    out(&outside.address()).fails(1, &[refused]);
    out(&outside.address6()).fails(1, &[refused]);
}

/// It takes its own rules away and puts them back; soute's stay, and what it lets in is looked at again.
#[test]
fn a_reload_leaves_ports_as_they_were() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let ufw = Ufw::new(&world, "DROP", "ACCEPT");
    ufw.does("allow 8080/tcp");
    ufw.does("--force enable");
    let (id, told) = server(&world, &["-p", "8080:80", "-p", "8081:80"]);
    assert!(
        told.contains("port 8081/tcp serves this machine") && !told.contains("8080/tcp"),
        "{told}"
    );
    let other = || outside.run("python3", &["-c", KNOCK, &outside.machine(), "8081"]);
    other().code(1);
    ufw.does("reload");
    opens(&outside, &outside.machine(), &outside.address());
    soute_tests::wait_until("8081 is closed", || other().code == 1);
    ufw.does("disable");
    opens(&outside, &outside.machine(), &outside.address());
    soute_tests::wait_until("8081 is open", || other().code == 0);
    ufw.does("--force enable");
    opens(&outside, &outside.machine(), &outside.address());
    opens(&outside, MACHINE6, &outside.address6());
    soute_tests::wait_until("8081 is closed", || other().code == 1);
    serves_the_machine(&world, &outside, &id);
    let exec = ["exec", &id, "python3", "-c", KNOCK, &outside.address(), "9"];
    world.soute(exec).fails(1, &["ConnectionRefusedError"]);
}

/// With legacy iptables its rules are in no table of nf_tables: what comes in cannot be looked at, and that is told.
#[test]
fn legacy_rules_are_said_not_to_be_read() {
    let world = World::debian();
    let _legacy = Mounted::instead(
        "/usr/sbin/xtables-legacy-multi",
        "/usr/sbin/xtables-nft-multi",
    );
    let outside = Neighbour::new(0);
    let ufw = Ufw::enabled(&world, "DROP", "DROP");
    let (_, told) = server(&world, &["-p", "8080:80"]);
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        let said = format!("port 8080/tcp serves whomever chain FORWARD of {program} lets pass");
        assert!(told.contains(&said), "{told}");
    }
    is_closed(&outside);
    from_the_machine("127.0.0.1").success();
    ufw.does("route allow proto tcp to any port 80");
    is_open(&outside);
    let (_, told) = server(&world, &["-p", "127.0.0.1:8090:80"]);
    assert!(!told.contains("legacy"), "{told}");
}
