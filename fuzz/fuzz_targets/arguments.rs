//! The flags of `soute run`: -p, -v, --mount, --env-file and all others, to a request.
//!
//! They are part of the program, which is no library: its modules are compiled here as they stand.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the rest of the program uses it")]

#[path = "../../crates/soute/src/args/mod.rs"]
mod args;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use args::outside::SecurityModule;
use args::{CreateArgs, Outside, moment};
use clap::{Args as _, Command, FromArgMatches as _};
use libfuzzer_sys::fuzz_target;

/// Each file that an argument names has this text.
struct Pretended<'a>(&'a str);

impl Outside for Pretended<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        name.len().is_multiple_of(2).then(|| name.into())
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn working_directory(&self) -> io::Result<PathBuf> {
        Ok("/home/bob".into())
    }

    fn block_device(&self, _: &Path) -> io::Result<Option<(u32, u32)>> {
        Ok(Some((8, 0)))
    }

    fn cpus(&self) -> u64 {
        4
    }

    fn security_module(&self, _: SecurityModule) -> bool {
        true
    }
}

static COMMAND: LazyLock<Command> = LazyLock::new(|| {
    let command = Command::new("run")
        .disable_help_flag(true)
        .no_binary_name(true);
    CreateArgs::augment_args(command)
});

// A word a line; behind a NUL, what is in files.
fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    _ = moment::moment(text).map(|moment| moment.before(jiff::Timestamp::UNIX_EPOCH));
    let (words, file) = text.split_once('\0').unwrap_or((text, ""));
    let Ok(matches) = COMMAND.clone().try_get_matches_from(words.lines()) else {
        return;
    };
    let Ok(arguments) = CreateArgs::from_arg_matches(&matches) else {
        return;
    };
    if let Ok(creation) = arguments.into_request(&Pretended(file)) {
        for mount in &creation.request.mounts {
            let parts: Vec<&str> = mount.target.split('/').collect();
            assert!(parts.len() > 1 && parts[0].is_empty(), "{:?}", mount.target);
            assert!(
                parts[1..]
                    .iter()
                    .all(|part| !matches!(*part, "" | "." | ".."))
            );
        }
        assert!(
            creation
                .request
                .environment
                .iter()
                .all(|variable| !variable.contains('\0'))
        );
    }
});
