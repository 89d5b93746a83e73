//! Host name, `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.

use soute_tests::World;

#[test]
fn the_host_name_is_the_containers_own() {
    let world = World::new();
    let machine = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let outcome = world.sh(
        &["--hostname", "box", "--domainname", "example.org"],
        "hostname; cat /etc/hostname; cat /proc/sys/kernel/domainname; echo $HOSTNAME",
    );
    outcome.prints("box\nbox\nexample.org\nbox");
    assert_eq!(
        rustix::system::uname().nodename().to_string_lossy(),
        machine
    );

    let id = world.detached(["busybox", "sh", "-c", "exec sleep 1000"]);
    assert_eq!(world.soute(["exec", &id, "hostname"]).text(), &id[..12]);
    world.sh(&["--uts", "host"], "hostname").prints(&machine);
}

#[test]
fn names_are_added() {
    let world = World::new();
    let outcome = world.sh(
        &[
            "--hostname",
            "box",
            "--add-host",
            "db:192.0.2.7",
            "--add-host",
            "six:[2001:db8::1]",
        ],
        "cat /etc/hosts",
    );
    let hosts: Vec<Vec<&str>> = outcome
        .text()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(hosts.contains(&vec!["127.0.0.1", "localhost"]), "{hosts:?}");
    assert!(hosts.contains(&vec!["192.0.2.7", "db"]), "{hosts:?}");
    assert!(hosts.contains(&vec!["2001:db8::1", "six"]), "{hosts:?}");
}

#[test]
fn name_servers_are_the_machines_or_those_that_are_named() {
    let world = World::new();
    let outcome = world.sh(
        &[
            "--dns",
            "192.0.2.53",
            "--dns-search",
            "example.org",
            "--dns-option",
            "ndots:3",
        ],
        "cat /etc/resolv.conf",
    );
    outcome.prints("nameserver 192.0.2.53\nsearch example.org\noptions ndots:3");
    let machine = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("nameserver"))
            .map(str::to_owned)
            .collect()
    };
    let outcome = world.sh(&["--network", "host"], "cat /etc/resolv.conf");
    assert_eq!(servers(outcome.text()), servers(&machine));
}

#[test]
fn the_files_are_writable_and_the_containers_own() {
    let world = World::new();
    let script = "echo '192.0.2.9 mine' >> /etc/hosts && tail -1 /etc/hosts; stat -c %u:%g:%a /etc/hosts /etc/hostname /etc/resolv.conf";
    world
        .sh(&[], script)
        .prints("192.0.2.9 mine\n0:0:644\n0:0:644\n0:0:644");
    assert!(
        !std::fs::read_to_string("/etc/hosts")
            .unwrap()
            .contains("192.0.2.9")
    );
    world.sh(&[], "cat /etc/hosts").shows_not("192.0.2.9");
}

/// Debian's /etc/resolv.conf may be a link to a file that is not in the image; an image's may lead anywhere.
#[test]
fn links_in_the_image_lead_nowhere_outside() {
    let world = World::new();
    let root = world.rootfs("rootfs");
    let victims = ["one", "two"].map(|name| world.path(name));
    for victim in &victims {
        std::fs::write(victim, "untouched").unwrap();
    }
    std::os::unix::fs::symlink("../run/resolver/resolv.conf", root.join("etc/resolv.conf"))
        .unwrap();
    std::os::unix::fs::symlink(&victims[0], root.join("etc/hostname")).unwrap();
    std::os::unix::fs::symlink(
        format!("../../../../../..{}", victims[1].display()),
        root.join("etc/hosts"),
    )
    .unwrap();
    let words = [
        "run",
        "--rm",
        "--hostname",
        "box",
        "--dns",
        "192.0.2.53",
        "--rootfs",
        root.to_str().unwrap(),
        "sh",
        "-c",
        "cat /etc/resolv.conf /etc/hostname",
    ];
    world.soute(words).prints("nameserver 192.0.2.53\nbox");
    for victim in &victims {
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "untouched");
    }
}
