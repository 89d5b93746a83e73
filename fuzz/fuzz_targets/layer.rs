//! Layers: an archive is unpacked for real, and nothing may be made outside of its folder.

#![no_main]

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soute_image::unpack::{Limits, Reading, Target, unpack};

mod tarball;

/// The folder that is outside, with one file.
static PLACE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("outside")).unwrap();
    fs::write(place.path().join("outside/secret"), "secret").unwrap();
    place
});

fn limits() -> Limits {
    Limits {
        entries: 1000,
        unpacked: 4 << 20,
        ratio_from: 4 << 20,
        ..Limits::default()
    }
}

fn check_outside(place: &Path) {
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(names(place), 3, "something was made beside the layer");
    assert_eq!(
        names(&place.join("outside")),
        1,
        "something was made outside of the layer"
    );
    assert_eq!(fs::read(place.join("outside/secret")).unwrap(), b"secret");
}

fuzz_target!(|bytes: &[u8]| {
    let archive = tarball::with_checksums(bytes);
    let place = PLACE.path();
    for name in ["root", "aside"] {
        fs::create_dir(place.join(name)).unwrap();
    }
    let open = |name| File::open(place.join(name)).unwrap();
    let aside = open("aside");
    let target = Target {
        root: open("root").into(),
        aside: aside.as_fd(),
    };
    let reading = Reading {
        compression: None,
        marked_end: false,
        limits: &limits(),
    };
    _ = unpack(archive.as_slice(), target, &reading, &mut |_| {});
    check_outside(place);
    for name in ["root", "aside"] {
        fs::remove_dir_all(place.join(name)).unwrap();
    }
});
