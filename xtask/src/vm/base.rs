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
const FOLDER: &str = "/var/cache/soute-tests/vm-bookworm.3";

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

/// Init, what loads kernel modules, and what the runtime and the end-to-end tests call.
const PACKAGES: &[&str] = &["systemd-sysv", "kmod", "iproute2", "procps", "criu"];

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
        self.folder.join("root.disk")
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
    let disk = folder.join("root.disk");
    partition(&disk)?;
    filesystem(
        root,
        &disk,
        &["-E", &format!("offset={}", PARTITION_START * SECTOR)],
    )
}

const SECTOR: u64 = 512;
/// Of the only partition, in sectors.
const PARTITION_START: u64 = 2048;

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

/// What the kernel knows the root's partition by (`root=PARTUUID=…`): the numbers of disks depend on which is found first.
pub const ROOT_PARTITION: &str = "65747573-01";

/// Makes a sparse disk with one partition (a "DOS" table, for which there is no need of a program).
fn partition(disk: &Path) -> Result<()> {
    let mut table = [0u8; SECTOR as usize];
    table[440..444].copy_from_slice(&0x6574_7573_u32.to_le_bytes());
    let entry = &mut table[446..462];
    entry[4] = 0x83;
    entry[8..12].copy_from_slice(&(PARTITION_START as u32).to_le_bytes());
    entry[12..16].copy_from_slice(&((FILESYSTEM / SECTOR) as u32).to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut file = std::fs::File::create(disk)?;
    file.write_all(&table)?;
    Ok(file.set_len(PARTITION_START * SECTOR + FILESYSTEM)?)
}

/// Bytes of each file system; what is not used takes no room.
const FILESYSTEM: u64 = 2 << 30;

/// Makes an ext4 file system with the contents of `folder` in the file `image`.
pub fn filesystem(folder: &Path, image: &Path, options: &[&str]) -> Result<()> {
    // No journal: a virtual machine that crashes has its disk thrown away.
    shell::output(
        command(
            "mke2fs",
            ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"],
        )
        .arg(folder)
        .args(options)
        .arg(image)
        .arg(format!("{}k", FILESYSTEM >> 10)),
    )
    .map(drop)
}
