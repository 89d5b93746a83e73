//! Compression, digests, ends: what surrounds the entries.

use std::io::Write;

use flate2::write::GzEncoder;

use super::*;
use crate::digest::Digest;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

/// More than fits the buffers under way, with headers that straddle them.
fn sample() -> Vec<u8> {
    let noise: Vec<u8> = (0..300_001_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    archive(|tar| {
        for n in 0..20 {
            pax(tar, &[("comment", "x".repeat(200 * n).as_bytes())]);
            file(tar, &format!("f{n}"), &noise[n..]);
        }
    })
}

#[test]
fn all_compressions_give_the_same_layer() {
    let plain = sample();
    let (first, second) = plain.split_at(plain.len() / 3);
    let members = [gzip(first), gzip(second)].concat();
    let frames = [zstd(first), zstd(second)].concat();
    let skippable = [b"\x50\x2a\x4d\x18\x04\0\0\0abcd", &zstd(&plain)[..]].concat();
    for (name, packed) in [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("gzip members", members),
        ("zstd", zstd(&plain)),
        ("zstd frames", frames),
        ("zstd skippable", skippable),
    ] {
        let place = Place::new();
        let unpacked = place.unpack(&packed).unwrap();
        assert_eq!(unpacked.diff_id, Digest::of(&plain), "{name}");
        assert_eq!(unpacked.blob, Digest::of(&packed), "{name}");
        assert_eq!(unpacked.blob_size, packed.len() as u64, "{name}");
        assert_eq!(unpacked.tar_size, plain.len() as u64, "{name}");
        for n in 0..20 {
            let length = fs::metadata(place.path(&format!("f{n}"))).unwrap().len();
            assert_eq!(length, 300_001 - n, "{name} f{n}");
        }
    }
}

#[test]
fn the_media_type_must_tell_the_truth() {
    let plain = archive(|tar| file(tar, "f", b""));
    let limits = Limits::default();
    for (promised, packed, fits) in [
        (Compression::Gzip, gzip(&plain), true),
        (Compression::Zstd, zstd(&plain), true),
        (Compression::Plain, plain.clone(), true),
        (Compression::Gzip, plain.clone(), false),
        (Compression::Gzip, zstd(&plain), false),
        (Compression::Plain, gzip(&plain), false),
    ] {
        let reading = Reading {
            compression: Some(promised),
            ..reading(&limits)
        };
        let result = Place::new().try_unpack(&packed, &reading);
        assert_eq!(result.is_ok(), fits, "{promised:?}: {result:?}");
    }
}

#[test]
fn truncation_anywhere_is_noticed() {
    let plain = archive(|tar| {
        file(tar, "a", &[5; 1000]);
        folder(tar, "d/");
    });
    for (name, packed) in [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("zstd", zstd(&plain)),
    ] {
        for cut in 0..packed.len() {
            // One zero block may be missing: what comes before it is whole, and so is the marker's first half.
            let result = Place::new().unpack(&packed[..cut]);
            assert!(result.is_err(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn the_end_marker_may_be_missing_where_a_digest_vouches() {
    let whole = archive(|tar| file(tar, "f", b"abc"));
    let limits = Limits::default();
    let reading = Reading {
        marked_end: false,
        ..reading(&limits)
    };
    let unmarked = &whole[..whole.len() - 1024];
    Place::new().try_unpack(unmarked, &reading).unwrap();
    Place::new().try_unpack(b"", &reading).unwrap();
    for cut in [1, 511, 513, unmarked.len() - 1] {
        let result = Place::new().try_unpack(&unmarked[..cut], &reading);
        assert!(
            matches!(result, Err(UnpackError::Truncated { .. })),
            "{cut}"
        );
    }
}

#[test]
fn garbage_is_refused() {
    let plain = archive(|tar| file(tar, "f", b"abc"));
    let zeros = [&plain[..], &[0; 10_000]].concat();
    Place::new().unpack(&zeros).unwrap();
    let result = Place::new().unpack(&[&plain[..], &[0; 1000], b"x"].concat());
    assert!(matches!(result, Err(UnpackError::TrailingGarbage { .. })));
    let result = Place::new().unpack(&[&gzip(&plain)[..], b"garbage"].concat());
    assert!(result.is_err());
    let result = Place::new().unpack(&[&zstd(&plain)[..], b"garbage"].concat());
    assert!(result.is_err());
    for content in [
        &b"hello, world"[..],
        &[0xff; 2000],
        b"\x1f\x8b garbage",
        b"(\xb5/\xfd garbage",
    ] {
        assert!(Place::new().unpack(content).is_err());
    }
    let mut broken = plain.clone();
    broken[0] ^= 1;
    let message = Place::new().unpack(&broken).unwrap_err().to_string();
    assert!(message.contains("checksum"), "{message}");
    let mut packed = gzip(&plain);
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    assert!(
        Place::new().unpack(&packed).is_err(),
        "the checksum of gzip is looked at"
    );
}

/// RFC 8878 lets a frame ask for a window of terabytes.
#[test]
fn a_zstd_window_is_bounded() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder
        .write_all(&archive(|tar| file(tar, "f", &vec![1; 1 << 20])))
        .unwrap();
    let packed = encoder.finish().unwrap();
    let message = Place::new().unpack(&packed).unwrap_err().to_string();
    assert!(message.contains("zstd"), "{message}");
}

#[test]
fn an_error_of_the_source_is_the_sources() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("cable unplugged"))
        }
    }
    let plain = sample();
    for packed in [plain.clone(), gzip(&plain)] {
        let half = &packed[..packed.len() / 2];
        let place = Place::new();
        let aside = place.open("aside");
        let target = Target {
            root: place.open("root"),
            aside: aside.as_fd(),
        };
        let limits = Limits::default();
        let result = unpack(half.chain(Failing), target, &reading(&limits), &mut |_| {});
        assert!(matches!(result, Err(UnpackError::Read(_))), "{result:?}");
    }
}
