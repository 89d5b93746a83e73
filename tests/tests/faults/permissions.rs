//! Not root; folders that cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use soute_tests::{World, output};

fn mount(options: &str, at: &Path) {
    fs::create_dir_all(at).unwrap();
    output(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "test"])
            .arg(at),
    )
    .success();
}

fn unmount(at: &Path) {
    output(Command::new("umount").arg(at)).success();
}

#[test]
fn not_root_is_told_what_is_needed() {
    let world = World::new();
    let soute = world.binary_for_all();
    let own = world.path("nobodys");
    fs::create_dir(&own).unwrap();
    rustix::fs::chown(
        &own,
        Some(rustix::fs::Uid::from_raw(65534)),
        Some(rustix::fs::Gid::from_raw(65534)),
    )
    .unwrap();
    for words in [
        &["run", "--rm", "busybox", "true"][..],
        &["ps"],
        &["images"],
        &["network", "create", "net"],
        &["network", "ls"],
        &["network", "connect", "net", "box"],
        &["network", "reconcile"],
    ] {
        let mut command = Command::new(&soute);
        command
            .arg("--root")
            .arg(own.join("root"))
            .arg("--run")
            .arg(own.join("run"))
            .args(words);
        command.uid(65534).gid(65534).stdin(Stdio::null());
        let outcome = output(&mut command);
        assert_ne!(outcome.code, 0, "{outcome}");
        let said = outcome.stderr.to_lowercase();
        assert!(
            said.contains("root") && said.contains("rootless") && said.contains("subuid"),
            "{outcome}"
        );
        assert_eq!(
            fs::read_dir(&own).unwrap().count(),
            0,
            "{words:?} has left something"
        );
    }
    // What needs no engine works for all.
    for words in [&["--version"][..], &["--help"], &["run", "--help"]] {
        let mut command = Command::new(&soute);
        command
            .args(words)
            .uid(65534)
            .gid(65534)
            .stdin(Stdio::null());
        output(&mut command).success();
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let world = World::new();
    for folder in [world.root(), world.run()] {
        mount("size=1m,ro", &folder);
        let outcomes = [
            &["run", "--rm", "busybox", "true"][..],
            &["create", "busybox", "true"],
        ]
        .map(|words| world.soute(words));
        unmount(&folder);
        for outcome in outcomes {
            outcome.code(125);
            assert!(
                outcome.stderr.contains(folder.to_str().unwrap())
                    && outcome.stderr.contains("Read-only"),
                "{outcome}"
            );
        }
    }
    world
        .soute(["run", "--rm", "busybox", "echo", "works"])
        .prints("works");
}

#[test]
fn a_folder_that_is_a_file_is_named() {
    let world = World::empty();
    fs::write(world.root(), "a file").unwrap();
    let outcome = world.soute(["ps"]);
    outcome.code(1);
    assert!(
        outcome.stderr.contains(world.root().to_str().unwrap()),
        "{outcome}"
    );
}

#[test]
fn the_engines_folders_are_roots_alone() {
    let world = World::new();
    world
        .soute([
            "run",
            "--name",
            "kept",
            "-v",
            "data:/data",
            "busybox",
            "sh",
            "-c",
            "echo secret > /data/file; echo secret",
        ])
        .success();
    let look = |path: &Path| {
        let mut ls = Command::new("ls");
        ls.arg(path).uid(65534).gid(65534).stdin(Stdio::null());
        fs::set_permissions(
            world.path("").parent().unwrap(),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        output(&mut ls).code
    };
    fs::set_permissions(
        world.root().parent().unwrap(),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    for folder in [
        world.root().join("containers"),
        world.root().join("volumes"),
        world.run().join("containers"),
        world.run().join("names"),
    ] {
        if folder.exists() {
            assert_ne!(look(&folder), 0, "{} is open to all", folder.display());
        }
    }
}

#[test]
fn bad_settings_are_named() {
    let world = World::new();
    for (text, named) in [
        ("userns = 7", "userns"),
        ("no_such = 1", "no_such"),
        ("[log]\nmax_size = 0", "max_size"),
        ("=", "config.toml"),
    ] {
        fs::write(world.config(), text).unwrap();
        let outcome = world.soute(["run", "--rm", "busybox", "true"]);
        outcome.code(125);
        assert!(
            outcome.stderr.contains(named)
                && outcome.stderr.contains(world.config().to_str().unwrap()),
            "{outcome}"
        );
    }
}
