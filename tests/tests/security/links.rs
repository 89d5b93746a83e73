//! Links in the image where soute mounts and makes things.

use std::os::unix::fs::PermissionsExt;

use crate::attack::Attack;

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867 and, for /dev, CVE-2026-41579: what
/// soute itself mounts or writes there would land elsewhere. The defence is `Links::Refuse` in the runtime's
/// mounts/place.rs.
#[test]
fn proc_sys_and_dev_are_no_links() {
    let attack = Attack::new();
    for place in ["proc", "sys", "dev"] {
        for target in [
            attack.outside.clone(),
            attack.up_to_outside(),
            "tmp".into(),
            "/".into(),
            place.into(),
        ] {
            attack.link(place, &target);
            attack
                .run(&[], &["true"])
                .fails(125, &[&format!("mounting /{place} "), "(os error 40)"]);
        }
        let path = attack.root.join(place);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
    }
    attack.run(&[], &["true"]).success();
    attack.assert_outside_untouched();
}

/// Below /dev the image has no say at all: what soute mounts there stands on a tmpfs of its own (mounts/dev.rs).
#[test]
fn links_below_dev_are_out_of_sight() {
    let attack = Attack::new();
    for name in ["shm", "pts", "mqueue", "console", "null", "ptmx"] {
        attack.link(&format!("dev/{name}"), &attack.outside);
    }
    let script =
        "echo x > /dev/shm/x && echo x > /dev/null && test -c /dev/null && stat -c %t:%T /dev/null";
    attack
        .run(&[], &["sh", "-c", script])
        .success()
        .prints("1:3");
    attack.assert_outside_untouched();
}

/// CVE-2024-45310, CVE-2019-18837, CVE-2025-24965: files made outside. The defences are that all is placed after
/// pivot_root (the runtime's process/init.rs), when even a link that is followed leads nowhere else, and `IN_ROOT` in
/// mounts/root.rs.
#[test]
fn etc_is_the_containers_whatever_it_links_to() {
    let attack = Attack::new();
    for target in [attack.outside.clone(), attack.up_to_outside()] {
        attack.link("etc", &target);
        let outcome = attack.run(&["--hostname", "box"], &["cat", "/etc/hostname"]);
        outcome.success().prints("box");
    }
    attack.assert_outside_untouched();
}

/// The same for the files that soute binds there.
#[test]
fn etc_files_cover_nothing_outside() {
    let secret = "secret";
    for name in ["resolv.conf", "hosts", "hostname"] {
        let attack = Attack::new();
        let place = format!("etc/{name}");
        for target in [
            attack.outside.join(secret),
            attack.up_to_outside().join(secret),
            attack.outside.join("made"),
        ] {
            attack.link(&place, &target);
            let script = format!("cat /{place}; echo changed > /{place}");
            attack
                .run(&[], &["sh", "-c", &script])
                .success()
                .shows_not("SECRET");
        }
        for target in [
            name,
            "/proc/self/cwd/x",
            "/proc/self/fd/3",
            "/proc/1/root/x",
        ] {
            attack.link(&place, target);
            attack
                .run(&[], &["true"])
                .fails(125, &[&place, "(os error 40)"]);
        }
        attack.assert_outside_untouched();
    }
}

/// CVE-2021-30465 and CVE-2022-23648: a mount lands where the image wants it. Here it lands, but inside.
#[test]
fn mount_targets_stay_inside() {
    let attack = Attack::new();
    let source = attack.world.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "bound").unwrap();
    // For the container's root, which is nobody on the machine.
    std::fs::set_permissions(&source, PermissionsExt::from_mode(0o777)).unwrap();
    let bind = format!("{}:/target", source.display());
    let bind_file = format!("{}/file:/target-file", source.display());
    for target in [attack.outside.clone(), attack.up_to_outside()] {
        attack.link("target", &target);
        attack.link("target-file", target.join("secret"));
        let write = ["sh", "-c", "ls /target; echo x > /target/written"];
        attack.run(&["-v", &bind], &write).success().prints("file");
        assert!(source.join("written").is_file());
        std::fs::remove_file(source.join("written")).unwrap();
        // Nothing of what lies outside is copied into them, either.
        let volume = format!("volume{}:/target", target.is_absolute());
        for flags in [["--tmpfs", "/target"], ["-v", &volume], ["-v", "/target"]] {
            attack.run(&flags, &write).success().shows_not("secret");
        }
        attack
            .run(&["-v", &bind_file], &["cat", "/target-file"])
            .success()
            .prints("bound");
        let made = ["--workdir", "/target/made/deep"];
        attack.run(&made, &["pwd"]).success();
    }
    attack.assert_outside_untouched();
}

/// CVE-2021-30465: between the check of a target and the mount on it, another container that shares a volume puts a
/// link in its place. The defence is that the target is opened once and mounted on by descriptor, in a tree in which no
/// link leads out (mounts/place.rs).
#[test]
fn a_mount_target_exchanged_meanwhile_stays_inside() {
    let attack = Attack::new();
    attack.program("exchange", include_str!("programs/exchange.c"));
    let up = attack.up_to_outside();
    let exchange = ["exchange", "/shared", up.to_str().unwrap()];
    attack.start(
        "attacker",
        &["-v", "shared:/shared"],
        &exchange,
        "exchanging",
    );
    let mut reached = 0;
    for _ in 0..20 {
        let flags = ["-v", "shared:/shared", "--tmpfs", "/shared/d/x"];
        let outcome = attack.run(&flags, &["sh", "-c", "echo x > /shared/d/x/y"]);
        // The link may stand there when the folder is to be made, or again when the program looks.
        assert!([0, 1, 125].contains(&outcome.code), "{outcome}");
        reached += usize::from(outcome.code == 0);
    }
    attack.assert_outside_untouched();
    attack.world.assert_mounts_unchanged();
    assert!(reached > 0, "no container came as far as its program");
}
