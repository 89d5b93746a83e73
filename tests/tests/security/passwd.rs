//! Users, as `--user` and the image name them.

use crate::attack::Attack;

/// CVE-2026-30892 and CVE-2026-46680: a number too large, or odd, becomes another user, or root. The defence is `number`
/// in the runtime's process/user.rs.
#[test]
fn numbers_are_ids_or_refused() {
    let attack = Attack::new();
    attack.start("box", &[], &["sh", "-c", "echo up; exec sleep 1000"], "up");
    for user in [
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999999",
        "-1",
        "+0",
        "0x0",
        "00x",
        " 0",
        "1e3",
        "1000:4294967295",
        "1000:4294967296",
        "1000:-1",
    ] {
        attack.run(&["--user", user], &["id"]).code(125);
        attack
            .world
            .soute(["exec", "--user", user, "box", "id"])
            .code(125);
    }
    for group in ["4294967296", "-1", "nobody-of-that-name"] {
        attack.run(&["--group-add", group], &["id"]).code(125);
    }
    // Beyond the container's range, not wrapped into it.
    attack
        .run(&["--user", "65536"], &["id"])
        .fails(125, &["does not map"]);
}

/// A numeric name in the image's /etc/passwd does not take over the number.
#[test]
fn a_number_is_never_a_name() {
    let attack = Attack::new();
    let passwd = "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/root:/bin/sh\n65533:x:0:0::/:/bin/sh\n";
    std::fs::write(attack.root.join("etc/passwd"), passwd).unwrap();
    std::fs::write(attack.root.join("etc/group"), "7:x:0:\n").unwrap();
    for (user, ids) in [
        ("1000", "1000:0"),
        ("65533", "65533:0"),
        ("1000:7", "1000:7"),
    ] {
        attack
            .run(&["--user", user], &["sh", "-c", "echo $(id -u):$(id -g)"])
            .success()
            .prints(ids);
    }
}

/// Names come from the container's own files, which may be anything. The defences are in `read` of process/user.rs.
#[test]
fn odd_files_are_refused_and_nothing_waits() {
    let attack = Attack::new();
    let passwd = attack.root.join("etc/passwd");
    let look = || attack.run(&["--user", "somebody"], &["id"]);
    std::fs::remove_file(&passwd).unwrap();
    look().fails(125, &["no such name"]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &passwd,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    look().fails(125, &["/etc/passwd", "not a regular file"]);
    attack.link("etc/passwd", "/dev/zero");
    look().fails(125, &["/etc/passwd", "not a regular file"]);
    attack.link("etc/passwd", "passwd");
    look().fails(125, &["/etc/passwd", "(os error 40)"]);
    std::fs::remove_file(&passwd).unwrap();
    let odd = "somebody:x:-1:-1::/:/bin/sh\nother:x:18446744073709551616:0::/:/bin/sh\n\u{1b}[2J:x:0:0::/:\n";
    std::fs::write(&passwd, odd).unwrap();
    look().code(125);
    attack.run(&["--user", "other"], &["id"]).code(125);
    // What the message quotes does not reach the terminal as it is.
    let outcome = attack.run(&["--user", "\u{1b}[31m"], &["id"]);
    assert!(
        outcome.code == 125 && !outcome.stderr.contains('\u{1b}'),
        "{outcome}"
    );
    // Without end, and more than is read of it.
    let file = std::fs::File::create(&passwd).unwrap();
    file.set_len(1 << 40).unwrap();
    look().code(125);
}
