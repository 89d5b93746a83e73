//! What an image says of its containers: it holds, and a flag goes before it.

use std::fs;

use serde_json::json;
use soute_tests::{World, wait_until};

use soute_tests::make::{archive, oci};

/// Ends in its own way at USR1, and not at SIGTERM.
const LISTENS: &str =
    "trap 'echo got USR1; exit 3' USR1; trap '' TERM; echo ready; while :; do sleep 0.01; done";

/// The same image by `import --change` and by `load`.
fn images(world: &World) -> [&'static str; 2] {
    let tar = World::busybox_tar();
    let mut import = vec!["import"];
    for change in ["STOPSIGNAL USR1", "LABEL a=b", "LABEL kept=\"as it is\""] {
        import.extend(["--change", change]);
    }
    import.extend([tar.to_str().unwrap(), "imported"]);
    world.soute(import).success();

    let config = json!({
        "StopSignal": "SIGUSR1", "Labels": {"a": "b", "kept": "as it is"}, "Env": ["PATH=/bin"],
    });
    let base = fs::read(&tar).unwrap();
    let path = world.path("archive");
    fs::write(&path, archive(&oci(&[&base], &config, "loaded:latest"))).unwrap();
    world
        .soute(["load", "-i", path.to_str().unwrap()])
        .success();
    ["imported", "loaded"]
}

#[test]
fn its_stop_signal_is_what_stop_sends() {
    let world = World::empty();
    for image in images(&world) {
        // Two who do not listen to SIGTERM, and would be killed for it after a while.
        for (name, flags, code) in [
            ("by-image", &[][..], 3),
            (
                "by-flag",
                &["--stop-signal", "TERM", "--stop-timeout", "0"],
                137,
            ),
        ] {
            let command = [image, "sh", "-c", LISTENS];
            world.detached([&["--name", name], flags, &command].concat());
            wait_until("it is ready", || {
                world.soute(["logs", name]).stdout.contains("ready")
            });
            world.soute(["stop", name]).success();
            let inspected = world.inspect(name);
            assert_eq!(inspected["State"]["ExitCode"], code, "{image} {name}");
            world.soute(["rm", name]).success();
        }
    }
}

#[test]
fn its_labels_are_the_containers() {
    let world = World::empty();
    for image in images(&world) {
        let image_labels = world.soute(["inspect", image]).json()[0]["Config"]["Labels"].clone();
        assert_eq!(image_labels, json!({"a": "b", "kept": "as it is"}));
        world
            .soute(["create", "--name", "plain", image, "true"])
            .success();
        let labels = |container| world.inspect(container)["Config"]["Labels"].clone();
        assert_eq!(labels("plain"), image_labels);
        let flags = ["--label", "a=c", "--label", "own=1"];
        let create = ["create", "--name", "own"];
        world
            .soute([&create[..], &flags, &[image, "true"]].concat())
            .success();
        let expected = json!({"a": "c", "kept": "as it is", "own": "1"});
        assert_eq!(labels("own"), expected, "{image}");
        let found = |label| {
            let outcome = world.soute(["ps", "-a", "--format", "{{.Names}}", "-f", label]);
            outcome.text().to_owned()
        };
        assert_eq!(found("label=a=b"), "plain");
        assert_eq!(found("label=a=c"), "own");
        world.soute(["rm", "plain", "own"]).success();
    }
}
