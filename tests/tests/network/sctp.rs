//! What a kernel may lack: SCTP. Without it, the refusal.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, listen, socket, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use soute_tests::World;

use crate::neighbour::Neighbour;
use crate::sleeper;

/// A socket like TCP's, so that what std does with those does for it, too (RFC 6458, section 4). Nothing waits for ever.
fn sctp() -> Result<OwnedFd, Errno> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::SCTP))?;
    for waits in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
        sockopt::set_socket_timeout(&socket, waits, Some(Duration::from_secs(5)))?;
    }
    Ok(socket)
}

/// Whether the kernel has it; asked for, it loads its module.
#[track_caller]
fn has_sctp() -> bool {
    match sctp() {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e, Errno::PROTONOSUPPORT);
            false
        }
    }
}

/// What `deed` gives in the network of a process, or of the test's own machine.
fn within<T: Send>(pid: Option<u32>, deed: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Some(pid) = pid {
                let network = File::open(format!("/proc/{pid}/ns/net")).expect("its network");
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("setns");
            }
            deed()
        });
        thread.join().expect("no panic")
    })
}

fn listener(port: u16) -> TcpListener {
    let socket = sctp().expect("SCTP");
    bind(&socket, &SocketAddr::from(([0, 0, 0, 0], port))).expect("bind");
    listen(&socket, 8).expect("listen");
    socket.into()
}

/// Tells the next client its address.
fn serve(listener: &TcpListener) {
    let (mut client, from) = listener.accept().expect("accept");
    write!(client, "you are {}", from.ip()).expect("send");
}

/// What a client hears of the machine's port 9000.
fn ask(address: &str) -> io::Result<String> {
    let socket = sctp()?;
    let to: SocketAddr = format!("{address}:9000").parse().expect("an address");
    connect(&socket, &to)?;
    let mut heard = String::new();
    TcpStream::from(socket).read_to_string(&mut heard)?;
    Ok(heard)
}

#[test]
fn it_is_led_in_as_well() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let flags = ["-p", "9000:80/sctp"];
    if !has_sctp() {
        for flags in [flags, ["-p", "80/sctp"]] {
            world
                .sh(&flags, "true")
                .fails(125, &["80/sctp: this kernel has no SCTP", "module sctp"]);
        }
        let id = sleeper(&world, &[]);
        world
            .soute(["update", "--publish-add", "9000:80/sctp", &id])
            .fails(1, &["this kernel has no SCTP"]);
        return;
    }
    let id = sleeper(&world, &[&flags[..], &["--name", "first"]].concat());
    let pid = Some(world.pid(&id));
    let other = Some(world.pid(&sleeper(&world, &[])));
    let machine = outside.machine();
    let listening = within(pid, || listener(80));
    let gateway = "10.121.0.1".to_owned();
    // Whoever comes from another network is seen by his address, and whoever would be answered past the machine is not.
    for (client, to, seen) in [
        (Some(outside.pid()), machine.as_str(), outside.address()),
        (None, "127.0.0.1", gateway.clone()),
        (None, &machine, machine.clone()),
        (other, &machine, gateway.clone()),
        // Itself, by way of the machine.
        (pid, &machine, gateway.clone()),
    ] {
        let heard = std::thread::scope(|scope| {
            scope.spawn(|| serve(&listening));
            within(client, || ask(to))
        });
        assert_eq!(heard.expect(to), format!("you are {seen}"), "{to}");
    }
    let ports = world.soute(["network", "ports", "--json"]).json();
    let mut ports = ports["ports"].as_array().expect("ports").iter();
    let led = ports.find(|one| one["protocol"] == "sctp" && one["state"] == "published");
    assert_eq!(led.expect("it")["leads_to"]["listening"], true, "{led:?}");
    // Nobody else gets it, and who has it is told.
    let takes = |port: u16| world.sh(&["-p", &format!("{port}:80/sctp")], "true");
    takes(9000).fails(125, &["port 9000/sctp is container first's"]);
    let taken = within(None, || {
        bind(
            sctp().expect("SCTP"),
            &SocketAddr::from(([0, 0, 0, 0], 9000)),
        )
    });
    assert_eq!(taken, Err(Errno::ADDRINUSE));
    let _own = within(None, || listener(9001));
    let owner = format!("port 9001/sctp is process {}'s", std::process::id());
    takes(9001).fails(125, &[&owner]);
    world.soute(["rm", "--force", &id]).success();
    takes(9000).success();
}
