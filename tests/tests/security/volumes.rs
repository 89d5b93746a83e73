//! Volumes that a hostile image declares, and what becomes of them.

use std::path::PathBuf;
use std::process::Command;

use soute_tests::{Outcome, output};

use crate::attack::Attack;

/// Imports the hostile root as the image `name` that declares a volume at `target`.
#[track_caller]
fn import(attack: &Attack, name: &str, target: &str) -> Outcome {
    let tar = attack.world.path("image.tar");
    let mut pack = Command::new("tar");
    pack.arg("--create")
        .arg("--file")
        .arg(&tar)
        .arg("--directory");
    output(pack.arg(&attack.root).arg(".")).success();
    let change = format!("VOLUME {target}");
    let words = ["import", "--change", &change, tar.to_str().unwrap(), name];
    attack.world.soute(words)
}

fn volumes(attack: &Attack) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(attack.world.root().join("volumes"));
    let entries = entries.into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// CVE-2022-23648: a volume's content is copied from where a link of the image's leads on the machine. The defence is
/// `open_inside` in the engine's copy.rs.
#[test]
fn nothing_of_the_machines_is_copied() {
    let attack = Attack::new();
    for (n, target) in [attack.outside.clone(), attack.up_to_outside()]
        .iter()
        .enumerate()
    {
        attack.link("data", target);
        let name = format!("image{n}");
        import(&attack, &name, "/data").success();
        let words = [
            "run",
            "--rm",
            &name,
            "sh",
            "-c",
            "ls -A /data; echo x > /data/x",
        ];
        attack.world.soute(words).success().prints("");
    }
    assert!(volumes(&attack).is_empty());
    attack.assert_outside_untouched();
}

/// What the image has there is the first content, links and all, and links are not followed later, either.
#[test]
fn the_images_content_is_copied_with_its_links() {
    let attack = Attack::new();
    let data = attack.root.join("data");
    std::fs::create_dir_all(data.join("sub")).unwrap();
    std::fs::write(data.join("sub/file"), "content").unwrap();
    attack.link("data/out", &attack.outside);
    import(&attack, "image", "/data").success();
    let script = "cat /data/sub/file; readlink /data/out; stat -c %u /data/sub; ls /data/out/";
    let outcome = attack
        .world
        .soute(["run", "--rm", "image", "sh", "-c", script]);
    outcome
        .code(1)
        .shows("content")
        .shows("\n0\n")
        .shows_not("secret");
    assert!(volumes(&attack).is_empty());
}

/// An image's volume at a path that is none is refused before anything is made.
#[test]
fn impossible_paths_are_refused() {
    let attack = Attack::new();
    for target in ["relative", "/../../etc", "/proc/self"] {
        if import(&attack, "image", target).code != 0 {
            continue; // Not even the image can be had so.
        }
        let outcome = attack.world.soute(["run", "--rm", "image", "true"]);
        outcome.fails(125, &["the image declares the volume"]);
    }
    assert!(volumes(&attack).is_empty());
}

/// What was made for a container that is never finished is gone again. The defence is `made` in the engine's volumes.rs.
#[test]
fn no_volume_is_left_of_a_failure() {
    let attack = Attack::new();
    // A loop of links cannot be copied from; that the first volume was made before must not show.
    attack.link("loop", "loop");
    for flags in [
        ["-v", "/first", "-v", "/loop"],
        ["-v", "named:/first", "-v", "/loop"],
        ["-v", "/first", "-v", "/none/of/this:/there:nonsense"],
    ] {
        attack.run(&flags, &["true"]).code(125);
        attack
            .world
            .soute(attack.words(&flags, &["true"]))
            .code(125);
        assert!(volumes(&attack).is_empty(), "{:?}", volumes(&attack));
    }
    // Nor of one whose program cannot be executed.
    attack.run(&["-v", "/first"], &["/none"]).code(127);
    assert!(volumes(&attack).is_empty());
}
