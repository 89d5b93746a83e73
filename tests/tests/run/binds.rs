//! Folders and files of the machine in a container.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use soute_tests::{World, output};

/// A folder of the test's with a file in it; returns its path.
fn shared(world: &World) -> String {
    let folder = world.path("shared");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file"), "from the machine").unwrap();
    folder.to_str().unwrap().to_owned()
}

fn mount(kind: &str, at: &Path) {
    output(Command::new("mount").args(["-t", kind, "test"]).arg(at)).success();
}

fn unmount(at: &Path) {
    output(Command::new("umount").arg(at)).success();
}

#[test]
fn a_folder_is_shared_both_ways() {
    let world = World::new();
    let folder = shared(&world);
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    world
        .sh(
            &["-v", &format!("{folder}:/mnt")],
            "cat /mnt/file; echo back > /mnt/new",
        )
        .prints("from the machine");
    assert_eq!(
        std::fs::read_to_string(format!("{folder}/new")).unwrap(),
        "back\n"
    );
    world
        .sh(
            &["--mount", &format!("type=bind,src={folder},dst=/mnt")],
            "cat /mnt/new",
        )
        .prints("back");
}

/// The container's root is not the machine's: what only root may, it may not.
#[test]
fn the_containers_root_has_no_rights_over_the_machines_files() {
    let world = World::new();
    let folder = shared(&world);
    std::fs::write(format!("{folder}/secret"), "secret").unwrap();
    std::fs::set_permissions(
        format!("{folder}/secret"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let script = "cat /mnt/secret || echo refused; echo x > /mnt/file || echo refused; chown 0 /mnt/file || echo refused; stat -c %u /mnt/file";
    world
        .sh(&["-v", &format!("{folder}:/mnt")], script)
        .prints("refused\nrefused\nrefused\n65534");
    // Unless it is said to: then its root owns what root owns.
    world
        .sh(
            &["-v", &format!("{folder}:/mnt:idmap")],
            "cat /mnt/secret; echo; stat -c %u /mnt/file; echo new > /mnt/new",
        )
        .prints("secret\n0");
    assert_eq!(std::fs::metadata(format!("{folder}/new")).unwrap().uid(), 0);
    world
        .sh(
            &["--userns", "host", "-v", &format!("{folder}:/mnt")],
            "cat /mnt/secret",
        )
        .prints("secret");
}

#[test]
fn a_single_file() {
    let world = World::new();
    let folder = shared(&world);
    world
        .sh(
            &["-v", &format!("{folder}/file:/etc/motd:ro")],
            "cat /etc/motd",
        )
        .prints("from the machine");
    world
        .sh(
            &[
                "--mount",
                &format!("type=bind,src={folder}/file,dst=/new/place/file"),
            ],
            "cat /new/place/file",
        )
        .prints("from the machine");
    // In place of one of soute's own.
    world
        .sh(
            &["-v", &format!("{folder}/file:/etc/hosts")],
            "cat /etc/hosts",
        )
        .prints("from the machine");
}

#[test]
fn read_only_goes_down_into_submounts() {
    let world = World::new();
    let folder = shared(&world);
    let below = world.path("shared/below");
    std::fs::create_dir(&below).unwrap();
    mount("tmpfs", &below);
    std::fs::set_permissions(&below, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let flags = ["--userns", "host", "-v", &format!("{folder}:/mnt:ro")];
    let outcome = world.sh(&flags, "touch /mnt/x || echo refused; touch /mnt/below/x || echo refused below; mount -o remount,rw,bind /mnt || echo stays");
    let alone = world.sh(
        &[
            "--mount",
            &format!("type=bind,src={folder},dst=/mnt,bind-nonrecursive"),
        ],
        "grep -c ' /mnt' /proc/self/mountinfo",
    );
    unmount(&below);
    outcome.prints("refused\nrefused below\nstays");
    alone.prints("1");
}

#[test]
fn a_missing_source_is_made_by_v_and_refused_by_mount() {
    let world = World::new();
    let made = world.path("made/by/v");
    world
        .sh(
            &["-v", &format!("{}:/mnt", made.display())],
            "ls /mnt | wc -l",
        )
        .prints("0");
    assert!(made.is_dir());

    let missing = world.path("missing");
    let outcome = world.sh(
        &[
            "--mount",
            &format!("type=bind,src={},dst=/mnt", missing.display()),
        ],
        "true",
    );
    outcome.code(125);
    assert!(
        outcome.stderr.contains(missing.to_str().unwrap()),
        "{outcome}"
    );
    assert!(!missing.exists());
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn mounts_of_the_machine_arrive_only_where_that_was_asked_for() {
    let world = World::new();
    let folder = shared(&world);
    let below = world.path("shared/later");
    std::fs::create_dir(&below).unwrap();
    // Something to propagate from: the test's namespace is private all over.
    output(Command::new("mount").args(["--bind", "--make-shared", &folder, &folder])).success();
    let script = "echo ready; read go; grep -c ' /mnt/later ' /proc/self/mountinfo";
    let mut slave = world.start([
        "run",
        "--rm",
        "-i",
        "-v",
        &format!("{folder}:/mnt:rslave"),
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    let mut private = world.start([
        "run",
        "--rm",
        "-i",
        "-v",
        &format!("{folder}:/mnt"),
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    slave.expect("ready");
    private.expect("ready");
    mount("tmpfs", &below);
    slave.write("go\n");
    private.write("go\n");
    let (slave, private) = (slave.outcome(), private.outcome());
    unmount(&below);
    unmount(Path::new(&folder));
    slave.shows("ready\n1");
    private.shows("ready\n0");
}

/// A link in the image at the place of a mount leads to a place in the image.
#[test]
fn links_at_the_target_stay_inside() {
    let world = World::new();
    let folder = shared(&world);
    let root = world.rootfs("rootfs");
    let outside = world.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../tmp", root.join("relative")).unwrap();
    let (one, two) = (
        format!("{folder}:/absolute/new"),
        format!("{folder}:/relative"),
    );
    let script = format!("cat {}/new/file; echo; cat /tmp/file", outside.display());
    let words = [
        "run",
        "--rm",
        "-v",
        &one,
        "-v",
        &two,
        "--rootfs",
        root.to_str().unwrap(),
        "sh",
        "-c",
        &script,
    ];
    world
        .soute(words)
        .prints("from the machine\nfrom the machine");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    world.assert_mounts_unchanged();
}

#[test]
fn devices_in_a_shared_folder_are_dead() {
    let world = World::new();
    let folder = shared(&world);
    let device = world.path("shared/null");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &device,
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    std::fs::set_permissions(&device, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    world
        .sh(
            &["-v", &format!("{folder}:/mnt")],
            "echo x > /mnt/null || echo refused",
        )
        .prints("refused");
}

/// And the other way; what shares nothing cannot be shared, and the flag is not taken for nothing.
#[test]
fn mounts_of_the_container_arrive_on_the_machine_only_where_that_was_asked_for() {
    let world = World::new();
    let folder = shared(&world);
    let inside = world.path("shared/inside");
    std::fs::create_dir(&inside).unwrap();
    let options = |propagation: &str| format!("{folder}:/mnt:{propagation}");
    for propagation in ["shared", "rshared", "slave", "rslave"] {
        let refused = world.sh(&["-v", &options(propagation)], "true");
        refused.code(125);
        assert!(refused.stderr.contains("not a shared"), "{refused}");
    }
    output(Command::new("mount").args(["--bind", "--make-shared", &folder, &folder])).success();
    let script =
        "mount -t tmpfs inside /mnt/inside && touch /mnt/inside/seen && echo mounted; read go";
    let mut seen = Vec::new();
    for propagation in ["rslave", "rshared"] {
        let bind = options(propagation);
        let flags = ["run", "--rm", "-i", "--privileged", "-v", &bind];
        let mut run = world.start([&flags[..], &["busybox", "sh", "-c", script]].concat());
        run.expect("mounted");
        seen.push(inside.join("seen").exists());
        run.write("go\n");
        run.outcome().success();
    }
    if inside.join("seen").exists() {
        unmount(&inside);
    }
    unmount(Path::new(&folder));
    assert_eq!(seen, [false, true]);
}

#[test]
fn a_folder_on_a_file_is_told_from_a_file_on_a_folder() {
    let world = World::new();
    let folder = shared(&world);
    for (source, target, told) in [
        (folder.clone(), "/etc/passwd", "the source is a folder"),
        (format!("{folder}/file"), "/etc", "the source is a file"),
    ] {
        let outcome = world.sh(&["-v", &format!("{source}:{target}")], "true");
        outcome.code(125);
        assert!(outcome.stderr.contains(told), "{outcome}");
        assert!(outcome.stderr.contains(target), "{outcome}");
    }
}
