//! OCI bundles for the runtimes that take nothing else: what `runc spec` and `crun spec` write, made runnable.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::bed::Bed;
use crate::shell::output;

/// Docker's profile as the distribution packages it (with libraries that Podman uses).
const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// The capabilities that Docker gives by default, which the profile's rules ask about.
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A bundle's folder: a runtime's default, with or without a seccomp profile, and a program.
pub struct Bundle {
    /// The folder's name, and the container's.
    pub name: &'static str,
    /// Whose `spec` it is.
    pub runtime: &'static str,
    seccomp: bool,
    program: &'static [&'static str],
}

/// All bundles of the bench.
pub const ALL: &[Bundle] = &[
    Bundle {
        name: "crun",
        runtime: "crun",
        seccomp: false,
        program: &["/bin/true"],
    },
    Bundle {
        name: "crun-seccomp",
        runtime: "crun",
        seccomp: true,
        program: &["/bin/true"],
    },
    Bundle {
        name: "runc",
        runtime: "runc",
        seccomp: false,
        program: &["/bin/true"],
    },
    Bundle {
        name: "runc-seccomp",
        runtime: "runc",
        seccomp: true,
        program: &["/bin/true"],
    },
    // Entered by exec.
    Bundle {
        name: "crun-idle",
        runtime: "crun",
        seccomp: true,
        program: &["/bin/sleep", "1000000"],
    },
    Bundle {
        name: "runc-idle",
        runtime: "runc",
        seccomp: true,
        program: &["/bin/sleep", "1000000"],
    },
];

/// Makes all bundles, anew for each layout: a runtime's default depends on it.
pub fn write_all(bed: &Bed) -> Result<()> {
    ALL.iter().try_for_each(|bundle| bundle.write(bed))
}

impl Bundle {
    /// Makes the folder and its `config.json`.
    fn write(&self, bed: &Bed) -> Result<()> {
        let folder = bed.path(self.name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        output(
            std::process::Command::new(self.runtime)
                .arg("spec")
                .current_dir(&folder),
        )?;
        let file = folder.join("config.json");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(self.program);
        config["root"]["path"] = json!(bed.rootfs());
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .context("a spec without namespaces")?;
        if !namespaces
            .iter()
            .any(|namespace| namespace["type"] == "cgroup")
        {
            namespaces.push(json!({"type": "cgroup"}));
        }
        if self.seccomp {
            let profile: Value = serde_json::from_str(
                &std::fs::read_to_string(PROFILE)
                    .with_context(|| format!("cannot read {PROFILE}"))?,
            )?;
            config["linux"]["seccomp"] = resolve(&profile, CAPABILITIES)?;
        }
        std::fs::write(&file, serde_json::to_vec(&config)?)?;
        Ok(())
    }
}

/// Resolves Docker's form of a profile for this architecture and a container with `capabilities` into the OCI's.
fn resolve(profile: &Value, capabilities: &[&str]) -> Result<Value> {
    let (docker, oci) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", "SCMP_ARCH_X86_64"),
        "aarch64" => ("arm64", "SCMP_ARCH_AARCH64"),
        other => bail!("the bench knows no name of {other} in seccomp profiles"),
    };
    let map = profile["archMap"]
        .as_array()
        .context("a profile without archMap")?;
    let map = map
        .iter()
        .find(|map| map["architecture"] == oci)
        .context("a profile without this architecture")?;
    let mut architectures = vec![map["architecture"].clone()];
    architectures.extend(
        map["subArchitectures"]
            .as_array()
            .into_iter()
            .flatten()
            .cloned(),
    );

    let matches = |condition: &Value, all: bool| -> bool {
        let wanted = |field: &str| condition[field].as_array().cloned().unwrap_or_default();
        let has = |capability: &Value| capabilities.iter().any(|ours| capability == ours);
        let (wanted_capabilities, wanted_architectures) = (wanted("caps"), wanted("arches"));
        if all {
            wanted_capabilities.iter().all(has)
                && (wanted_architectures.is_empty()
                    || wanted_architectures.contains(&json!(docker)))
        } else {
            wanted_capabilities.iter().any(has) || wanted_architectures.contains(&json!(docker))
        }
    };
    let rules = profile["syscalls"]
        .as_array()
        .context("a profile without syscalls")?;
    let rules: Vec<Value> = rules
        .iter()
        .filter(|rule| matches(&rule["includes"], true) && !matches(&rule["excludes"], false))
        .map(|rule| {
            let mut kept = json!({"names": rule["names"], "action": rule["action"]});
            for field in ["args", "errnoRet"] {
                if !rule[field].is_null() {
                    kept[field] = rule[field].clone();
                }
            }
            kept
        })
        .collect();
    Ok(json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": architectures,
        "syscalls": rules,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_other_capabilities_and_architectures_are_left_out() {
        let rule = |name: &str, includes: Value, excludes: Value| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "includes": includes, "excludes": excludes});
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            ],
            "syscalls": [
                rule("always", json!({}), json!({})),
                rule("with", json!({"caps": ["CAP_KILL"]}), json!({})),
                rule("without", json!({}), json!({"caps": ["CAP_KILL"]})),
                rule("admin", json!({"caps": ["CAP_SYS_ADMIN"]}), json!({})),
                rule("elsewhere", json!({"arches": ["s390x"]}), json!({})),
                rule("here", json!({"arches": ["amd64", "arm64"]}), json!({})),
            ],
        });
        let resolved = resolve(&profile, &["CAP_KILL"]).unwrap();
        let names: Vec<&Value> = resolved["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| &rule["names"][0])
            .collect();
        assert_eq!(names, ["always", "with", "here"]);
        assert_eq!(resolved["architectures"].as_array().unwrap().len(), 2);
    }
}
