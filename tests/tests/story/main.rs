//! The story's scenes, each on a whole distribution with Python: what a person would type, and what must be seen.

#![allow(
    clippy::disallowed_methods,
    reason = "a test lays its files where nobody else knows of them"
)]

mod graph;
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
mod scene12_session;
mod scene13_limits;
mod scene13_privileges;

use std::fs;
use std::process::Command;

use soute_tests::views::{KINDS, inode, levels, numbers, row, show};
use soute_tests::{World, output};

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
