//! What a container asks its name server, and what a name server answers.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use soute_network::dns::answer::{By, Reply, failure, reply};
use soute_network::dns::{Directory, Others};
use soute_network::probe::names::{self, Resolver, in_hosts};

/// Every second name is somebody's.
struct Book;

impl Directory for Book {
    fn addresses(&mut self, name: &str) -> Option<Vec<IpAddr>> {
        let both = || vec![[10, 0, 0, 2].into(), "fd00::2".parse().unwrap()];
        name.len().is_multiple_of(2).then(both)
    }

    fn name(&mut self, address: IpAddr) -> Option<String> {
        address.is_ipv4().then(|| "db.net".to_owned())
    }

    fn others(&mut self) -> Others {
        Others::Nobody
    }
}

fuzz_target!(|bytes: &[u8]| {
    for by in [By::Datagram, By::Stream] {
        if let Reply::Ready(packet) = reply(bytes, by, &mut Book) {
            assert!(
                packet.len() >= 12 && packet[2] & 0x80 != 0,
                "no answer: {packet:?}"
            );
            assert!(
                by == By::Stream || packet.len() <= 1232,
                "too long: {}",
                packet.len()
            );
        }
    }
    _ = failure(bytes);
    names::fuzz(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        _ = in_hosts(text, "web");
        let resolver = Resolver::read(text, &mut |name| (name == "eth0").then_some(7));
        _ = resolver.candidates("web.net");
    }
});
