//! Files that soute keeps, as something else may have left them; its settings; frames between a monitor and its clients.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::from_slice;
use soute_engine::{Frame, LastRun, NetworkRecord, Record, Running, Settings};
use soute_runtime::containers::State;

static FILE: LazyLock<tempfile::NamedTempFile> =
    LazyLock::new(|| tempfile::NamedTempFile::new().unwrap());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = from_slice::<Record>(bytes) {
        let written = serde_json::to_vec(&record).unwrap();
        assert_eq!(
            from_slice::<Record>(&written).unwrap(),
            record,
            "its own words"
        );
        _ = soute_engine::capabilities(&record);
    }
    if let Ok(network) = from_slice::<NetworkRecord>(bytes) {
        let written = serde_json::to_vec(&network).unwrap();
        assert_eq!(
            from_slice::<NetworkRecord>(&written).unwrap(),
            network,
            "its own words"
        );
    }
    _ = from_slice::<LastRun>(bytes);
    _ = from_slice::<Running>(bytes);
    _ = from_slice::<State>(bytes);
    if let Some(frame) = Frame::decode(bytes) {
        assert_eq!(Frame::decode(&frame.encode()), Some(frame));
    }
    if std::str::from_utf8(bytes).is_ok() {
        std::fs::write(FILE.path(), bytes).unwrap();
        _ = Settings::read(FILE.path());
    }
});
