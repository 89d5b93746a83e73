//! `soute diff`: what a container has changed.

use std::collections::BTreeSet;
use std::process::Command;

use soute_tests::{World, output};

/// Every way in which a root file system can change.
const CHANGE: &str = "
set -e
echo more >> /etc/passwd           # changed
echo new > /etc/new                # added
chmod 600 /etc/group               # its mode alone
rm /bin/vi                         # deleted
mkdir -p /srv/a/b && echo x > /srv/a/b/c
rm -r /home && mkdir -p /home/someone/in && echo y > /home/z   # others of those names, one in another
rm -rf /usr && echo file > /usr    # a folder that is a file now
ln -s /etc /link
mkfifo /pipe
touch /tmp/gone && rm /tmp/gone    # as if it had not been
chmod 700 /var                     # a folder's mode alone
cat /etc/shadow > /dev/null || :   # only read
";

fn lines(world: &World, container: &str) -> Vec<String> {
    let told = world.soute(["diff", container]);
    let lines = told.success().stdout.lines();
    lines.map(str::to_owned).collect()
}

#[test]
fn every_kind_of_change_is_told() {
    let world = World::new();
    let setup = "mkdir -p /home/someone/in/the/deep /usr/x && echo 1 > /home/old && echo 2 > /usr/x/y; echo s > /etc/shadow; \
                 touch /etc/group; mkdir -p /var /tmp /srv";
    // An image of two layers: its first container's changes over busybox.
    let root = world.rootfs("image");
    let mut chroot = Command::new("chroot");
    output(chroot.arg(&root).args(["/bin/sh", "-c", setup])).success();
    let mut tar = Command::new("tar");
    let file = world.path("image.tar");
    tar.arg("cf").arg(&file).arg("-C").arg(&root).arg(".");
    output(&mut tar).success();
    let file = file.to_str().unwrap();
    world.soute(["import", file, "changed"]).success();

    world
        .soute(["create", "--name", "changes", "changed", "sh", "-c", CHANGE])
        .success();
    assert_eq!(lines(&world, "changes"), [""; 0]);
    world.soute(["start", "--attach", "changes"]).success();
    let expected = [
        "C /bin",
        "D /bin/vi",
        "C /etc",
        "C /etc/group",
        "A /etc/new",
        "C /etc/passwd",
        "C /home",
        "D /home/old",
        "C /home/someone",
        "C /home/someone/in",
        "D /home/someone/in/the",
        "A /home/z",
        "A /link",
        "A /pipe",
        "C /srv",
        "A /srv/a",
        "A /srv/a/b",
        "A /srv/a/b/c",
        "C /tmp",
        "C /usr",
        "C /var",
    ];
    assert_eq!(lines(&world, "changes"), expected);
    let json = world.soute(["diff", "--json", "changes"]).json();
    assert_eq!(
        json[1],
        serde_json::json!({"path": "/bin/vi", "kind": "deleted"})
    );
    assert_eq!(json.as_array().unwrap().len(), expected.len());
}

/// What Docker says of the same program in the same image.
#[test]
fn a_whole_distribution_changes() {
    let world = World::debian();
    let script = "rm -r /usr/share/doc/tar /usr/lib/python3*/logging; echo x > /root/x; sed -i s/root/toor/ /etc/passwd; \
                  mv /etc/skel /etc/skeleton";
    let before = world.soute(["run", "--rm", "debian", "find", "/", "-xdev"]);
    let words = ["--name", "changes", "debian", "sh", "-c"];
    world
        .soute([&["run"][..], &words, &[&format!("{script}; find / -xdev")]].concat())
        .success();
    let after = world.soute(["logs", "changes"]);
    let set = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (set(&before.success().stdout), set(&after.success().stdout));
    let told = lines(&world, "changes");
    let of = |kind: &str| -> BTreeSet<String> {
        let told = told.iter().filter_map(|line| line.strip_prefix(kind));
        told.map(str::to_owned).collect()
    };
    // A folder that has gone stands for all that was in it.
    let gone: BTreeSet<String> = before
        .difference(&after)
        .filter(|path| {
            let parent = path.rsplit_once('/').unwrap().0;
            after.contains(parent) || parent.is_empty()
        })
        .cloned()
        .collect();
    assert_eq!(of("D "), gone);
    let new: BTreeSet<String> = after.difference(&before).cloned().collect();
    assert_eq!(of("A "), new);
    assert!(of("C ").contains("/etc/passwd"), "{told:?}");
    assert!(
        of("C ").iter().all(|path| before.contains(path)),
        "{told:?}"
    );
}

#[test]
fn names_and_depths_are_the_containers_to_choose() {
    let world = World::new();
    let script = "mkdir '/a\nD etc' && echo > \"/esc\u{1b}[31m\" && ln -s /etc /evil && mkdir -p /deep && cd /deep && \
                  for n in $(seq 300); do mkdir d && cd d; done";
    world
        .soute(["run", "--name", "changes", "busybox", "sh", "-c", script])
        .success();
    // What is too deep is said, and all else told.
    let told = world.soute(["diff", "changes"]);
    let count = told.success().stdout.lines().count();
    assert_eq!(count, 3 + 257, "{told}");
    assert!(told.stderr.contains("not looked at"), "{told}");
    world.soute(["rm", "changes"]).success();
    let script = "mkdir '/a\nD etc' && echo > \"/esc\u{1b}[31m\" && ln -s /etc /evil";
    world
        .soute(["run", "--name", "changes", "busybox", "sh", "-c", script])
        .success();
    assert_eq!(
        lines(&world, "changes"),
        ["A /a\\nD etc", "A /esc\\u{1b}[31m", "A /evil"]
    );
    world.soute(["diff", "--json", "changes"]).json();
    world
        .soute(["diff", "nobody"])
        .fails(1, &["no such container: nobody"]);
    world.soute(["diff"]).code(1);
}

/// While it runs, and over a folder of the machine.
#[test]
fn it_is_told_at_once() {
    let world = World::new();
    let root = world.rootfs("tree");
    let path = root.to_str().unwrap();
    let id = world.detached(["--rootfs", path, "sleep", "1000"]);
    assert_eq!(lines(&world, &id), [""; 0]);
    world.soute(["exec", &id, "rm", "/bin/vi"]).success();
    assert_eq!(lines(&world, &id), ["C /bin", "D /bin/vi"]);
    assert!(root.join("bin/vi").symlink_metadata().is_ok());
    let id = world.detached(["--rootfs", "/", "sleep", "1000"]);
    world
        .soute(["diff", &id])
        .fails(1, &["changes are in memory"]);
}
