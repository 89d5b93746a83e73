//! The world outside of the test's machine: a network namespace with one link to it.

use std::net::Ipv6Addr;
use std::process::{Child, Command, Stdio};

use soute_tests::{Outcome, output, wait_until};

/// A neighbour on a link of its own: 192.0.2.N/30 and 2001:db8:N::/64, the machine the first address, it the second.
pub struct Neighbour {
    holder: Child,
    number: u8,
}

#[track_caller]
fn ip(words: &str) {
    output(Command::new("ip").args(words.split(' '))).success();
}

impl Neighbour {
    /// The neighbour `number`, from 0 to 9. It is the machine's way to everywhere if `number` is 0.
    #[track_caller]
    pub fn new(number: u8) -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "1000"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare (package util-linux)");
        let neighbour = Self { holder, number };
        let pid = neighbour.holder.id();
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        wait_until("it has a network of its own", || {
            std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|net| net != own)
        });
        let link = format!("out{number}");
        ip(&format!(
            "link add {link} type veth peer name eth0 netns {pid}"
        ));
        ip(&format!(
            "address add {}/30 dev {link}",
            neighbour.machine()
        ));
        ip(&format!(
            "address add 2001:db8:{number}::1/64 dev {link} nodad"
        ));
        ip(&format!("link set {link} up"));
        for words in [
            "link set lo up".to_owned(),
            format!("address add {}/30 dev eth0", neighbour.address()),
            format!("address add 2001:db8:{number}::2/64 dev eth0 nodad"),
            "link set eth0 up".to_owned(),
            // To containers and to everybody else by the machine: whether it lets that through is its affair.
            format!("route add default via {}", neighbour.machine()),
            format!("-6 route add default via 2001:db8:{number}::1"),
        ] {
            neighbour
                .run("ip", &words.split(' ').collect::<Vec<_>>())
                .success();
        }
        if number == 0 {
            ip(&format!("route add default via {}", neighbour.address()));
            ip("-6 route add default via 2001:db8:0::2");
        }
        neighbour
    }

    /// A process in its network.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// The machine's address on the link.
    pub fn machine(&self) -> String {
        format!("192.0.2.{}", 4 * self.number + 1)
    }

    /// Its own.
    pub fn address(&self) -> String {
        format!("192.0.2.{}", 4 * self.number + 2)
    }

    /// Its own IPv6 address.
    pub fn address6(&self) -> String {
        let number = self.number.into();
        Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 2).to_string()
    }

    /// A program of the machine's in its network.
    pub fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        command.arg(program).args(words);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, program: &str, words: &[&str]) -> Outcome {
        output(&mut self.command(program, words))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What a client hears, in whatever network `command` runs a program: it connects to an address and a port, and reads to
/// the end.
pub const CLIENT: &str = "import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
print(s.makefile().read(), end='')";

/// Tells each client its address, as it sees it: `python3 -c SERVER PORT`.
pub const SERVER: &str = "import socket, sys
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('::', int(sys.argv[1])))
s.listen()
print('listening', flush=True)
while True:
    c, a = s.accept()
    c.sendall(('you are ' + a[0].removeprefix('::ffff:') + chr(10)).encode())
    c.close()";
