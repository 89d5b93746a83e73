//! Names and ids: given, found, moved, taken away.

use soute_tests::{World, wait_until};

use super::stored;

fn id(world: &World, name: &str) -> String {
    let image = &world.soute(["inspect", "--type", "image", name]).json()[0];
    let id = image["Id"].as_str().or(image["ID"].as_str()).unwrap();
    id.strip_prefix("sha256:").unwrap_or(id).to_owned()
}

#[test]
fn an_image_by_all_its_names() {
    let world = World::new();
    let id = id(&world, "busybox");
    for name in [
        "busybox",
        "busybox:latest",
        "docker.io/library/busybox",
        &id,
        &id[..12],
        &format!("sha256:{id}"),
    ] {
        world.soute(["run", "--rm", name, "true"]).success();
    }
    world
        .soute(["tag", "busybox", "other.example/x:y"])
        .success();
    world
        .soute(["run", "--rm", "other.example/x:y", "true"])
        .success();
    world
        .soute(["images"])
        .success()
        .shows("other.example/x")
        .shows("busybox");
    for bad in ["Busybox", "a//b", "busybox:", "x@sha256:12"] {
        world.soute(["run", "--rm", bad, "true"]).fails(125, &[bad]);
    }
    world
        .soute(["tag", "missing", "new"])
        .fails(1, &["missing"]);
}

#[test]
fn the_last_name_takes_the_image_along() {
    let world = World::new();
    let before = stored(&world);
    assert_eq!(
        before.len(),
        4,
        "a layer, a record, a manifest and a configuration: {before:?}"
    );
    world.soute(["tag", "busybox", "two"]).success();
    world
        .soute(["rmi", "busybox"])
        .success()
        .shows("Untagged")
        .shows_not("Deleted");
    world.soute(["run", "--rm", "two", "true"]).success();
    world.soute(["rmi", "two"]).success().shows("Deleted");
    assert_eq!(stored(&world), [""; 0]);
    world.soute(["rmi", "two"]).fails(1, &["two"]);
}

#[test]
fn an_image_in_use_is_kept_and_its_users_named() {
    let world = World::new();
    world
        .soute(["create", "--name", "user", "busybox", "true"])
        .success();
    world
        .soute(["rmi", "busybox"])
        .fails(1, &["busybox", "user"]);
    let id = id(&world, "busybox");
    world.soute(["rmi", &id]).fails(1, &["user"]);
    world.soute(["rm", "user"]).success();
    world.soute(["rmi", "busybox"]).success();
    assert_eq!(stored(&world), [""; 0]);
}

/// The removal waits for the store while a container is made of the image: it must not go by what it saw before.
#[test]
fn an_image_that_comes_into_use_while_its_removal_waits_is_kept() {
    let world = World::new();
    let lock = std::fs::File::open(world.root().join("images/.lock")).unwrap();
    lock.lock_shared().unwrap();
    let removal = world.start(["rmi", "busybox"]);
    let waits = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let waiting = locks.lines().filter(|line| line.contains("->"));
        let pid = format!(" {} ", removal.pid());
        waiting.filter(|line| line.contains(&pid)).count() > 0
    };
    wait_until("the removal waits", waits);
    world
        .soute(["create", "--name", "user", "busybox", "true"])
        .success();
    drop(lock);
    removal.outcome().fails(1, &["busybox", "user"]);
    world.soute(["start", "--attach", "user"]).success();
}

#[test]
fn ids_that_begin_alike() {
    let world = World::empty();
    let tar = World::busybox_tar();
    // Seventeen images: two begin with the same digit.
    let ids: Vec<String> = (0..17)
        .map(|n| {
            let change = format!("LABEL n={n}");
            let imported = world.soute(["import", "--change", &change, tar.to_str().unwrap()]);
            let id = imported.text().to_owned();
            id.strip_prefix("sha256:").unwrap_or(&id).to_owned()
        })
        .collect();
    let shared = ids
        .iter()
        .map(|id| &id[..1])
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1)
        .unwrap();
    let mut alike = ids.iter().filter(|id| id.starts_with(shared));
    let (first, second) = (alike.next().unwrap(), alike.next().unwrap());
    world
        .soute(["run", "--rm", "--pull", "never", shared, "true"])
        .fails(125, &["ambiguous", &first[..12], &second[..12]]);
    world.soute(["run", "--rm", &first[..20], "true"]).success();
}
