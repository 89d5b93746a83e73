//! Datagrams of netlink: links, addresses, routes, neighbours, sockets, connections.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soute_network::{conntrack, route, sockets};
use soute_sys::netlink::{self, Message};

fn read(message: &Message<'_>) {
    route::fuzz(message);
    conntrack::fuzz(message);
    sockets::fuzz(message);
}

fuzz_target!(|bytes: &[u8]| {
    netlink::fuzz(bytes, &mut read);
    // As one message's body, too, whose header no change can break.
    read(&Message {
        kind: 0,
        flags: 0,
        sequence: 0,
        body: bytes,
    });
});
