//! `--platform`: which of an image's platforms is taken, and what is said where there is no such one.

use std::fs;

use serde_json::json;
use soute_tests::World;

use super::registry::{Guard, Registry};
use super::stored;
use soute_tests::make::{Parts, architecture, archive, multi_platform, oci};

/// Architectures other than this machine's.
const FOREIGN: [&str; 2] = ["riscv64", "s390x"];

/// An image that says for which architecture it is. Its program is this machine's whatever it says, so that it runs.
fn several(name: &str) -> Parts {
    let base = fs::read(World::busybox_tar()).unwrap();
    let [first, last] = FOREIGN;
    let configs = [first, architecture(), last].map(|architecture| {
        let words = format!("for {architecture}");
        let config = json!({"Cmd": ["echo", words], "Env": ["PATH=/bin"]});
        (architecture, config)
    });
    multi_platform(&base, &configs, name)
}

fn platform(architecture: &str) -> String {
    format!("linux/{architecture}")
}

#[track_caller]
fn architecture_of(world: &World, image: &str) -> String {
    let image = &world.soute(["inspect", "--type", "image", image]).json()[0];
    image["Architecture"].as_str().expect("a word").to_owned()
}

#[test]
fn run_create_and_pull_take_the_one_that_is_asked_for() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push_parts(&world, "app:v1", &several("x:y"));
    let name = registry.name("app:v1");
    for architecture in FOREIGN {
        let (platform, expected) = (platform(architecture), format!("for {architecture}"));
        let run = ["run", "--rm", "--platform", &platform, &name];
        world.soute(run).success().prints(&expected);
        assert_eq!(architecture_of(&world, &name), architecture);
        // Once it is here it is not asked for again.
        world
            .soute([&run[..1], &["--pull", "never"], &run[1..]].concat())
            .prints(&expected);
        world.soute(["rmi", &name]).success();

        let made = ["create", "--name", "made", "--platform", &platform, &name];
        world.soute(made).success();
        world.soute(["start", "-a", "made"]).prints(&expected);
        world.soute(["rm", "made"]).success();
        world.soute(["rmi", &name]).success();

        world
            .soute(["pull", "--platform", &platform, &name])
            .success();
        assert_eq!(architecture_of(&world, &name), architecture);
        world.soute(["rmi", &name]).success();
    }
    let expected = format!("for {}", architecture());
    world.soute(["run", "--rm", &name]).prints(&expected);
}

/// An image of the name is here, but for another machine than asked for.
#[test]
fn one_that_is_here_for_another_platform_is_not_taken() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push_parts(&world, "app:v1", &several("x:y"));
    let name = registry.name("app:v1");
    world.soute(["pull", &name]).success();
    let (own, other) = (platform(architecture()), platform(FOREIGN[0]));
    for command in ["run", "create"] {
        world
            .soute([command, "--pull", "never", "--platform", &other, &name])
            .fails(125, &[&name, &other, &own]);
        assert!(world.soute(["ps", "-aq"]).text().is_empty());
    }
    // Where it may be pulled the right one takes its place.
    let run = ["run", "--rm", "--platform", &other, &name];
    world.soute(run).success().prints("for riscv64");
    assert_eq!(architecture_of(&world, &name), FOREIGN[0]);
    // With no registry to ask, what is said is about the name.
    world.soute(["tag", &name, "127.0.0.1:1/app"]).success();
    world
        .soute(["run", "--rm", "--platform", &own, "127.0.0.1:1/app"])
        .fails(125, &["127.0.0.1:1"]);
}

#[test]
fn what_there_is_is_named_where_the_one_asked_for_is_not_there() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push_parts(&world, "app:v1", &several("x:y"));
    let base = fs::read(World::busybox_tar()).unwrap();
    let single = oci(&[&base], &json!({"Cmd": ["true"]}), "x:y");
    registry.push_parts(&world, "single:v1", &single);
    let own = platform(architecture());
    for (image, there) in [
        ("app:v1", &["linux/riscv64", &own, "linux/s390x"][..]),
        ("single:v1", &[&own]),
    ] {
        let name = registry.name(image);
        let words = [&[name.as_str(), "linux/mips64le"], there].concat();
        let platform = ["--platform", "linux/mips64le", &name];
        world
            .soute([&["run", "--rm"], &platform[..]].concat())
            .fails(125, &words);
        world
            .soute([&["pull"], &platform[..]].concat())
            .fails(1, &words);
    }
    assert_eq!(stored(&world), [""; 0]);
}

#[test]
fn an_archive_of_several() {
    let world = World::empty();
    let path = world.path("several.tar");
    fs::write(&path, archive(&several("app:v1"))).unwrap();
    let path = path.to_str().unwrap();
    for architecture in FOREIGN {
        let platform = platform(architecture);
        world
            .soute(["load", "--platform", &platform, "-i", path])
            .success();
        let expected = format!("for {architecture}");
        world
            .soute(["run", "--rm", "--platform", &platform, "app:v1"])
            .prints(&expected);
        world.soute(["rmi", "app:v1"]).success();
    }
    let own = platform(architecture());
    world
        .soute(["load", "--platform", "linux/mips64le", "-i", path])
        .fails(1, &["linux/mips64le", "linux/riscv64", &own]);
    assert_eq!(stored(&world), [""; 0]);
    world.soute(["load", "-i", path]).success();
    let expected = format!("for {}", architecture());
    world.soute(["run", "--rm", "app:v1"]).prints(&expected);
}
