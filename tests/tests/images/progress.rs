//! What a pull, load or import says while it is under way: bars for a person, nothing for a pipe.

use std::fs;
use std::process::Command;

use serde_json::json;
use soute_tests::{Terminal, World};

use super::registry::{Guard, Registry};
use soute_tests::make::{Parts, archive, digest, gzip, oci};

fn image() -> Parts {
    let base = fs::read(World::busybox_tar()).unwrap();
    let config = json!({"Cmd": ["echo", "works"], "Env": ["PATH=/bin"]});
    oci(&[&base], &config, "app:v1")
}

/// The first digits of a layer's digest, by which a bar is known.
fn short(layer: &[u8]) -> String {
    digest(layer)["sha256:".len()..][..12].to_owned()
}

/// In a terminal that can move its cursor, whatever the one is like that the tests run in.
fn in_a_terminal(mut command: Command) -> (i32, String) {
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    Terminal::start(&command).finish()
}

#[test]
fn run_says_that_it_pulls_unless_it_is_to_be_quiet() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push_parts(&world, "app:v1", &image());
    let name = registry.name("app:v1");
    // Of the first network that is used more is said.
    let run = ["run", "--rm", "--network", "none"];
    let quiet = world.soute([&run[..], &["--quiet", &name]].concat());
    quiet.success().prints("works");
    assert_eq!(quiet.stderr, "");
    world.soute(["rmi", &name]).success();

    let loud = world.soute([&run[..], &[&name]].concat());
    loud.success().prints("works");
    assert_eq!(
        loud.stderr,
        format!("soute: image {name} is not here: pulling it\n")
    );
    // What is here needs no word.
    let again = world.soute([&run[..], &[&name]].concat());
    again.success().prints("works");
    assert_eq!(again.stderr, "");
    world.soute(["rmi", &name]).success();

    let created = world.soute(["create", "-q", "--network", "none", "--name", "made", &name]);
    created.success();
    assert_eq!(created.stderr, "");
    world.soute(["start", "-a", "made"]).prints("works");
}

/// A pipe gets no bars, with no flag at all: scripts read what is there.
#[test]
fn pull_tells_a_pipe_its_outcome_alone() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push_parts(&world, "app:v1", &image());
    let name = registry.name("app:v1");
    let outcome = world.soute(["pull", &name]);
    assert_eq!(outcome.stderr, "");
    let lines: Vec<&str> = outcome.text().lines().collect();
    assert_eq!(lines.len(), 3, "{outcome}");
    assert!(lines[0].starts_with("Digest: sha256:"), "{outcome}");
    assert_eq!(
        lines[1..],
        [
            format!("Status: Downloaded newer image for {name}"),
            name.clone()
        ]
    );
    let outcome = world.soute(["pull", "--quiet", &name]);
    outcome.success().prints(&name);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_person_sees_a_bar_for_each_layer() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push_parts(&world, "app:v1", &image());
    let name = registry.name("app:v1");
    let path = world.path("archive.tar");
    fs::write(&path, archive(&image())).unwrap();
    let pull = ["pull", name.as_str()];
    let load = ["load", "--input", path.to_str().unwrap()];
    let base = fs::read(World::busybox_tar()).unwrap();
    let packed = short(&gzip(&base));
    for (words, image, layer) in [
        (&pull[..], name.as_str(), &packed),
        (&load, "app:v1", &short(&base)),
    ] {
        let (code, shown) = in_a_terminal(world.command(words));
        assert_eq!(code, 0, "{words:?}: {shown}");
        let bar = shown
            .split(['\r', '\n'])
            .any(|line| line.contains(layer) && line.contains("done"));
        assert!(bar, "no bar of {layer} at its end: {words:?}: {shown}");
        // It is drawn anew in place, not line below line.
        assert!(
            shown.contains("\u{1b}["),
            "the cursor never moves: {words:?}"
        );
        // Nor is there a bar of nothing before it.
        assert!(!shown.contains("0/0"), "{words:?}: {shown}");
        // Once more: it is here.
        let (code, shown) = in_a_terminal(world.command(words));
        assert_eq!(code, 0, "{words:?}: {shown}");
        assert!(shown.contains("already here"), "{words:?}: {shown}");
        world.soute(["rmi", image]).success();

        let quiet = [words, &["--quiet"]].concat();
        let (code, shown) = in_a_terminal(world.command(&quiet));
        assert_eq!(code, 0, "{words:?}: {shown}");
        assert!(
            !shown.contains(layer) && !shown.contains('\u{1b}'),
            "{words:?}: {shown:?}"
        );
        world.soute(["rmi", image]).success();
    }
    // Run draws them too, and what the program says stands after them.
    let run = ["run", "--rm", &name];
    let (code, shown) = in_a_terminal(world.command(run));
    assert_eq!(code, 0, "{shown}");
    let (before, after) = shown.rsplit_once(&packed).expect("a bar");
    assert!(
        !before.contains("works") && after.contains("works"),
        "{shown}"
    );
}
