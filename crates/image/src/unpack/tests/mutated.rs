//! A good archive with some bytes changed: whatever comes of it, nothing
//! panics and nothing is made outside (`Place` looks after each try).

use proptest::prelude::*;

use super::*;

/// An archive with every kind of entry; its symbolic links point outside.
fn sample() -> Vec<u8> {
    archive(|tar| {
        folder(tar, "d/");
        file(tar, "d/f", b"content");
        symlink(tar, "out", "../outside");
        symlink(tar, "up", "..");
        hard_link(tar, "d/h", "d/f");
        pax(tar, &[("path", b"d/long"), ("SCHILY.xattr.user.x", b"1")]);
        file(tar, "x", b"abc");
        file(tar, "d/.wh.gone", b"");
        file(tar, "e/.wh..wh..opq", b"");
        raw(tar, header(EntryType::Fifo, "d/pipe", 0), b"");
        folder(tar, "d/");
    })
}

/// Names and types that an attacker would write.
const HOSTILE: [&[u8]; 12] = [
    b"../outside/x\0",
    b"out/x\0",
    b"up/outside/x\0",
    b"out\0",
    b"..\0",
    b"/\0",
    b"d\0",
    b"d/f\0",
    b".wh.d\0",
    b"out/secret\0",
    b".wh..wh..opq\0",
    b"\0",
];

#[derive(Debug, Clone)]
enum Change {
    Byte(usize, u8),
    Name(usize, usize),
    Link(usize, usize),
    Type(usize, u8),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<usize>(), 0..HOSTILE.len()).prop_map(|(block, name)| Change::Name(block, name)),
        (any::<usize>(), 0..HOSTILE.len()).prop_map(|(block, name)| Change::Link(block, name)),
        (
            any::<usize>(),
            prop::sample::select(b"01234567SLKxg".to_vec())
        )
            .prop_map(|(block, kind)| Change::Type(block, kind)),
        any::<usize>().prop_map(Change::Cut),
    ]
}

/// Changes the archive, and makes its checksums right again, or most would stop there.
fn apply(archive: &mut Vec<u8>, change: &Change) {
    let blocks = archive.len() / 512;
    if blocks == 0 {
        return;
    }
    let field = |archive: &mut Vec<u8>, block: usize, offset: usize, bytes: &[u8]| {
        let at = block % blocks * 512 + offset;
        archive[at..at + bytes.len()].copy_from_slice(bytes);
    };
    match *change {
        Change::Byte(at, byte) => {
            let length = archive.len();
            archive[at % length] = byte;
        }
        Change::Name(block, name) => field(archive, block, 0, HOSTILE[name]),
        Change::Link(block, name) => field(archive, block, 157, HOSTILE[name]),
        Change::Type(block, kind) => field(archive, block, 156, &[kind]),
        Change::Cut(at) => {
            let length = archive.len();
            archive.truncate(at % length);
        }
    }
    for block in archive.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            let mut header = Header::new_ustar();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_leaves_the_layer(changes in prop::collection::vec(change(), 1..6)) {
        let mut archive = sample();
        for change in &changes {
            apply(&mut archive, change);
        }
        let place = Place::new();
        // Refused or not: what matters is what `Place` finds outside.
        let _ = place.unpack(&archive);
    }
}
