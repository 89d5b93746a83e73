//! A network outside that containers join: a neighbour's link, and what is behind the neighbour.

use std::process::Command;

use soute_tests::{Outcome, World, output};

use crate::neighbour::Neighbour;

/// 198.51.100.0/24 and 2001:db8:100::/64 on the link `out1`: the neighbour has the first address and is the router to
/// 203.0.113.1, the machine has the second.
pub struct Lan {
    pub neighbour: Neighbour,
}

/// The machine's interface on it.
pub const PARENT: &str = "out1";
/// Behind the router.
pub const BEYOND: &str = "203.0.113.1";

/// The words that make a network of containers on it.
pub const ON_LAN: [&str; 8] = [
    "--opt",
    "parent=out1",
    "--subnet",
    "198.51.100.0/24",
    "--gateway",
    "198.51.100.1",
    "--ip-range",
    "198.51.100.128/25",
];

#[track_caller]
pub fn ip(words: &str) -> Outcome {
    output(Command::new("ip").args(words.split(' ')))
}

impl Lan {
    #[track_caller]
    pub fn new() -> Self {
        let lan = Self {
            neighbour: Neighbour::new(1),
        };
        for words in [
            "address add 198.51.100.1/24 dev eth0",
            "address add 2001:db8:100::1/64 dev eth0 nodad",
            "address add 203.0.113.1/32 dev lo",
            "link set eth0 mtu 1400",
        ] {
            lan.ip(words).success();
        }
        ip("address add 198.51.100.2/24 dev out1").success();
        ip("link set out1 mtu 1400").success();
        lan
    }

    /// `ip WORDS` of the neighbour.
    #[track_caller]
    pub fn ip(&self, words: &str) -> Outcome {
        let words: Vec<&str> = words.split(' ').collect();
        self.neighbour.run("ip", &words)
    }
}

/// `soute network create --driver DRIVER` with these words and the name `lan`.
#[track_caller]
pub fn create(world: &World, driver: &str, words: &[&str]) -> Outcome {
    let create = ["network", "create", "--driver", driver];
    world.soute([&create[..], words, &["lan"]].concat())
}

/// `ip WORDS` of the machine's in a container's network.
#[track_caller]
pub fn ip_in(world: &World, id: &str, words: &str) -> Outcome {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", world.pid(id)));
    output(command.arg("ip").args(words.split(' ')))
}
