//! Packets that a capture sees: as a line, and in a file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soute_network::capture::{Direction, Hardware, Packet, Reception, line, pcapng};

fuzz_target!(|input: &[u8]| {
    let Some((&[hardware, more], bytes)) = input.split_first_chunk() else {
        return;
    };
    let hardware =
        [Hardware::Ethernet, Hardware::Raw, Hardware::Other(824)][usize::from(hardware % 3)];
    let packet = Packet {
        index: 2,
        hardware,
        direction: Direction::In,
        reception: Reception::Unicast,
        time: 1 << 60,
        bytes: bytes.to_vec(),
        length: bytes.len() as u32 + u32::from(more),
    };
    let text = line::describe(&packet);
    assert!(
        text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{text:?}"
    );
    assert!(text.len() < 16 << 10, "a line of {} bytes", text.len());

    let mut file = Vec::new();
    pcapng::packet(&mut file, 0, &packet);
    let length = (file.len() as u32).to_ne_bytes();
    assert!(file.len().is_multiple_of(4) && file[4..8] == length && file.ends_with(&length));
});
