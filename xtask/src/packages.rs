//! What the chores need from the distribution, in one place.

use anyhow::{Context, Result, bail};

use crate::shell::{self, command};

/// For `cargo xtask demo` and `cargo xtask image`: a linker, static libraries, and the maker of root file systems.
pub const IMAGES: &[&str] = &["busybox-static", "gcc", "libc6-dev", "mmdebstrap"];

/// For `cargo xtask test`: the peers that the same cases run on, and the tools that look at what soute did.
pub const TESTS: &[&str] = &[
    "busybox-static",
    "containerd",
    "crun",
    "docker-registry",
    "docker.io",
    "gcc",
    "gzip",
    "iproute2",
    "iptables",
    "jq",
    "libc6-dev",
    "libcap2-bin",
    "libseccomp-dev",
    "libxml2-utils",
    "mmdebstrap",
    "nftables",
    "openssl",
    "podman",
    "procps",
    "python3",
    "runc",
    "skopeo",
    "strace",
    "tcpdump",
    "tmux",
    "tshark",
    "ufw",
    "util-linux",
    "zstd",
];

/// For `cargo xtask bench`, besides: where there is no `testing` to take them from.
pub const BENCH: &[&str] = &["time"];

/// For `cargo xtask vm`: the emulator, and what makes its disks.
pub const VM: &[&str] = &[
    "debian-archive-keyring",
    "e2fsprogs",
    "mmdebstrap",
    "qemu-system-x86",
];

/// A package manager that starts no daemon: the tests start the ones that they need, in namespaces of their own.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs those of `packages` that are missing, through apt.
///
/// # Errors
/// Not root, or not a Debian or Ubuntu: the message says what is missing.
pub fn install(packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !shell::is_root()? {
        bail!(
            "these packages are missing; as root: apt-get install {}",
            missing.join(" ")
        );
    }
    shell::step(&format!("installing {}", missing.join(" ")));
    let _quiet = NoDaemons::new()?;
    shell::run(&mut command("apt-get", ["update", "--quiet"]))?;
    shell::run(
        command(
            "apt-get",
            ["install", "--quiet", "--yes", "--no-install-recommends"],
        )
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    // Exits with 1 when a package is unknown, so its status says nothing here.
    let query = command(
        "dpkg-query",
        ["--show", "--showformat", "${Package} ${db:Status-Status}\n"],
    )
    .args(packages)
    .output()
    .with_context(|| {
        format!(
            "dpkg-query does not run: not a Debian or Ubuntu? Install what these packages hold: {}",
            packages.join(" ")
        )
    })?;
    Ok(not_installed(
        packages,
        &String::from_utf8_lossy(&query.stdout),
    ))
}

fn not_installed<'a>(packages: &[&'a str], status: &str) -> Vec<&'a str> {
    let installed: Vec<&str> = status
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    packages
        .iter()
        .copied()
        .filter(|package| !installed.contains(package))
        .collect()
}

/// While it lives, installing a package starts no service.
struct NoDaemons {
    ours: bool,
}

impl NoDaemons {
    fn new() -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY);
        match file {
            Ok(mut file) => {
                std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")?;
                Ok(Self { ours: true })
            }
            // The machine has a policy of its own.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self { ours: false })
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {POLICY}")),
        }
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = std::fs::remove_file(POLICY)
        {
            eprintln!("xtask: cannot remove {POLICY}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_but_configured_counts_as_missing() {
        let status = "jq installed\nrunc config-files\n";
        assert_eq!(
            not_installed(&["jq", "runc", "tmux"], status),
            ["runc", "tmux"]
        );
    }
}
