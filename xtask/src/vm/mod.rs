//! `cargo xtask vm`: the tests on other kernels, with systemd and cgroup version 2 alone.
//!
//! A Debian is booted in a virtual machine, in software (TCG: no hardware is
//! asked for), with a second disk that has the tests' programs. A one-shot
//! unit (`tests/vm/`) runs them, says on the serial console which have passed,
//! and powers the machine off.

mod base;
mod console;
mod disk;

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

/// All layers of tests that a kernel can change the outcome of.
const EVERYTHING: &[Program] = &[
    Program {
        package: "soute-sys",
        target: "soute_sys",
        only: &[],
    },
    Program {
        package: "soute-runtime",
        target: "soute_runtime",
        only: &[],
    },
    Program {
        package: "soute-runtime",
        target: "cgroups",
        only: &[],
    },
    Program {
        package: "soute-runtime",
        target: "overlay",
        only: &[],
    },
    Program {
        package: "soute-tests",
        target: "run",
        only: &[],
    },
];

/// What depends on the mount interface.
const MOUNTS: &[Program] = &[
    Program {
        package: "soute-runtime",
        target: "overlay",
        only: &[],
    },
    Program {
        package: "soute-tests",
        target: "run",
        only: &["rootfs::", "binds::", "volumes::", "tmpfs::"],
    },
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

/// Boots every machine and runs its tests there, those whose name contains `filter` if there is one.
pub fn run(profile: &str, filter: Option<&str>) -> Result<()> {
    if !shell::is_root()? {
        bail!("the virtual machine's disks are made as root: run it as root");
    }
    packages::install(packages::VM)?;
    let base = Base::make()?;
    step("build for the virtual machine");
    let soute = build_soute(profile)?;
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
