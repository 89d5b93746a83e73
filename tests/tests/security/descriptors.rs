//! Nothing of the machine's is open in a container, at no moment.

use soute_tests::{Terminal, output};

use crate::attack::{Attack, USER_NAMESPACES, with_descriptors};

/// CVE-2024-21626, first half: descriptors of the engine's, or of whoever called it, are left open in the program. The
/// defence is `close_all_but` in the runtime's process/privileges.rs.
#[test]
fn the_program_has_three_descriptors() {
    let attack = Attack::new();
    attack.program("descriptors", include_str!("programs/descriptors.c"));
    let list = ["descriptors"];
    let check = |text: &str| {
        assert!(text.contains("listed"), "{text}");
        assert!(!text.contains("open:"), "{text}");
    };
    for flags in [&["--rm"][..], &["--rm", "-i"], &["--rm", "--init"]] {
        let command = attack.world.command(attack.words(flags, &list));
        check(output(&mut with_descriptors(&command, &attack.outside)).text());
    }
    let command = attack.world.command(attack.words(&["--rm", "-t"], &list));
    let mut terminal = Terminal::start(&with_descriptors(&command, &attack.outside));
    let (code, text) = terminal.finish();
    assert_eq!(code, 0, "{text}");
    check(&text);
    // And the first process itself, below which the program runs with --init.
    for init in [&["--init"][..], &[]] {
        attack.start("box", init, &["sh", "-c", "echo up; exec sleep 1000"], "up");
        let pid = attack.world.pid("box");
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open: Vec<_> = fds
            .map(|fd| std::fs::read_link(fd.unwrap().path()).unwrap())
            .map(|link| link.to_string_lossy().into_owned())
            .collect();
        let known = |link: &String| {
            [
                "pipe:",
                "/dev/null",
                "anon_inode:[signalfd]",
                "anon_inode:[pidfd]",
            ]
            .iter()
            .any(|known| link.starts_with(known))
        };
        assert!(open.iter().all(known), "{open:?}");
        let exec = attack.world.command(["exec", "box", "descriptors"]);
        check(output(&mut with_descriptors(&exec, &attack.outside)).text());
        let exec = attack.world.command(["exec", "-t", "box", "descriptors"]);
        let mut terminal = Terminal::start(&with_descriptors(&exec, &attack.outside));
        check(&terminal.finish().1);
        attack.world.soute(["rm", "-f", "box"]).success();
    }
}

/// CVE-2024-21626, third variant: execve looks the program's path up before it closes what is to be closed on it, so a
/// path by way of a descriptor executes a file of the machine. The defence is the same line: they are closed before.
#[test]
fn the_programs_path_leads_through_no_descriptor() {
    let attack = Attack::new();
    let program = attack.outside.join("busybox");
    std::fs::copy("/bin/busybox", &program).unwrap();
    for userns in USER_NAMESPACES {
        let flags = ["--rm", "--userns", userns];
        for path in (3..20).flat_map(|n| {
            [
                format!("/proc/self/fd/{n}/busybox"),
                format!("/proc/self/fd/{n}/{}", program.display()),
                format!(
                    "/proc/self/fd/{n}/../../../../../../..{}",
                    program.display()
                ),
            ]
        }) {
            let command = attack.world.command(attack.words(&flags, &[&path, "id"]));
            output(&mut with_descriptors(&command, &attack.outside)).fails(127, &["no such file"]);
        }
    }
    std::fs::remove_file(program).unwrap();
}

/// An image's /etc/passwd that is a link to a descriptor would let it read files of the machine, and choose a user by
/// them. The defence is `root.open_with` in process/user.rs, which follows no magic link.
#[test]
fn etc_passwd_leads_through_no_descriptor() {
    let attack = Attack::new();
    let passwd = attack.outside.join("passwd");
    std::fs::write(&passwd, "spy:x:4242:4242::/:/bin/sh\n").unwrap();
    for n in 3..20 {
        for path in ["passwd".to_owned(), format!("..{}", passwd.display())] {
            attack.link("etc/passwd", format!("/proc/self/fd/{n}/{path}"));
            let words = attack.words(&["--rm", "--user", "spy"], &["id"]);
            let command = attack.world.command(words);
            let outcome = output(&mut with_descriptors(&command, &attack.outside));
            outcome.fails(125, &["/etc/passwd"]);
        }
    }
    std::fs::remove_file(passwd).unwrap();
}
