//! Messages of nf_tables: tables, chains, rules as text and as programs, sets, elements, traces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soute_network::nft;
use soute_sys::netlink::Message;

fuzz_target!(|body: &[u8]| {
    nft::fuzz(&Message {
        kind: 0,
        flags: 0,
        sequence: 0,
        body,
    });
});
