//! A Docker daemon of the bench's own.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::bed::Bed;
use super::limit::{LIMIT, Running, output};
use crate::shell::{self, command};

/// `dockerd` with all its folders in the bed; it and its containerd end on drop.
pub struct Docker {
    daemon: Running,
}

impl Docker {
    /// Starts it without networks, waits until it answers, and loads the image.
    pub fn start(bed: &Bed) -> Result<Self> {
        let none = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
        Self::start_with(bed, &none)
    }

    /// The same with its own networks, in the caller's network namespace.
    pub fn start_with_networks(bed: &Bed) -> Result<Self> {
        Self::start_with(bed, &[])
    }

    fn start_with(bed: &Bed, flags: &[&str]) -> Result<Self> {
        let log = bed.path("docker.log");
        let file = std::fs::File::create(&log)?;
        let mut daemon = Command::new("dockerd");
        daemon
            .arg("--storage-driver=overlay2")
            .args(flags)
            .arg("--data-root")
            .arg(bed.path("docker-root"))
            .arg("--exec-root")
            .arg(bed.run().join("docker"))
            .arg("--pidfile")
            .arg(bed.path("docker.pid"))
            .arg("--host")
            .arg(format!("unix://{}", bed.path("docker.sock").display()))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let daemon = Running::start(&mut daemon).context("package docker.io")?;
        let mut docker = Self { daemon };
        let end = Instant::now() + Duration::from_secs(60);
        while output(bed.docker().arg("version"), LIMIT).is_err() {
            let ended = docker.daemon.wait(Duration::from_millis(200))?;
            if ended.is_some() || Instant::now() > end {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                bail!(
                    "dockerd does not answer; its last words:\n{}",
                    last_lines(&log, 15)
                );
            }
        }
        import(bed.docker(), bed)?;
        Ok(docker)
    }
}

/// Loads the bed's root file system into an engine as the image `busybox`.
pub fn import(mut engine: Command, bed: &Bed) -> Result<()> {
    let tar = bed.path("rootfs.tar");
    if !tar.exists() {
        shell::run(
            command("tar", ["--create", "--file"])
                .arg(&tar)
                .arg("--directory")
                .arg(bed.rootfs())
                .arg("."),
        )?;
    }
    output(engine.arg("import").arg(&tar).arg("busybox"), LIMIT).map(drop)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Asked to end, it ends its containerd too. If it does not, it is killed.
        let asked = shell::kill("TERM", &self.daemon.id().to_string());
        if let Err(error) = asked.and_then(|()| self.daemon.wait(LIMIT)) {
            eprintln!("xtask: {error:#}");
        }
    }
}
