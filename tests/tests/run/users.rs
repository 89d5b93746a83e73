//! `--user`: names and numbers as the image has them.

use soute_tests::World;

const WHO: &str = "id -u; id -g; id -G; echo $HOME";

#[track_caller]
fn who(world: &World, flags: &[&str]) -> String {
    world.sh(flags, WHO).text().replace('\n', " ")
}

#[test]
fn names_and_numbers_of_the_image() {
    let world = World::new();
    for (user, expected) in [
        ("root", "0 0 0 /root"),
        ("user", "1000 1000 1000 50 /home"),
        ("1000", "1000 1000 1000 50 /home"),
        ("nobody", "65534 65534 65534 /home"),
        ("user:root", "1000 0 0 /home"),
        ("user:7", "1000 7 7 /home"),
        (":1000", "0 1000 1000 /root"),
        // In no file: a number all the same.
        ("4242", "4242 0 0 /"),
        ("4242:77", "4242 77 77 /"),
    ] {
        assert_eq!(who(&world, &["-u", user]), expected, "--user {user}");
    }
}

#[test]
fn additional_groups() {
    let world = World::new();
    let groups = who(
        &world,
        &["-u", "user", "--group-add", "44", "--group-add", "nogroup"],
    );
    assert_eq!(groups, "1000 1000 1000 44 50 65534 /home");
    // The caller's own groups are nobody's in the container.
    assert_eq!(who(&world, &[]), "0 0 0 /root");
}

#[test]
fn memberships_in_the_images_groups_count() {
    let world = World::new();
    let root = world.rootfs("rootfs");
    std::fs::write(
        root.join("etc/group"),
        "root:x:0:\nuser:x:1000:\nwheel:x:10:root,user\nvideo:x:44:user\n",
    )
    .unwrap();
    let root = root.to_str().unwrap();
    let run = |user| {
        let words = ["run", "--rm", "-u", user, "--rootfs", root, "id", "-G"];
        world.soute(words).text().to_owned()
    };
    assert_eq!(run("user"), "1000 10 44");
    assert_eq!(run("user:wheel"), "10");
    assert_eq!(run("root"), "0 10");
}

#[test]
fn what_the_image_does_not_know_is_refused() {
    let world = World::new();
    for (flags, named) in [
        (["-u", "no-such-user"], "no-such-user"),
        (["-u", "user:no-such-group"], "no-such-group"),
        (["--group-add", "no-such-group"], "no-such-group"),
        // 2^32 - 1 is "no id" to the kernel; above it a number would wrap.
        (["-u", "4294967295"], "4294967295"),
        (["-u", "4294967296"], "4294967296"),
        // Beyond the range of the container's user namespace.
        (["-u", "70000"], "70000"),
    ] {
        let outcome = world.sh(&flags, "true");
        outcome.code(125);
        assert!(outcome.stderr.contains(named), "{outcome}");
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

/// CVE-2016-3697: a user *named* 1000 with uid 0 must not be who `--user 1000` is.
#[test]
fn a_number_is_never_taken_for_a_name() {
    let world = World::new();
    let root = world.rootfs("rootfs");
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/root:/bin/sh\n",
    )
    .unwrap();
    let words = [
        "run",
        "--rm",
        "-u",
        "1000",
        "--rootfs",
        root.to_str().unwrap(),
        "id",
        "-u",
    ];
    world.soute(words).prints("1000");
}

/// The caller's files below the image are hostile: no fifo is waited for, no device read.
#[test]
fn a_passwd_that_is_no_file_is_refused() {
    let world = World::new();
    let root = world.rootfs("rootfs");
    let passwd = root.join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &passwd,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let root = root.to_str().unwrap();
    let outcome = world.soute(["run", "--rm", "-u", "user", "--rootfs", root, "true"]);
    outcome.code(125);
    assert!(outcome.stderr.contains("passwd"), "{outcome}");
}

#[test]
fn other_users_have_no_capabilities_by_themselves() {
    let world = World::new();
    let status = world.soute([
        "run",
        "--rm",
        "-u",
        "user",
        "busybox",
        "grep",
        "Cap",
        "/proc/self/status",
    ]);
    for line in status.text().lines() {
        let (name, set) = line.split_once(':').unwrap();
        let set = u64::from_str_radix(set.trim(), 16).unwrap();
        match name {
            "CapBnd" => assert_ne!(set, 0),
            _ => assert_eq!(set, 0, "{line}"),
        }
    }
}
