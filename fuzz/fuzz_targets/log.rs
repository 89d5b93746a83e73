//! A container's log, and the times that its reader may be asked for.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soute_engine::log::{Filter, Line, read};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

// Two files, by the first byte of which the first is as long.
fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else {
        return;
    };
    let (older, newer) = bytes.split_at(usize::from(first).min(bytes.len()));
    for (name, content) in [("log.json.1", older), ("log.json", newer)] {
        std::fs::write(FOLDER.path().join(name), content).unwrap();
    }
    let lines = |filter: &Filter| {
        let mut lines: Vec<Line> = Vec::new();
        read(FOLDER.path(), filter, None, &mut |line| {
            lines.push(line);
            true
        })
        .unwrap();
        lines
    };
    let all = lines(&Filter::default());
    assert!(all.len() <= bytes.iter().filter(|byte| **byte == b'\n').count());
    let last = lines(&Filter {
        tail: Some(2),
        ..Filter::default()
    });
    assert!(all.ends_with(&last) && last.len() == all.len().min(2));
    let Some(middle) = all.get(all.len() / 2).map(|line| line.time) else {
        return;
    };
    let since = lines(&Filter {
        since: Some(middle),
        ..Filter::default()
    });
    assert!(!since.is_empty() && since.iter().all(|line| line.time >= middle));
});
