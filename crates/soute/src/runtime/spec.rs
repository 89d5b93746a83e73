//! `spec`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use soute_runtime::cgroups::{Layout, LayoutKind};
use soute_runtime::spec::{CONFIG, VERSION};

use super::{Context, Operation};

/// Write a configuration to begin with.
#[derive(Debug, Args)]
pub struct Spec {
    /// The bundle's folder
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// For somebody who is not root
    #[arg(long)]
    rootless: bool,
}

/// What every container has; `@…@` stands for what differs.
const TEMPLATE: &str = include_str!("spec/config.json");

/// The interfaces of the machine, and what its sysfs shows of them.
const SYS: &str = r#"{
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]
        }"#;
const SYS_OF_THE_MACHINE: &str = r#"{
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]
        }"#;

fn text(rootless: bool, unified: bool) -> String {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
    match rootless {
        true => namespaces.push("user"),
        false => namespaces.push("network"),
    }
    if unified {
        namespaces.push("cgroup");
    }
    let namespaces: Vec<_> = namespaces
        .iter()
        .map(|name| format!("{{ \"type\": \"{name}\" }}"))
        .collect();
    let mapping = |name: &str, id| {
        format!("\"{name}\": [{{ \"containerID\": 0, \"hostID\": {id}, \"size\": 1 }}],\n        ")
    };
    TEMPLATE
        .replace("@VERSION@", VERSION)
        .replace("@GID@", if rootless { "" } else { ", \"gid=5\"" })
        .replace("@SYS@", if rootless { SYS_OF_THE_MACHINE } else { SYS })
        .replace("@NAMESPACES@", &namespaces.join(",\n            "))
        .replace(
            "@RESOURCES@",
            match rootless {
                true => "",
                false => {
                    "\"resources\": {\n            \"devices\": [{ \"allow\": false, \"access\": \"rwm\" }]\n        },\n        "
                }
            },
        )
        .replace(
            "@MAPPINGS@",
            &match rootless {
                true => mapping("uidMappings", uid) + &mapping("gidMappings", gid),
                false => String::new(),
            },
        )
}

impl Operation for Spec {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, _: &Context) -> Result<ExitCode> {
        let unified = Layout::discover()?.kind() == LayoutKind::Unified;
        let file = self.bundle.join(CONFIG);
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&file)
            .and_then(|mut file| file.write_all(text(self.rootless, unified).as_bytes()))
            .with_context(|| {
                format!(
                    "writing {} (one that is there is not overwritten)",
                    file.display()
                )
            })?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_understood() {
        for (rootless, unified) in [(false, false), (false, true), (true, true)] {
            let text = text(rootless, unified);
            assert!(!text.contains('@'), "{text}");
            let config = soute_runtime::spec::Config::parse(text.as_bytes(), "/".into()).unwrap();
            let linux = config.spec.linux().as_ref().unwrap();
            assert_eq!(linux.uid_mappings().is_some(), rootless);
        }
    }
}
