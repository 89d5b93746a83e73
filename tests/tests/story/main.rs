//! The story's scenes, each on a whole distribution with Python: what a person would type, and what must be seen.

#![allow(
    clippy::disallowed_methods,
    reason = "a test lays its files where nobody else knows of them"
)]

mod scene01_namespaces;
mod scene01_watch;
mod scene02_python;
mod scene03_compare;
mod scene04_remap;
mod scene05_pids;
mod scene07_network;
mod scene08_capture;
mod scene09_interface;
mod scene10_shared_network;
mod scene11_mounts;
mod scene12_debug;
mod scene12_enter;
mod scene13_limits;
mod scene13_privileges;

use std::fs;
use std::process::Command;

use serde_json::Value;
use soute_tests::{World, output};

/// The kinds of namespaces that a container has of its own.
const KINDS: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// The inode of a namespace of process `pid`, as the kernel shows it.
#[track_caller]
fn inode(pid: u32, kind: &str) -> u64 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
    let text = link.to_string_lossy().into_owned();
    text.trim_end_matches(']')
        .rsplit('[')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("KIND:[INODE]")
}

/// `soute ns show WORD --json`.
#[track_caller]
fn show(world: &World, word: &str) -> Value {
    world.soute(["ns", "show", "--json", word]).json()
}

/// The row of one kind of namespace.
#[track_caller]
fn row<'a>(shown: &'a Value, kind: &str) -> &'a Value {
    let rows = shown["namespaces"].as_array().expect("rows").iter();
    let mut found = rows.filter(|row| row["type"] == kind && row["for_children"] == false);
    found
        .next()
        .unwrap_or_else(|| panic!("no {kind} in {shown}"))
}

/// A container `bare` of an image with one static program and nothing else: no shell, no library, no loader. Returns its id.
#[track_caller]
fn bare(world: &World) -> String {
    let root = world.path("bare");
    fs::create_dir(&root).unwrap();
    let whole = world.rootfs("whole");
    fs::copy(whole.join("bin/busybox"), root.join("sleep")).unwrap();
    fs::create_dir(root.join("data")).unwrap();
    fs::write(root.join("data/mine"), "of the image\n").unwrap();
    let tar = world.path("bare.tar");
    let mut pack = Command::new("tar");
    output(pack.arg("cf").arg(&tar).arg("-C").arg(&root).arg(".")).success();
    world
        .soute(["import", tar.to_str().unwrap(), "bare"])
        .success();
    world.detached(["--name", "bare", "bare", "/sleep", "1000"])
}
