//! Engine-wide settings: a TOML file, every field optional, unknown ones refused.

use std::path::Path;

use serde::Deserialize;
use soute_runtime::hooks::Hook;

use crate::error::Error;
use crate::request::UserNamespace;

/// The settings file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `userns`: what a container without `--userns` gets.
    pub userns: Option<UserNamespace>,
    /// `publish_open`: published ports are for everybody, whatever the machine's firewall says of what comes in.
    pub publish_open: bool,
    /// `[rules_hook]`: what puts the user's own rules in place as soute puts its own.
    pub rules_hook: Option<Hook>,
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
    rules_hook: Option<HookFile>,
    #[serde(default)]
    log: LogFile,
}

/// As runtime-spec's hooks are written (config.md, "POSIX-platform Hooks").
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HookFile {
    path: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default = "hook_environment")]
    env: Vec<String>,
    #[serde(default = "hook_timeout")]
    timeout: i64,
}

/// Where the programs are that change rules.
fn hook_environment() -> Vec<String> {
    vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]
}

/// Seconds: a container's start waits for it, and so does a monitor that has other things to do.
fn hook_timeout() -> i64 {
    10
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
        let rules_hook = file.rules_hook.map(|hook| Hook {
            path: hook.path,
            args: hook.args,
            env: hook.env,
            timeout: Some(hook.timeout),
        });
        if let Some(hook) = &rules_hook {
            hook.check().map_err(|e| format!("rules_hook: {e}"))?;
        }
        Ok(Self {
            userns,
            publish_open: file.publish_open,
            rules_hook,
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
        let s = Settings::parse("[rules_hook]\npath = \"/etc/soute/rules\"").unwrap();
        let hook = s.rules_hook.unwrap();
        assert_eq!(
            (hook.path.as_str(), hook.args.len(), hook.timeout),
            ("/etc/soute/rules", 0, Some(10))
        );
        assert!(hook.env[0].starts_with("PATH="), "{:?}", hook.env);
        for bad in [
            "[rules_hook]\npath = \"rules\"",
            "[rules_hook]\nargs = [\"rules\"]",
            "[rules_hook]\npath = \"/rules\"\ntimeout = 0",
            "[rules_hook]\npath = \"/rules\"\nwhen = \"always\"",
            "usernss = \"auto\"",
            "userns = \"none\"",
            "publish_open = \"yes\"",
            "[log]\nmax_size = 0",
        ] {
            Settings::parse(bad).unwrap_err();
        }
    }
    #[test]
    fn the_documented_ones_are_the_defaults() {
        let page = include_str!("../../../docs/settings.md");
        let example = page.split("```").nth(1).unwrap();
        let mut documented = Settings::parse(example.strip_prefix("toml").unwrap()).unwrap();
        let hook = documented.rules_hook.take().unwrap();
        assert_eq!(
            (&hook.env, hook.timeout),
            (&hook_environment(), Some(hook_timeout()))
        );
        assert_eq!(documented.userns.take(), Some(UserNamespace::Auto));
        assert_eq!(documented, Settings::default());
    }
}
