//! tcpdump's word.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::packets::Seen;

/// The numbers of the packets that tcpdump wants.
#[track_caller]
pub fn wanted(expression: &str, packets: &[Seen]) -> Vec<usize> {
    let mut file = Vec::new();
    // A pcap file: magic, version 2.4, two zeros, the longest packet, Ethernet.
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(u32::to_le_bytes(word));
    }
    for (number, packet) in packets.iter().enumerate() {
        let length = packet.bytes.len() as u32;
        // Its time is its number.
        for word in [number as u32, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet.bytes);
    }
    let mut tcpdump = Command::new("tcpdump")
        .args(["-r", "-", "-w", "-", expression])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump (package tcpdump)");
    let mut input = tcpdump.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&file));
    let mut answer = Vec::new();
    tcpdump
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut answer)
        .unwrap();
    let ended = tcpdump.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    let written = writer.join().unwrap();
    // It sees through contradictions, and reads no packet.
    if told.contains("expression rejects all packets") {
        return Vec::new();
    }
    assert!(ended.status.success(), "{expression}: {told}");
    written.unwrap();
    let mut numbers = Vec::new();
    let mut rest = answer.get(24..).unwrap_or_default();
    let word = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    };
    while !rest.is_empty() {
        numbers.push(word(rest, 0));
        rest = &rest[16 + word(rest, 8)..];
    }
    numbers
}
