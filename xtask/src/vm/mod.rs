//! `cargo xtask vm`: the tests on other kernels, with systemd and cgroup version 2 alone.
//!
//! A Debian is booted in a virtual machine, in software (TCG: no hardware is
//! asked for), with a second disk that has the tests' programs. A one-shot
//! unit (`tests/vm/`) runs them, says on the serial console which have passed,
//! and powers the machine off.

mod base;
mod console;
mod disk;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::cargo::build_soute;
use crate::scratch::Scratch;
use crate::shell::{self, step};
use crate::{image, packages};
use base::{Base, Kernel};
use disk::Program;

/// A machine to be booted, and what runs on it.
struct Machine {
    kernel: &'static Kernel,
    programs: &'static [Program],
}

/// What a kernel, systemd or a cgroup layout can change the outcome of; in software, all tests would take long.
const EVERYTHING: &[Program] = &[
    Program::all("soute-sys", "soute_sys"),
    Program::some(
        "soute-runtime",
        "soute_runtime",
        &["kernel", "mounts::", "process::"],
    ),
    Program::all("soute-runtime", "cgroups"),
    Program::all("soute-runtime", "systemd"),
    Program::all("soute-runtime", "overlay"),
    Program::all("soute-lens", "soute_lens"),
    Program::some(
        "soute-tests",
        "run",
        &[
            "binds::",
            "detached::",
            "devices::",
            "exec::",
            "limits::",
            "neighbours::",
            "own_files::",
            "privileged::",
            "restart::",
            "rootfs::",
            "stop::",
            "update::",
            "users::",
            "volumes::",
        ],
    ),
    Program::some("soute-tests", "faults", &["killed::", "wrecks::"]),
    // An image's files as the root of tools are an overlay, too.
    Program::some("soute-tests", "story", &["small_tools"]),
    // The developer's kernel has neither ipvlan nor VLANs nor SCTP nor dummies.
    Program::all("soute-network", "route"),
    Program::some(
        "soute-tests",
        "network",
        &[
            "carry::what_was_renamed",
            "ipvlan::",
            "joined_by_path::",
            "sctp::",
        ],
    ),
    Program::some(
        "soute-tests",
        "oci",
        &[
            "oci::cgroups::",
            "oci::checkpoint::",
            "oci::criu::",
            "oci::live::",
            "oci::mount_ids::",
            "oci::namespaces::",
        ],
    ),
];

/// What depends on the mount interface.
const MOUNTS: &[Program] = &[
    Program::all("soute-runtime", "overlay"),
    Program::some("soute-tests", "story", &["small_tools"]),
    Program::some(
        "soute-tests",
        "run",
        &[
            "rootfs::",
            "binds::",
            "tmpfs::",
            "volumes::",
            "namespaces::",
        ],
    ),
];

const MACHINES: &[Machine] = &[
    Machine {
        kernel: &base::LINUX_6_1,
        programs: EVERYTHING,
    },
    Machine {
        kernel: &base::LINUX_6_12,
        programs: MOUNTS,
    },
];

/// Boots every machine and runs its tests there, on `soute` if that is built already: those whose name contains `filter` if
/// there is one.
pub fn run(profile: &str, soute: Option<PathBuf>, filter: Option<&str>) -> Result<()> {
    if !shell::is_root()? {
        bail!("the virtual machine's disks are made as root: run it as root");
    }
    packages::install(packages::VM)?;
    let base = Base::make()?;
    step("build for the virtual machine");
    let soute = soute.map_or_else(|| build_soute(profile), Ok)?;
    let built = disk::build(profile)?;
    let images = image::make_all()?;
    let scratch = Scratch::new("vm")?;
    let mut failed = Vec::new();
    for machine in MACHINES {
        let name = machine.kernel.name;
        step(&format!("tests on Linux {name} (virtual machine)"));
        let disk = disk::make(
            &scratch.path().join(name),
            machine.programs,
            &built,
            &soute,
            &images.busybox,
            filter,
        )?;
        let verdict = console::boot(&base, machine.kernel, &disk)
            .with_context(|| format!("the virtual machine with Linux {name}"))?;
        if let Err(error) = verdict.check(machine.programs) {
            eprintln!("{}", verdict.log());
            failed.push(format!("Linux {name}: {error}"));
        }
    }
    if !failed.is_empty() {
        bail!(
            "tests in virtual machines failed:\n  {}",
            failed.join("\n  ")
        );
    }
    Ok(())
}
