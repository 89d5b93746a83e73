//! Volumes: named ones stay, anonymous ones go with `--rm`.

use std::path::PathBuf;

use serde_json::json;
use soute_tests::make::{Tar, archive, oci};
use soute_tests::{World, wait_until};

/// The names of the engine's volumes.
fn volumes(world: &World) -> Vec<String> {
    let folder: PathBuf = world.root().join("volumes");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_named_volume_keeps_its_files_from_container_to_container() {
    let world = World::new();
    world
        .sh(
            &["-v", "data:/data"],
            "echo kept > /data/file; chown user /data/file",
        )
        .success();
    assert_eq!(volumes(&world), ["data"]);
    // Each container has ids of its own, and yet sees the same owners.
    world
        .sh(
            &["--mount", "type=volume,src=data,dst=/elsewhere"],
            "cat /elsewhere/file; stat -c %U /elsewhere/file",
        )
        .prints("kept\nuser");
    world
        .sh(
            &["--userns", "host", "-v", "data:/data"],
            "stat -c %U:%u /data /data/file",
        )
        .prints("root:0\nuser:1000");
}

#[test]
fn a_read_only_volume() {
    let world = World::new();
    world
        .sh(&["-v", "data:/data"], "echo kept > /data/file")
        .success();
    world
        .sh(
            &["-v", "data:/data:ro"],
            "cat /data/file; echo x > /data/file || echo refused",
        )
        .prints("kept\nrefused");
    world
        .sh(
            &["--mount", "src=data,dst=/data,readonly"],
            "touch /data/new || echo refused",
        )
        .prints("refused");
}

#[test]
fn an_anonymous_volume_goes_with_its_container() {
    let world = World::new();
    world
        .sh(
            &["-v", "/data"],
            "echo x > /data/file; grep -c ' /data ' /proc/self/mountinfo",
        )
        .prints("1");
    assert_eq!(volumes(&world), [""; 0]);

    world
        .soute([
            "run",
            "--name",
            "kept",
            "-v",
            "/data",
            "-v",
            "named:/named",
            "busybox",
            "touch",
            "/data/file",
        ])
        .success();
    assert_eq!(volumes(&world).len(), 2);
    // Without --volumes Docker keeps it.
    world.soute(["rm", "kept"]).success();
    assert_eq!(volumes(&world).len(), 2);

    world
        .soute(["run", "--name", "again", "-v", "/data", "busybox", "true"])
        .success();
    assert_eq!(volumes(&world).len(), 3);
    world.soute(["rm", "--volumes", "again"]).success();
    assert_eq!(volumes(&world).len(), 2);
    assert!(volumes(&world).contains(&"named".to_owned()));
}

#[test]
fn an_images_volume_is_made_and_filled_from_the_image() {
    let world = World::new();
    let tar = World::busybox_tar();
    world
        .soute([
            "import",
            "--change",
            "VOLUME /home /etc",
            tar.to_str().unwrap(),
            "mine",
        ])
        .success();
    let script = "grep -c -e ' /home ' -e ' /etc ' /proc/self/mountinfo; grep -c user /etc/passwd";
    world
        .soute(["run", "--rm", "mine", "sh", "-c", script])
        .prints("2\n1");
    assert_eq!(volumes(&world), [""; 0]);
}

#[test]
fn a_new_volume_takes_over_what_the_image_has_there() {
    let world = World::new();
    world
        .sh(&["-v", "etc:/etc"], "cat /etc/passwd")
        .shows("user:x:1000");
    world
        .sh(&["-v", "empty:/etc:nocopy"], "cat /etc/passwd")
        .code(1);
    // One with something in it is left as it is.
    world.sh(&["-v", "etc:/tmp"], "ls /tmp").shows("passwd");
    world
        .sh(&["-v", "etc:/bin2", "-v", "tmp:/tmp"], "stat -c %a /tmp")
        .prints("1777");
}

/// Of layers, and not of one: overlayfs takes them in one way or another, as the kernel has it.
#[test]
fn a_new_volume_takes_over_what_the_layers_have_together() {
    let world = World::new();
    let below = Tar::new()
        .folder("data/")
        .file("data/kept", b"below\n")
        .file("data/changed", b"below\n")
        .file("data/removed", b"below\n");
    let above = Tar::new()
        .folder("data/")
        .file("data/changed", b"above\n")
        .file("data/.wh.removed", b"");
    let busybox = std::fs::read(World::busybox_tar()).unwrap();
    let layers = [&busybox[..], &below.end(), &above.end()];
    let file = world.path("layers.tar");
    std::fs::write(&file, archive(&oci(&layers, &json!({}), "layers:v1"))).unwrap();
    world
        .soute(["load", "--input", file.to_str().unwrap()])
        .success();
    let script = "ls /data; cat /data/*; grep -c ' /data ' /proc/self/mountinfo";
    world
        .soute([
            "run",
            "--rm",
            "-v",
            "data:/data",
            "layers:v1",
            "sh",
            "-c",
            script,
        ])
        .prints("changed\nkept\nabove\nbelow\n1");
}

#[test]
fn two_containers_see_each_others_writing() {
    let world = World::new();
    let first = world.detached([
        "-v",
        "shared:/shared",
        "busybox",
        "sh",
        "-c",
        "until test -e /shared/a; do sleep 0.01; done; echo seen",
    ]);
    world
        .sh(&["-v", "shared:/shared"], "touch /shared/a")
        .success();
    assert_eq!(world.soute(["wait", &first]).text(), "0");
    world.soute(["logs", &first]).prints("seen");
}

/// What a container has written stays, whatever becomes of filling the volume for another.
#[test]
fn a_copy_that_failed_takes_nothing_away() {
    let world = World::new();
    let script = "until test -e /data/go; do sleep 0.01; done; echo mine > /data/kept; echo done; exec sleep 1000";
    let writer = world.detached(["-v", "data:/data:nocopy", "busybox", "sh", "-c", script]);
    // Deeper than is copied.
    let rootfs = world.rootfs("rootfs");
    std::fs::create_dir_all(rootfs.join(format!("data/{}", "d/".repeat(300)))).unwrap();
    std::fs::write(rootfs.join("data/first"), "").unwrap();
    let rootfs = rootfs.to_str().unwrap();
    world
        .soute([
            "run",
            "--rm",
            "-v",
            "data:/data",
            "--rootfs",
            rootfs,
            "true",
        ])
        .code(125);
    world
        .soute(["exec", &writer, "touch", "/data/go"])
        .success();
    wait_until("it has written", || {
        world.soute(["logs", &writer]).stdout == "done\n"
    });
    world
        .sh(&["-v", "data:/data"], "ls /data; cat /data/kept")
        .prints("go\nkept\nmine");
    world.soute(["rm", "-f", "-v", &writer]).success();
}

#[test]
fn names_that_are_none_are_refused() {
    let world = World::new();
    for name in ["a/b", "-x", "x y", "", "\u{e9}t\u{e9}", &"x".repeat(300)] {
        world
            .sh(&["-v", &format!("{name}:/data")], "true")
            .code(125);
    }
    assert_eq!(volumes(&world), [""; 0]);
}
