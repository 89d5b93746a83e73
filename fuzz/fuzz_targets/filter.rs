//! Filters of captures: text to a program that the kernel would take, which is run on a packet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soute_network::capture::{Filter, Hardware, filter::compile};

/// The kernel's instructions, as the tests of `soute-network` run them: an unsound program panics.
#[path = "../../crates/network/tests/capture/interpreter.rs"]
mod interpreter;

/// What the interpreter runs on.
mod packets {
    /// A packet, and what the kernel knows of it.
    pub struct Seen {
        pub bytes: Vec<u8>,
        pub protocol: u16,
        pub outgoing: bool,
        pub hardware: u16,
        pub vlan: Option<u16>,
    }
}

const SNAPLEN: u32 = 1 << 18;

// A text, a NUL, and a packet.
fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or_default()) else {
        return;
    };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(invalid) => {
            // Shown twice, escaped.
            assert!(invalid.to_string().len() < 20 * text.len() + 1000);
            return;
        }
    };
    let packet = packets::Seen {
        bytes: parts.next().unwrap_or_default().to_vec(),
        protocol: 0x0800,
        outgoing: false,
        hardware: 1,
        vlan: Some(7),
    };
    for only in [
        None,
        Some(Hardware::Ethernet),
        Some(Hardware::Raw),
        Some(Hardware::Other(9)),
    ] {
        if let Ok(program) = compile(Some(&filter), SNAPLEN, only) {
            assert!(program.len() <= soute_sys::packet::MAX_INSTRUCTIONS);
            let wanted = interpreter::run(&program, &packet);
            assert!(wanted == 0 || wanted == SNAPLEN);
        }
    }
});
