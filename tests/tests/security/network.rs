//! Sockets of the machine.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::attack::Attack;

/// CVE-2020-15257: abstract sockets belong to the network namespace, and have no mode. The defence is the network
/// namespace; whoever gives it up with `--network host` reaches them.
#[test]
fn abstract_sockets_are_the_network_namespaces() {
    let attack = Attack::new();
    attack.program("abstract", include_str!("programs/abstract.c"));
    let name = format!("soute-test-{}", std::process::id());
    // In the world's network namespace, which is the machine to soute.
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    attack
        .run(&[], &["abstract", &name])
        .success()
        .prints("refused: Connection refused");
    attack
        .run(&["--network", "host"], &["abstract", &name])
        .success()
        .prints("CONNECTED");
}

/// The same advisory: soute has none itself, so that there is nothing to reach with `--network host`.
#[test]
fn soute_has_no_abstract_socket() {
    let attack = Attack::new();
    let script = ["sh", "-c", "echo up; exec sleep 1000"];
    attack.start("box", &["--network", "host"], &script, "up");
    let sockets = std::fs::read_to_string("/proc/thread-self/net/unix").unwrap();
    let its: Vec<_> = sockets
        .lines()
        .filter(|line| line.contains("attach"))
        .collect();
    assert!(
        !its.is_empty(),
        "the monitor's socket is not there:\n{sockets}"
    );
    assert!(!sockets.contains('@'), "{sockets}");
    use std::os::unix::fs::PermissionsExt;
    let id = attack.world.inspect("box")["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    let socket = attack
        .world
        .run()
        .join("containers")
        .join(id)
        .join("attach");
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
