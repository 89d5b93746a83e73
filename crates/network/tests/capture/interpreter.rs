//! The kernel's instructions (linux/filter.h), as far as filters have them.

use soute_sys::packet::SockFilter;

use crate::packets::Seen;

/// What the program answers: 0, or how many bytes are wanted.
///
/// # Panics
/// An instruction that is not known, or a jump out of the program: the kernel would refuse it.
pub fn run(program: &[SockFilter], packet: &Seen) -> u32 {
    let (mut a, mut x) = (0u32, 0u32);
    let mut at = 0;
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        // A load from beyond the end is the end: not wanted.
        macro_rules! load {
            ($value:expr) => {
                match $value {
                    Some(value) => value,
                    None => return 0,
                }
            };
        }
        match code {
            // ld [k], ldh [k], ldb [k]
            0x20 => a = load!(word(packet, k)),
            0x28 => {
                a = load!(bytes::<2>(packet, k))
                    .into_iter()
                    .fold(0, |a, b| a << 8 | u32::from(b))
            }
            0x30 => a = load!(bytes::<1>(packet, k))[0].into(),
            // ldh [x + k]
            0x48 => {
                let bytes = load!(bytes::<2>(packet, x.wrapping_add(k)));
                a = u16::from_be_bytes(bytes).into();
            }
            // ld len
            0x80 => a = packet.bytes.len() as u32,
            // ldxb 4*([k]&0xf)
            0xb1 => x = 4 * u32::from(load!(bytes::<1>(packet, k))[0] & 0xf),
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x45 => at += jump(a & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn bytes<const N: usize>(packet: &Seen, at: u32) -> Option<[u8; N]> {
    packet.bytes.get(at as usize..)?.first_chunk().copied()
}

fn word(packet: &Seen, at: u32) -> Option<u32> {
    // SKF_AD_OFF is -0x1000.
    match at.wrapping_add(0x1000) {
        0 => Some(packet.protocol.into()),
        4 => Some(if packet.outgoing { 4 } else { 0 }),
        28 => Some(packet.hardware.into()),
        44 => Some(packet.vlan.unwrap_or_default().into()),
        48 => Some(packet.vlan.is_some().into()),
        _ => bytes(packet, at).map(u32::from_be_bytes),
    }
}
