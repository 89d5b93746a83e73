//! `mounts[].uidMappings` and `gidMappings`: who owns what is mounted.

use std::process::Command;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use serde_json::json;
use soute_tests::output;

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::mounts::{WithMount, folder};
use crate::namespaces::mapped;

cases![
    an_idmapped_bind,
    an_idmapped_rbind,
    an_idmapped_bind_without_a_user_namespace,
    an_idmap_option_takes_the_containers_map,
    an_idmapped_tmpfs_is_refused,
];

/// A folder of the machine's, of user 5.
#[track_caller]
fn owned_folder(bench: &Bench) -> String {
    let source = folder(bench, "source");
    output(Command::new("chown").args(["5:5", &source])).success();
    source
}

/// A folder of the machine's, of user 5 and with a mount of user 6 below, in a container with ids of its own.
#[track_caller]
fn owned(bench: &Bench) -> WithMount {
    let source = WithMount::new(bench, "source");
    // Of a disk: in memory, ids can be mapped since Linux 6.3.
    unmount(&source.0, UnmountFlags::DETACH).unwrap();
    mount_bind(folder(bench, "other"), &source.0).unwrap();
    for (owner, path) in [
        ("5:5", source.path()),
        ("6:6", source.0.display().to_string()),
    ] {
        output(Command::new("chown").args([owner, &path])).success();
    }
    source
}

/// Who owns a folder of user 5 where it is bound, and a mount of user 6 below it.
#[track_caller]
fn owners(bench: &mut Bench, bundle: &mut Bundle) -> String {
    bundle.args(&["stat", "-c", "%u:%g", "/tmp", "/tmp/below"]);
    bench.run(bundle).text().replace('\n', " ")
}

fn map(from: u32, to: u32) -> serde_json::Value {
    json!([{"containerID": from, "hostID": to, "size": 1000}])
}

fn an_idmapped_bind(bench: &mut Bench) {
    let source = owned_folder(bench);
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    // What is 0–999 on the disk is the container's 0–999.
    bundle.push(
        "/mounts",
        json!({
            "destination": "/tmp", "type": "bind", "source": source, "options": ["bind"],
            "uidMappings": map(0, 100_000), "gidMappings": map(0, 100_000),
        }),
    );
    bundle.args(&["stat", "-c", "%u:%g", "/tmp"]);
    bench.run(&bundle).success().prints("5:5");
}

fn an_idmapped_rbind(bench: &mut Bench) {
    let source = owned(bench);
    for (option, below) in [("idmap", "65534:65534"), ("ridmap", "6:6")] {
        let mut bundle = bench.bundle();
        mapped(&mut bundle);
        bundle.push(
            "/mounts",
            json!({
                "destination": "/tmp", "type": "bind", "source": source.path(),
                "options": ["rbind", option],
                "uidMappings": map(0, 100_000), "gidMappings": map(0, 100_000),
            }),
        );
        let owners = owners(bench, &mut bundle);
        assert_eq!(owners, format!("5:5 {below}"), "{option}");
    }
}

fn an_idmapped_bind_without_a_user_namespace(bench: &mut Bench) {
    let source = owned_folder(bench);
    let mut bundle = bench.bundle();
    bundle.push(
        "/mounts",
        json!({
            "destination": "/tmp", "type": "bind", "source": source, "options": ["bind"],
            "uidMappings": map(0, 500), "gidMappings": map(0, 600),
        }),
    );
    bundle.args(&["stat", "-c", "%u:%g", "/tmp"]);
    bench.run(&bundle).success().prints("505:605");
}

fn an_idmap_option_takes_the_containers_map(bench: &mut Bench) {
    let source = owned_folder(bench);
    let mut bundle = bench.bundle();
    mapped(&mut bundle);
    bundle.mount("bind", &source, "/tmp", &["bind", "idmap"]);
    bundle.args(&["stat", "-c", "%u:%g", "/tmp"]);
    bench.run(&bundle).success().prints("5:5");
}

fn an_idmapped_tmpfs_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push(
        "/mounts",
        json!({
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
            "uidMappings": map(0, 500), "gidMappings": map(0, 600),
        }),
    );
    bench.refuses(&bundle);
}
