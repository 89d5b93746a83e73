//! Image archives: docker-archives and OCI archives are loaded into a store of their own.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soute_image::unpack::Limits;
use soute_image::{LoadOptions, LoadSource, Silent, Store};

mod tarball;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
static STORE: LazyLock<Store> = LazyLock::new(|| Store::open(FOLDER.path()).unwrap());

fuzz_target!(|bytes: &[u8]| {
    let archive = tarball::with_checksums(bytes);
    let options = LoadOptions {
        platform: None,
        limits: Limits {
            entries: 1000,
            unpacked: 4 << 20,
            ratio_from: 4 << 20,
            ..Limits::default()
        },
    };
    let loaded = STORE.load(
        LoadSource::Reader(&mut archive.as_slice()),
        &options,
        &Silent,
    );
    if let Err(error) = loaded {
        assert!(error.to_string().len() < 64 << 10);
    }
});
