//! An image's texts: manifests, configurations, references, digests, platforms, instructions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soute_image::{ConfigFile, Digest, Platform, Reference};

fuzz_target!(|bytes: &[u8]| {
    soute_image::fuzz_manifest(bytes);
    if let Ok(config) = ConfigFile::parse(bytes) {
        let written = serde_json::to_vec(&config).unwrap();
        assert_eq!(
            ConfigFile::parse(&written).unwrap(),
            config,
            "its own words"
        );
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reference) = Reference::parse(text) {
        let name = reference.name();
        assert_eq!(
            Reference::parse(&name).unwrap().name(),
            name,
            "from {text:?}"
        );
        let familiar = reference.familiar_name();
        assert_eq!(
            Reference::parse(&familiar).unwrap().name(),
            name,
            "from {text:?}"
        );
        // It becomes a path of a registry's, and a file's name in the store.
        assert!(!name.contains("..") && name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    _ = text.parse::<Digest>().map(|digest| digest.to_string());
    _ = text
        .parse::<Platform>()
        .map(|platform| platform.to_string());
    soute_image::fuzz_changes(text);
});
