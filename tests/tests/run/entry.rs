//! The program: what the image says, `--entrypoint`, and the command after the image.

use soute_tests::World;

#[test]
fn the_words_after_the_image_are_the_program() {
    let world = World::new();
    world
        .soute([
            "run", "--rm", "busybox", "echo", "-n", "--rm", "a b", "", "$HOME",
        ])
        .prints("--rm a b  $HOME");
}

#[test]
fn an_entry_point_comes_first_and_an_empty_one_is_none() {
    let world = World::new();
    world
        .soute([
            "run",
            "--rm",
            "--entrypoint",
            "echo",
            "busybox",
            "from",
            "entry",
        ])
        .prints("from entry");
    world
        .soute(["run", "--rm", "--entrypoint", "", "busybox", "echo", "x"])
        .prints("x");
    world
        .soute([
            "run",
            "--rm",
            "--entrypoint=/bin/busybox",
            "busybox",
            "basename",
            "/a/b",
        ])
        .prints("b");
}

#[test]
fn an_image_without_a_program_needs_one() {
    let world = World::new();
    let outcome = world.soute(["run", "--rm", "busybox"]);
    outcome.code(125);
    assert!(outcome.stderr.contains("command"), "{outcome}");
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn an_images_own_program_user_folder_and_variables() {
    let world = World::new();
    let tar = World::busybox_tar();
    let changes = [
        "ENTRYPOINT [\"echo\"]",
        "CMD [\"from\", \"the image\"]",
        "ENV COLOUR=blue",
        "USER user",
        "WORKDIR /home",
    ];
    let mut words = vec!["import"];
    changes
        .iter()
        .for_each(|change| words.extend(["--change", change]));
    words.extend([tar.to_str().unwrap(), "mine"]);
    world.soute(&words).success();
    world
        .soute(["run", "--rm", "mine"])
        .prints("from the image");
    world
        .soute(["run", "--rm", "mine", "other words"])
        .prints("other words");
    let script = "id -un; pwd; echo $COLOUR";
    world
        .soute(["run", "--rm", "--entrypoint", "sh", "mine", "-c", script])
        .prints("user\n/home\nblue");
    world
        .soute([
            "run",
            "--rm",
            "-u",
            "0",
            "-w",
            "/",
            "-e",
            "COLOUR=red",
            "--entrypoint",
            "sh",
            "mine",
            "-c",
            script,
        ])
        .prints("root\n/\nred");
    // An entry point that is given drops the image's command, too.
    world
        .soute(["run", "--rm", "--entrypoint", "pwd", "mine"])
        .prints("/home");
}
