//! Everything that is measured, made ready in one folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::layout::Layout;
use super::left_out::LeftOut;
use super::limit::{self, LIMIT};
use super::peers;
use super::subjects::{CRUN, DOCKER, PODMAN, RUNC, YOUKI};
use crate::cargo::root;
use crate::image::{self, Images};
use crate::shell::{command, output, run};

/// The folder, and how each engine is called with storage of its own in it.
pub struct Bed {
    folder: PathBuf,
}

impl Bed {
    /// soute and a root file system, and nothing to compare with.
    pub fn lay_bare(folder: &Path, soute: &Path) -> Result<Self> {
        let bed = Self {
            folder: folder.to_owned(),
        };
        // Copied: the build's folder is not seen from the peers' root.
        std::fs::copy(soute, bed.path("soute"))?;
        std::fs::create_dir(bed.rootfs())?;
        std::fs::create_dir(bed.run())?;
        image::busybox_tree(&bed.rootfs())?;
        Ok(bed)
    }

    /// Besides, compiles the floor, and imports the image into soute.
    pub fn lay(folder: &Path, soute: &Path, images: &Images) -> Result<Self> {
        let bed = Self::lay_bare(folder, soute)?;
        std::fs::copy(peers::youki()?, bed.path("youki"))?;
        run(command(
            "gcc",
            ["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o"],
        )
        .arg(bed.path("floor"))
        .arg(root().join("bench/floor.c")))?;
        output(
            bed.soute()
                .arg("import")
                .arg(&images.busybox)
                .arg("busybox"),
        )?;
        Ok(bed)
    }

    /// The bed that was laid in `folder`.
    pub fn at(folder: &Path) -> Result<Self> {
        if !folder.join("soute").exists() {
            bail!("{} is no folder of a benchmark", folder.display());
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What stands for /run, where every engine keeps the state of what runs: memory, in the namespaces in which it is
    /// measured ([`super::layout`]).
    pub fn run(&self) -> PathBuf {
        self.path("run")
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The unpacked root file system, for those that take a bundle.
    pub fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// `floor VERB LAYOUT`.
    pub fn floor(&self, verb: &str, layout: Layout) -> Command {
        let mut command = Command::new(self.path("floor"));
        command.args([verb, layout.name()]);
        command
    }

    /// `crun` or `runc`, with its state here.
    pub fn oci(&self, runtime: &str) -> Command {
        let mut command = Command::new(runtime);
        command.arg("--root").arg(self.run().join(runtime));
        command
    }

    /// `youki`, with its state here.
    pub fn youki(&self) -> Command {
        let mut command = Command::new(self.path("youki"));
        command.arg("--root").arg(self.run().join("youki"));
        command
    }

    /// `soute runtime`, with its state here.
    pub fn runtime(&self) -> Command {
        let mut command = Command::new(self.path("soute"));
        command.args(["runtime", "--root"]);
        command.arg(self.run().join("soute-runtime"));
        command
    }

    /// `soute`.
    pub fn soute(&self) -> Command {
        self.soute_at("soute-root")
    }

    /// `soute`, with a root folder of that name.
    pub fn soute_at(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("soute"));
        command
            .arg("--root")
            .arg(self.path(name))
            .arg("--run")
            .arg(self.run().join("soute"));
        command.arg("--config").arg(self.path("no-settings"));
        command
    }

    /// `podman`, over crun, its fastest.
    pub fn podman(&self) -> Command {
        let mut command = command(
            "podman",
            [
                "--cgroup-manager=cgroupfs",
                "--runtime=crun",
                "--storage-driver=overlay",
                "--events-backend=file",
            ],
        );
        command.arg("--root").arg(self.path("podman-root"));
        command.arg("--runroot").arg(self.run().join("podman"));
        command.arg("--tmpdir").arg(self.path("podman-tmp"));
        command
    }

    /// The distribution's `docker`, talking to the daemon of this bench.
    pub fn docker(&self) -> Command {
        let mut command = Command::new("/usr/bin/docker");
        command
            .arg("--host")
            .arg(format!("unix://{}", self.path("docker.sock").display()));
        command
    }

    /// What each program says of its version.
    pub fn versions(&self, left_out: &mut LeftOut) -> Result<Vec<String>> {
        let mut versions = Vec::new();
        let soute = output(Command::new(self.path("soute")).arg("version"))?;
        let number = soute
            .lines()
            .find_map(|line| line.trim().strip_prefix("Version:"));
        versions.push(format!("soute {}", number.unwrap_or(&soute).trim()));
        for (name, mut peer) in [
            (CRUN, Command::new("crun")),
            (RUNC, Command::new("runc")),
            (PODMAN, Command::new("podman")),
            (DOCKER, Command::new("/usr/bin/docker")),
            (YOUKI, self.youki()),
        ] {
            let tell = || limit::output(peer.arg("--version"), LIMIT);
            if let Some(text) = left_out.attempt(name, "Versions", tell)? {
                versions.push(text.lines().next().unwrap_or_default().to_owned());
            }
        }
        Ok(versions)
    }
}
