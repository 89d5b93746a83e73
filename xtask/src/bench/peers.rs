//! The peers' newest packages, in a root file system of their own.
//!
//! A stable distribution's peers are years old, and Debian's crun refuses the
//! unified hierarchy where root lacks CAP_SYS_RESOURCE. On Debian the
//! benchmark therefore runs in a root made of `testing`; elsewhere it takes the
//! machine's own packages, and the report says which versions they were.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::bed::Bed;
use crate::image;
use crate::scratch::Scratch;
use crate::shell::{command, run, step};

const PACKAGES: &str = "--include=conmon,containerd,crun,docker-cli,docker.io,iperf3,iproute2,iptables,mount,netavark,nftables,podman,procps,runc,strace,time";

/// The number counts changes of its contents.
const NAME: &str = "peers-testing.4";

/// Without features it knows no cgroups at all.
const YOUKI: &str = "0.7.0";

/// The root with the newest peers; `None` on a machine whose package source has no `testing`.
pub fn root() -> Result<Option<PathBuf>> {
    let release =
        std::fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    if !release.lines().any(|line| line == "ID=debian") {
        return Ok(None);
    }
    let root = Path::new(image::FOLDER).join(NAME);
    if !root.exists() {
        step(&format!("making {}", root.display()));
        let (suite, sources) = image::apt_sources()?;
        let partial = root.with_extension(format!("{}.partial", std::process::id()));
        let made = make(&suite, &sources, &partial);
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&partial);
        }
        made?;
        std::fs::rename(&partial, &root)?;
    }
    Ok(Some(root))
}

/// youki, which no distribution has, as crates.io has it.
pub fn youki() -> Result<PathBuf> {
    let root = Path::new(image::FOLDER).join(format!("youki-{YOUKI}.2"));
    let program = root.join("bin/youki");
    if !program.exists() {
        step(&format!("building youki {YOUKI}"));
        let build = Scratch::new("youki")?;
        // From elsewhere: our own flags, for static programs, are not meant for it.
        run(
            command("cargo", ["install", "--quiet", "--version", YOUKI, "youki"])
                .args(["--features", "v1,v2"])
                .arg("--root")
                .arg(&root)
                .env("CARGO_TARGET_DIR", build.path())
                .current_dir("/"),
        )?;
    }
    Ok(program)
}

fn make(suite: &str, sources: &str, target: &Path) -> Result<()> {
    // A mirror may lag behind the date that the suite is promised to be renewed by.
    let options = [
        "--variant=essential",
        "--aptopt=Acquire::Check-Valid-Until \"false\"",
        PACKAGES,
    ];
    image::mmdebstrap(&options, "testing", target, &testing(suite, sources))
}

/// The machine's source of `suite`, for `testing` instead.
fn testing(suite: &str, sources: &str) -> String {
    let own = format!(" {suite} ");
    let lines = sources.lines().filter(|line| line.contains(&own));
    lines
        .map(|line| line.replace(&own, " testing ") + "\n")
        .collect()
}

/// Makes `root` the root of this mount namespace, with the machine's /dev and /sys, a /proc of
/// this PID namespace, and the bed at its own path; then starts `program` there.
pub fn command_in(root: &Path, bed: &Bed) -> Command {
    const ENTER: &str = r#"
        set -e
        root=$1 bed=$2
        mount --bind "$root" "$root"
        cd "$root"
        mount --rbind /dev dev
        mount --rbind /sys sys
        mount -t proc proc proc
        for folder in run tmp var/tmp; do mount -t tmpfs tmpfs "$folder"; done
        mkdir -p ".$bed"
        mount --bind "$bed" ".$bed"
        pivot_root . mnt
        umount --lazy mnt
        cd /
        shift 2
        exec "$@"
    "#;
    let mut command = command("sh", ["-c", ENTER, "sh"]);
    command.arg(root).arg(bed.folder());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_mirror_is_asked_for_testing() {
        let sources = "deb [signed-by=/k] http://mirror/debian/ bookworm main\ndeb http://mirror/security/ bookworm-security main\n";
        assert_eq!(
            testing("bookworm", sources),
            "deb [signed-by=/k] http://mirror/debian/ testing main\n"
        );
    }
}
