//! The virtual machine's own disk: a small Debian with systemd and two kernels, made once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::image;
use crate::scratch::Scratch;
use crate::shell::{self, command};

/// Where it is kept. The number counts changes of its contents.
const FOLDER: &str = "/var/cache/soute-tests/vm-bookworm.1";

/// The release that still has the oldest kernel that all defaults work on.
const SUITE: &str = "bookworm";

/// A kernel of the base. Those for clouds have ext4 and NVMe built in, so that no initial RAM disk is needed.
pub struct Kernel {
    /// Version, as far as it matters; the kernel's file begins so.
    pub name: &'static str,
    /// The Debian package that brings the newest of these.
    package: &'static str,
}

/// The oldest kernel that all defaults work on.
pub const LINUX_6_1: Kernel = Kernel {
    name: "6.1",
    package: "linux-image-cloud-amd64",
};

/// Overlays have the new mount interface, but take no descriptors yet.
pub const LINUX_6_12: Kernel = Kernel {
    name: "6.12",
    package: "linux-image-6.12-cloud-amd64",
};

/// Init, what loads kernel modules, and what the end-to-end tests call.
const PACKAGES: &[&str] = &["systemd-sysv", "kmod", "iproute2", "procps"];

/// The files of the base.
pub struct Base {
    folder: PathBuf,
}

impl Base {
    /// Makes it, unless that has been done.
    pub fn make() -> Result<Self> {
        let folder = PathBuf::from(FOLDER);
        if !folder.exists() {
            if std::env::consts::ARCH != "x86_64" {
                bail!(
                    "the virtual machine is an x86_64 one; this is {}",
                    std::env::consts::ARCH
                );
            }
            shell::step(&format!("making {}", folder.display()));
            make(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self { folder })
    }

    /// The root file system, never written to.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("root.ext4")
    }

    /// The file to boot.
    pub fn kernel(&self, kernel: &Kernel) -> PathBuf {
        self.folder.join(kernel.name)
    }
}

/// Under another name first, so that a folder of the right name is whole.
fn make(folder: &Path) -> Result<()> {
    let scratch = Scratch::new("vm-base")?;
    let root = scratch.path().join("root");
    debootstrap(&root)?;
    install_unit(&root)?;

    let partial = folder.with_extension(format!("{}.partial", std::process::id()));
    std::fs::create_dir_all(&partial)?;
    let filled = fill(&root, &partial).and_then(|()| Ok(std::fs::rename(&partial, folder)?));
    if filled.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    filled
}

fn debootstrap(root: &Path) -> Result<()> {
    let packages = [PACKAGES, &[LINUX_6_1.package, LINUX_6_12.package]].concat();
    let mut bootstrap = command("mmdebstrap", ["--quiet", "--variant=minbase"]);
    bootstrap
        .arg(format!("--include={}", packages.join(",")))
        .args(
            ["doc", "locale", "man"]
                .map(|kind| format!("--dpkgopt=path-exclude=/usr/share/{kind}/*")),
        )
        // Kernels that need no initial RAM disk shall make none: it takes longer than all the rest.
        .env("INITRD", "No")
        .arg(SUITE)
        .arg(root);
    // The machine's own mirror where it has that release; mmdebstrap knows one otherwise.
    let sources = image::apt_sources()
        .ok()
        .filter(|(suite, _)| suite == SUITE);
    if sources.is_some() {
        bootstrap.arg("-").stdin(Stdio::piped());
    }
    let mut child = bootstrap.spawn().context("cannot run mmdebstrap")?;
    if let (Some((_, lines)), Some(mut stdin)) = (sources, child.stdin.take()) {
        stdin.write_all(lines.as_bytes())?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("mmdebstrap {SUITE} ended with {status}");
    }
    Ok(())
}

fn install_unit(root: &Path) -> Result<()> {
    let unit = "soute-tests.service";
    std::fs::copy(
        cargo::root().join("tests/vm").join(unit),
        root.join("etc/systemd/system").join(unit),
    )
    .with_context(|| format!("cannot install {unit}"))?;
    std::fs::create_dir(root.join("tests")).context("cannot make /tests")
}

fn fill(root: &Path, folder: &Path) -> Result<()> {
    for kernel in [&LINUX_6_1, &LINUX_6_12] {
        std::fs::copy(kernel_file(root, kernel)?, folder.join(kernel.name))?;
    }
    disk_image(root, &folder.join("root.ext4"), "2G")
}

fn kernel_file(root: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let prefix = format!("vmlinuz-{}.", kernel.name);
    for entry in std::fs::read_dir(root.join("boot"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            return Ok(entry.path());
        }
    }
    bail!(
        "no /boot/{prefix}* in the base: {} brought none",
        kernel.package
    )
}

/// Makes an ext4 image of `size` (sparse) with the contents of `folder`.
pub fn disk_image(folder: &Path, image: &Path, size: &str) -> Result<()> {
    // No journal: a virtual machine that crashes has its disk thrown away.
    shell::output(
        command(
            "mke2fs",
            ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"],
        )
        .arg(folder)
        .arg(image)
        .arg(size),
    )
    .map(drop)
}
