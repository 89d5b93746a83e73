//! How containers are called: names, ids, the beginnings of ids.

use soute_tests::World;

#[test]
fn a_name_is_taken_once() {
    let world = World::new();
    let first = world
        .soute(["create", "--name", "taken", "busybox", "true"])
        .text()
        .to_owned();
    let refused = world.soute(["run", "--rm", "--name", "taken", "busybox", "true"]);
    refused.code(125);
    assert!(
        refused.stderr.contains("taken") && refused.stderr.contains(&first[..12]),
        "{refused}"
    );
    assert_eq!(world.soute(["ps", "-aq", "--no-trunc"]).text(), first);
    world.soute(["rm", "taken"]).success();
    world
        .soute(["run", "--rm", "--name", "taken", "busybox", "true"])
        .success();
}

#[test]
fn names_that_are_none() {
    let world = World::new();
    for name in ["", "a", "-a", "../x", "a/b", "a b", ".."] {
        world
            .soute(["create", "--name", name, "busybox", "true"])
            .code(125);
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn invented_names_differ() {
    let world = World::new();
    for _ in 0..5 {
        world.soute(["create", "busybox", "true"]).success();
    }
    let names = world.soute(["ps", "-a", "--format", "{{.Names}}"]);
    let mut names: Vec<&str> = names.text().lines().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn the_beginning_of_an_id_will_do_if_it_is_one() {
    let world = World::new();
    // Two of seventeen share their first digit.
    let ids: Vec<String> = (0..17)
        .map(|_| world.soute(["create", "busybox", "true"]).text().to_owned())
        .collect();
    for id in &ids {
        for length in [12, 20, 64] {
            assert_eq!(world.inspect(&id[..length])["Id"], id.as_str());
        }
    }
    let shared = ids
        .iter()
        .find(|id| ids.iter().filter(|other| other[..1] == id[..1]).count() > 1)
        .unwrap();
    let refused = world.soute(["inspect", &shared[..1]]);
    refused.code(1);
    assert!(refused.stderr.contains("ambiguous"), "{refused}");
    let refused = world.soute(["rm", &shared[..1]]);
    refused.code(1);
    assert!(
        refused.stderr.contains("ambiguous") && refused.stderr.contains(&shared[..12]),
        "{refused}"
    );
    assert_eq!(world.soute(["ps", "-aq"]).text().lines().count(), 17);
}

/// A name that looks like an id is a name first.
#[test]
fn a_name_goes_before_an_id() {
    let world = World::new();
    let first = world.soute(["create", "busybox", "true"]).text().to_owned();
    let second = world
        .soute(["create", "--name", &first[..12], "busybox", "true"])
        .text()
        .to_owned();
    assert_eq!(world.inspect(&first[..12])["Id"], second.as_str());
    assert_eq!(world.inspect(&first[..13])["Id"], first.as_str());
}
