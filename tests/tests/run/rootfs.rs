//! `--rootfs DIR`: copy-on-write over any folder.

use soute_tests::World;

#[test]
fn a_folder_is_the_root_and_stays_as_it_is() {
    let world = World::new();
    let root = world.rootfs("rootfs");
    let before = soute_tests::output(
        std::process::Command::new("find")
            .arg(&root)
            .args(["-printf", "%p %s %m %U %T@\n"]),
    );
    let words = [
        "run",
        "--rm",
        "--rootfs",
        root.to_str().unwrap(),
        "sh",
        "-c",
        "echo new > /new; rm /etc/group; chown -R user /home; mv /etc/passwd /moved; cat /new; stat -c %u:%g / /etc; ls /etc",
    ];
    let outcome = world.soute(words);
    outcome
        .success()
        .shows("new\n0:0\n0:0\n")
        .shows_not("passwd")
        .shows_not("group");
    let after = soute_tests::output(
        std::process::Command::new("find")
            .arg(&root)
            .args(["-printf", "%p %s %m %U %T@\n"]),
    );
    assert_eq!(before.stdout, after.stdout);
}

#[test]
fn changes_are_kept_until_the_container_is_removed() {
    let world = World::new();
    let root = world.rootfs("rootfs");
    world
        .soute([
            "run",
            "--name",
            "kept",
            "--rootfs",
            root.to_str().unwrap(),
            "sh",
            "-c",
            "test -e /new && cat /new; echo changed > /new",
        ])
        .prints("");
    world.soute(["start", "--attach", "kept"]).prints("changed");
    assert!(!root.join("new").exists());
}

/// The machine's own root: a container of the machine, which cannot change it.
#[test]
fn the_machines_root() {
    let world = World::empty();
    let marker = format!("/soute-test-{}", std::process::id());
    let script = format!(
        "cat /etc/os-release | head -1; touch {marker} && rm -r /home /srv && ls /home 2>/dev/null; echo changed; id -u; hostname"
    );
    let outcome = world.soute([
        "run",
        "--rm",
        "--hostname",
        "box",
        "--rootfs",
        "/",
        "sh",
        "-c",
        &script,
    ]);
    let first = std::fs::read_to_string("/etc/os-release")
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    outcome.success().shows(&first).shows("changed\n0\nbox");
    assert!(!std::path::Path::new(&marker).exists());
    assert!(std::path::Path::new("/home").exists());
    world.assert_mounts_unchanged();
}

#[test]
fn what_is_no_folder_is_refused() {
    let world = World::empty();
    for root in ["/no/such/folder", "/etc/passwd"] {
        let outcome = world.soute(["run", "--rm", "--rootfs", root, "true"]);
        outcome.code(125);
        assert!(outcome.stderr.contains(root), "{outcome}");
    }
    world.soute(["run", "--rm", "--rootfs", "/"]).code(125);
}

/// Places that soute itself mounts on must be folders of the root's own.
#[test]
fn a_root_whose_kernel_folders_are_links_is_refused() {
    let world = World::new();
    let victim = world.path("victim");
    std::fs::create_dir(&victim).unwrap();
    for (number, name) in ["proc", "sys", "dev"].into_iter().enumerate() {
        for (way, target) in [
            "/tmp",
            "tmp",
            victim.to_str().unwrap(),
            "/proc/self/cwd/../../..",
        ]
        .into_iter()
        .enumerate()
        {
            let root = world.rootfs(&format!("root-{number}-{way}"));
            std::fs::remove_dir(root.join(name)).unwrap();
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
            let outcome = world.soute(["run", "--rm", "--rootfs", root.to_str().unwrap(), "true"]);
            outcome.code(125);
            assert!(outcome.stderr.contains(&format!("/{name}")), "{outcome}");
        }
    }
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
    world.assert_mounts_unchanged();
}
