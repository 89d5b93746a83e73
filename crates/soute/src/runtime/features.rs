//! `features`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use soute_runtime::capabilities::{Cap, CapSet, kernel_last_cap};
use soute_runtime::spec::{MOUNT_OPTIONS, VERSION};

use super::{Context, Operation};
use crate::output::print;

/// Print what this runtime can do (runtime-spec, features.md).
#[derive(Debug, Args)]
pub struct Features {}

const HOOKS: &[&str] = &[
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

const NAMESPACES: &[&str] = &[
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
];

const ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: &[&str] = &[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

const ARCHITECTURES: &[&str] = match cfg!(target_arch = "aarch64") {
    true => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    false => &["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
};

const FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

impl Operation for Features {
    const USAGE: &'static str = "";

    fn run(self, _: &Context) -> Result<ExitCode> {
        let capabilities: Vec<String> = CapSet::up_to(kernel_last_cap()?)
            .iter()
            .map(|cap: Cap| cap.to_string())
            .collect();
        let document = json!({
            "ociVersionMin": "1.0.0",
            "ociVersionMax": VERSION,
            "hooks": HOOKS,
            "mountOptions": MOUNT_OPTIONS,
            "linux": {
                "namespaces": NAMESPACES,
                "capabilities": capabilities,
                "cgroup": {
                    "v1": true,
                    "v2": true,
                    "systemd": true,
                    "systemdUser": false,
                    "rdma": true,
                },
                "seccomp": {
                    "enabled": true,
                    "actions": ACTIONS,
                    "operators": OPERATORS,
                    "archs": ARCHITECTURES,
                    "knownFlags": FLAGS,
                    "supportedFlags": FLAGS,
                },
                "apparmor": { "enabled": false },
                "selinux": { "enabled": false },
                "intelRdt": { "enabled": false },
                "mountExtensions": { "idmap": { "enabled": true } },
                "netDevices": { "enabled": true },
            },
            "annotations": {
                "org.soute.version": env!("CARGO_PKG_VERSION"),
                // By which callers tell whether they may ask for it.
                "org.opencontainers.runc.checkpoint.enabled": "true",
            },
        });
        print(&(serde_json::to_string_pretty(&document)? + "\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
