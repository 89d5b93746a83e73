//! Texts of /proc, in which names are what processes have chosen.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soute_lens::proc::{IdMap, ProcessStat, ProcessStatus, Users, mountinfo, net_dev, words};
use soute_lens::text::{lossy, visible};

fuzz_target!(|text: &[u8]| {
    if let Ok(entries) = mountinfo(text) {
        assert!(entries.len() <= text.split(|byte| *byte == b'\n').count());
    }
    _ = net_dev(text);
    _ = ProcessStat::parse(text);
    if let Ok(status) = ProcessStatus::parse(text) {
        _ = (status.innermost_pid(), status.is_zombie());
    }
    if let Ok(map) = IdMap::parse(text) {
        _ = (map.inside(0), map.inside(u32::MAX), map.is_identity());
    }
    _ = Users::parse(text).name(0);
    assert!(words(text).len() <= text.len());
    assert!(
        !visible(text).contains(char::is_control),
        "{:?}",
        visible(text)
    );
    _ = lossy(text);
    assert!(soute_runtime::mountinfo::unescape(text).len() <= text.len());
    if let Ok(text) = std::str::from_utf8(text) {
        soute_runtime::cgroups::fuzz(text);
    }
});
