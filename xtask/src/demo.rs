//! `cargo xtask demo`: one container, seen from inside and from outside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::{build_soute, soute_in};
use crate::cgroups::Parents;
use crate::scratch::Scratch;
use crate::shell::{self, run, step};
use crate::{image, packages};

/// What the container tells about itself: nothing but Python and /proc.
const INSIDE: &str = r#"import os, socket, sys
print("I am process", os.getpid(), "on", socket.gethostname() + ", Python", sys.version.split()[0])
print("uid", os.getuid(), "here; the map to the machine's:", " ".join(open("/proc/self/uid_map").read().split()))
for name in sorted(os.listdir("/proc/self/ns")):
    if not name.endswith("_for_children"):
        print("  ", os.readlink("/proc/self/ns/" + name))
print("ready", flush=True)
sys.stdin.read()
"#;

const NAME: &str = "demo";

/// Builds, makes the image, runs it, looks at it, and takes everything away again.
pub fn show() -> Result<()> {
    if !shell::is_root()? {
        bail!("the demo makes a container as root does: run it as root");
    }
    packages::install(packages::IMAGES)?;
    step("build");
    let soute = build_soute("release")?;
    let images = image::make_all()?;
    let scratch = Scratch::new("demo")?;
    let _parents = Parents::watch()?;
    let soute = || soute_in(&soute, scratch.path());

    step(&format!("soute import {} python", images.debian.display()));
    run(soute().arg("import").arg(&images.debian).arg("python"))?;

    let script = scratch.path().join("tell.py");
    std::fs::write(&script, INSIDE)?;
    let volume = format!("{}:/tell.py:ro", script.display());
    step(&format!(
        "soute run --rm -i --network none --name {NAME} --volume {volume} python python3 /tell.py"
    ));
    // With a network the machine would have a bridge, and a table of nftables, that outlast the demo.
    let mut container = soute()
        .args(["run", "--rm", "-i", "--network", "none", "--name", NAME])
        .args(["--volume", &volume])
        .args(["python", "python3", "/tell.py"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run soute")?;
    let inside = listen(&mut container)?;

    step(&format!("soute ns show {NAME}"));
    let outside = shell::output(soute().args(["ns", "show", NAME]))?;
    print!("{outside}");

    // The end of its input is the end of the program, and of the container with it.
    drop(container.stdin.take());
    let status = container.wait()?;
    if !status.success() {
        bail!("the container ended with {status}");
    }
    compare(&inside, &outside)
}

/// Prints what the container says until it is ready; returns its namespaces, each `type:[inode]`.
fn listen(container: &mut Child) -> Result<Vec<String>> {
    let mut namespaces = Vec::new();
    let output = container
        .stdout
        .take()
        .context("the container has no standard output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line == "ready" {
            return Ok(namespaces);
        }
        println!("{line}");
        std::io::stdout().flush()?;
        let word = line.trim();
        if word.contains(":[") {
            namespaces.push(word.to_owned());
        }
    }
    bail!("the container ended early, with {}", container.wait()?);
}

/// Sets each namespace that the container saw beside the machine's.
fn compare(inside: &[String], outside: &str) -> Result<()> {
    step("inside and outside");
    for namespace in inside {
        let (kind, inode) = namespace
            .trim_end_matches(']')
            .split_once(":[")
            .context("a namespace without an inode")?;
        let machine = std::fs::read_link(format!("/proc/self/ns/{kind}"))
            .with_context(|| format!("cannot read the machine's {kind} namespace"))?;
        let shared = machine.as_os_str() == namespace.as_str();
        println!(
            "  {kind:8} {inode}  {}",
            if shared {
                "shared with the machine"
            } else {
                "own"
            }
        );
        if !outside.contains(inode) {
            bail!("soute ns show does not show the container's {kind} namespace {inode}");
        }
    }
    if inside.len() < 8 {
        bail!("the container saw {} namespaces, not 8", inside.len());
    }
    Ok(())
}
