//! Engine-wide settings: a TOML file, every field optional, unknown ones refused.

use std::path::Path;

use serde::Deserialize;

use crate::error::Error;
use crate::request::UserNamespace;

/// The settings file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `userns`: what a container without `--userns` gets.
    pub userns: Option<UserNamespace>,
    /// `publish_open`: published ports are for everybody, whatever the machine's firewall says of what comes in.
    pub publish_open: bool,
    /// `[log]`
    pub log: LogSettings,
}

/// `[log]`: how much of a container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `max_size`: bytes in one file.
    pub max_size: u64,
    /// `max_files`
    pub max_files: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            max_size: 10 << 20,
            max_files: 3,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    userns: Option<String>,
    #[serde(default)]
    publish_open: bool,
    #[serde(default)]
    log: LogFile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LogFile {
    max_size: Option<u64>,
    max_files: Option<u32>,
}

impl Settings {
    /// Reads `path`; a file that is not there means the defaults.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|why| Error::Settings {
                path: path.to_owned(),
                why,
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => crate::error::io("reading the settings", path, Err(e)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        let userns = file
            .userns
            .map(|u| {
                u.parse::<UserNamespace>()
                    .map_err(|e| format!("userns: {e}"))
            })
            .transpose()?;
        let default = LogSettings::default();
        let log = LogSettings {
            max_size: file.log.max_size.unwrap_or(default.max_size),
            max_files: file.log.max_files.unwrap_or(default.max_files),
        };
        if log.max_size == 0 || log.max_files == 0 {
            return Err("log: max_size and max_files start at 1".to_owned());
        }
        Ok(Self {
            userns,
            publish_open: file.publish_open,
            log,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let default = Settings::parse("").unwrap();
        assert_eq!(default, Settings::default());
        // 3 files of 10 MiB.
        assert_eq!(
            (default.log.max_size, default.log.max_files),
            (10_485_760, 3)
        );
        let s = Settings::parse("userns = \"remap:bob:bob\"\n[log]\nmax_files = 1\n").unwrap();
        assert_eq!(
            s.userns,
            Some(UserNamespace::Remap {
                user: "bob".into(),
                group: Some("bob".into())
            })
        );
        assert_eq!((s.log.max_files, s.publish_open), (1, false));
        assert!(Settings::parse("publish_open = true").unwrap().publish_open);
        for bad in [
            "usernss = \"auto\"",
            "userns = \"none\"",
            "publish_open = \"yes\"",
            "[log]\nmax_size = 0",
        ] {
            Settings::parse(bad).unwrap_err();
        }
    }
}
