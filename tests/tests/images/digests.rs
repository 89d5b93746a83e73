//! A registry that gives something other than what was asked for: it is said which part is wrong, and nothing is kept.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use soute_tests::World;

use super::registry::{Guard, Registry};
use super::stored;

/// The file in which the registry keeps a blob or manifest.
fn file(world: &World, digest: &str) -> PathBuf {
    let hex = &digest["sha256:".len()..];
    let blobs = "registry/docker/registry/v2/blobs/sha256";
    world.path(&format!("{blobs}/{}/{hex}/data", &hex[..2]))
}

#[test]
fn each_part_is_what_was_asked_for() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push(&world, "app:v1", "x");
    let name = registry.name("app:v1");
    let pulled = world.soute(["pull", &name]);
    let line = pulled.text().lines().next().expect("Digest: …");
    let manifest = line.strip_prefix("Digest: ").expect("a digest").to_owned();
    world.soute(["rmi", &name]).success();

    let text = fs::read(file(&world, &manifest)).unwrap();
    let parsed: Value = serde_json::from_slice(&text).unwrap();
    let digest = |part: &Value| part["digest"].as_str().expect("a digest").to_owned();
    let by_digest = format!("{}@{manifest}", registry.name("app"));
    for (what, digest, name) in [
        ("configuration", digest(&parsed["config"]), &name),
        ("layer", digest(&parsed["layers"][0]), &name),
        ("manifest", manifest, &by_digest),
    ] {
        let path = file(&world, &digest);
        let good = fs::read(&path).unwrap();
        let mut changed = good.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, &changed).unwrap();
        world.soute(["pull", name]).fails(1, &[what, &digest]);
        world
            .soute(["run", "--rm", name])
            .fails(125, &[what, &digest]);
        assert_eq!(stored(&world), [""; 0], "{what}");
        fs::write(&path, &good).unwrap();
    }
    world.soute(["pull", &name]).success();
}
