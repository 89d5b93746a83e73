//! The mount namespace: a private /tmp, few mounts, the old root unreachable and no descriptor of it left.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};

use soute_tests::views::{as_findmnt, findmnt, mount, mounts as mounts_of};
use soute_tests::{Layout, Running, World, layout};

use crate::inode;

#[test]
fn each_has_a_tmp_of_its_own() {
    let world = World::debian();
    let marker = std::path::Path::new("/tmp").join(format!("soute-test-{}", std::process::id()));
    fs::write(&marker, "").unwrap();
    let look = "ls -A /tmp; touch /tmp/mine; ls -A /tmp";
    let one = world.detached(["debian", "sh", "-c", "touch /tmp/one; exec sleep 1000"]);
    soute_tests::wait_until("it has written", || {
        world.soute(["exec", &one, "ls", "-A", "/tmp"]).stdout == "one\n"
    });
    let other = world.soute(["run", "--rm", "debian", "sh", "-c", look]);
    fs::remove_file(&marker).unwrap();
    other.prints("mine");
    world
        .soute(["exec", &one, "ls", "-A", "/tmp"])
        .prints("one");
    assert!(
        !std::path::Path::new("/tmp/one").exists() && !std::path::Path::new("/tmp/mine").exists()
    );
}

/// Fields of a line of mountinfo (proc_pid_mountinfo(5)).
struct Mount {
    id: u64,
    parent: u64,
    target: String,
    optional: Vec<String>,
    kind: String,
}

fn mounts(table: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ").unwrap();
        let fields: Vec<&str> = before.split(' ').collect();
        Mount {
            id: fields[0].parse().unwrap(),
            parent: fields[1].parse().unwrap(),
            target: fields[4].to_owned(),
            optional: fields[6..]
                .iter()
                .map(|field| (*field).to_owned())
                .collect(),
            kind: after.split(' ').next().unwrap().to_owned(),
        }
    };
    table.lines().map(parse).collect()
}

#[test]
fn there_is_nothing_but_what_a_container_needs() {
    let world = World::debian();
    let id = world.detached(["debian", "sleep", "1000"]);
    let inside = world.soute(["exec", &id, "cat", "/proc/1/mountinfo"]);
    let inside = mounts(inside.text());
    let expected = BTreeSet::from([
        "/",
        "/proc",
        "/dev",
        "/dev/pts",
        "/dev/mqueue",
        "/dev/shm",
        "/sys",
        "/sys/fs/cgroup",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
    ]);
    let found: BTreeSet<&str> = inside.iter().map(|mount| mount.target.as_str()).collect();
    assert!(expected.is_subset(&found), "{found:?}");
    for mount in &inside {
        // Beside these: the cgroup hierarchies of version 1, and what hides or protects parts of /proc and /sys.
        let hierarchy = layout() == Layout::V1
            && mount.target.starts_with("/sys/fs/cgroup/")
            && mount.kind.starts_with("cgroup");
        let cover = mount.target.starts_with("/proc/") || mount.target.starts_with("/sys/");
        assert!(
            expected.contains(mount.target.as_str()) || hierarchy || cover,
            "{}",
            mount.target
        );
        // Nothing comes in from the machine's mounts, nor goes out.
        assert!(
            mount.optional.is_empty(),
            "{} has {:?}",
            mount.target,
            mount.optional
        );
    }
    // One root, and what it once was mounted on is not there any more.
    let roots: Vec<&Mount> = inside.iter().filter(|mount| mount.target == "/").collect();
    assert_eq!((roots.len(), roots[0].kind.as_str()), (1, "overlay"));
    assert!(!inside.iter().any(|mount| mount.id == roots[0].parent));
}

#[test]
fn the_old_root_is_out_of_reach() {
    let world = World::debian();
    let marker = world.path("of-the-machine");
    fs::write(&marker, "reached").unwrap();
    let path = marker.to_str().unwrap();
    // Up from the root, by way of another process's root or folder, and the well-known way out of a mere chroot(2).
    let script = format!(
        "
import os
def look(way, prefix):
    if os.path.exists(prefix + '{path}'):
        print('reached by', way)
for up in range(1, 20):
    look('..', '/' + '../' * up)
for pid in ('1', 'self'):
    for link in ('root', 'cwd'):
        look(link, f'/proc/{{pid}}/{{link}}')
        look(link + '/..', f'/proc/{{pid}}/{{link}}/../../..')
for number in range(0, 256):
    look('a descriptor', f'/proc/self/fd/{{number}}')
    look('a descriptor', f'/proc/1/fd/{{number}}')
os.mkdir('/jail')
outside = os.open('/', os.O_RDONLY)
os.chroot('/jail')
os.fchdir(outside)
for _ in range(50):
    os.chdir('..')
os.chroot('.')
look('chroot', '')
print(os.path.exists('/etc/debian_version'))
"
    );
    for flags in [&[][..], &["--userns", "host"]] {
        let words = [
            &["run", "--rm"],
            flags,
            &["debian", "python3", "-c", &script],
        ]
        .concat();
        world.soute(words).prints("True");
    }
}

#[test]
fn no_descriptor_of_the_machine_is_left() {
    let world = World::debian();
    for flags in [&[][..], &["--userns", "host"], &["-t"], &["--pid", "host"]] {
        let id = world.detached([flags, &["debian", "sleep", "1000"]].concat());
        let pid = world.pid(&id);
        soute_tests::wait_until("the program runs", || {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep")
        });
        let own: BTreeSet<u64> =
            mounts(&fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap())
                .iter()
                .map(|mount| mount.id)
                .collect();
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let file = fs::read_link(entry.path()).unwrap().display().to_string();
            let info = fs::read_to_string(format!(
                "/proc/{pid}/fdinfo/{}",
                entry.file_name().to_string_lossy()
            ))
            .unwrap();
            let mount = info
                .lines()
                .find_map(|line| line.strip_prefix("mnt_id:"))
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            // A pipe is on no mount that anybody could see; the null device that stands for input is no folder to leave by.
            let harmless = file.starts_with("pipe:") || file == "/dev/null";
            assert!(
                harmless || own.contains(&mount),
                "{flags:?}: {file} is on mount {mount}"
            );
        }
        for link in ["root", "cwd"] {
            let seen = fs::read_link(format!("/proc/{pid}/{link}")).unwrap();
            assert_eq!(seen, std::path::Path::new("/"), "{link}");
        }
        // Its root is not the machine's.
        use std::os::unix::fs::MetadataExt as _;
        let (inside, outside) = (
            fs::metadata(format!("/proc/{pid}/root/")).unwrap(),
            fs::metadata("/").unwrap(),
        );
        assert_ne!((inside.dev(), inside.ino()), (outside.dev(), outside.ino()));
    }
}

/// The same that findmnt tells, as a tree.
#[test]
fn the_tree_is_findmnts() {
    let world = World::debian();
    let volume = world.path("data");
    fs::create_dir(&volume).unwrap();
    let bind = format!("{}:/data:idmap", volume.display());
    let id = world.detached(["-v", &bind, "debian", "sleep", "1000"]);
    let pid = world.pid(&id);
    let mounts = mounts_of(&world, &id);
    let own: BTreeSet<String> = mounts.iter().map(as_findmnt).collect();
    assert_eq!(own, findmnt(pid));
    // By its file, without a process.
    let by_itself = mounts_of(&world, &format!("/proc/{pid}/ns/mnt"));
    let own: BTreeSet<String> = by_itself.iter().map(as_findmnt).collect();
    assert_eq!(own, findmnt(pid));
    // What mountinfo does not tell: statmount(2).
    if kernel() >= (6, 15) {
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        let map = map.split_whitespace().collect::<Vec<_>>().join(" ");
        for mounts in [&mounts, &by_itself] {
            assert_eq!(
                mount(mounts, "target", "/data")["uid_map"],
                serde_json::json!([map])
            );
            assert_eq!(
                mount(mounts, "target", "/")["gid_map"],
                serde_json::json!([])
            );
        }
    }
    for mounts in [&mounts, &by_itself] {
        all_have_unique_ids(mounts);
    }
    assert!(mounts.iter().all(|mount| mount["hidden_by"].is_null()));
    let tree = world.soute(["ns", "mounts", &id]);
    tree.success()
        .shows("└─ ")
        .shows("/proc/sys")
        .shows("private");
    world
        .soute(["ns", "mounts", &format!("/proc/{pid}/ns/net")])
        .fails(1, &["net namespace", "only a mount namespace"]);
}

#[track_caller]
fn all_have_unique_ids(mounts: &[serde_json::Value]) {
    let told = kernel() >= (6, 11);
    for mount in mounts {
        assert_eq!(mount["unique_id"].is_u64(), told, "{mount}");
    }
}

/// Linux's version.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = name.split('.').map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A namespace that no process is in, with folders that are mounted over, and mounts that spread.
#[test]
fn what_nobody_sees_is_shown() {
    let world = World::new();
    let place = world.path("place");
    fs::create_dir_all(place.join("inner")).unwrap();
    let place = place.to_str().unwrap();
    let script = format!(
        "mount -t tmpfs first {place}/inner && mount -t tmpfs second {place} && mount -t tmpfs third {place}
         mkdir {place}/shared && mount -t tmpfs spread {place}/shared && mount --make-shared {place}/shared
         mkdir {place}/again && mount --bind {place}/shared {place}/again
         mkdir {place}/below && mount --bind {place}/shared {place}/below && mount --make-slave {place}/below"
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    unshare
        .arg(format!("{script}\necho made; read line"))
        .stdin(Stdio::piped());
    let mut maker = Running::start(&mut unshare);
    maker.expect("made");
    // Kept by a descriptor: the kernel lets a mount namespace be bound to a file only in one that it takes for older.
    let kept = fs::File::open(format!("/proc/{}/ns/mnt", maker.pid())).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
    let inode = inode(maker.pid(), "mnt").to_string();
    maker.write("\n");
    maker.outcome().success();

    for word in [&path, &inode] {
        let mounts = mounts_of(&world, word);
        let source = |name: &str| mount(&mounts, "source", name);
        let at = |target: String| mount(&mounts, "target", &target);
        let (second, third) = (source("second"), source("third"));
        assert_eq!(source("first")["hidden_by"], second["id"]);
        assert_eq!(second["covered_by"], third["id"]);
        assert!(third["covered_by"].is_null() && third["hidden_by"].is_null());
        let again = at(format!("{place}/again"));
        assert_eq!(again["peers"][0]["target"], format!("{place}/shared"));
        let spread = at(format!("{place}/shared"));
        assert_eq!(spread["slaves"][0]["target"], format!("{place}/below"));
        assert_eq!(
            spread["propagation"]["shared"],
            again["propagation"]["shared"]
        );
        let below = at(format!("{place}/below"));
        assert_eq!(
            below["propagation"]["master"],
            spread["propagation"]["shared"]
        );
        let text = world.soute(["ns", "mounts", word]);
        text.shows("no: under")
            .shows("no: behind")
            .shows("1 peer, 1 slave");
    }
}

/// Whoever enters has for a root what lies on top of it.
#[test]
fn what_is_mounted_on_the_root_is_the_root() {
    let world = World::new();
    let place = world.path("place");
    fs::create_dir(&place).unwrap();
    let place = place.display();
    let script = format!(
        "mount -t tmpfs under / && mount -t tmpfs over {place} && mkdir {place}/in && mount -t tmpfs inner {place}/in
         mount --move {place} / && echo made; read line"
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
    let mut maker = Running::start(unshare.stdin(Stdio::piped()));
    maker.expect("made");
    let kept = fs::File::open(format!("/proc/{}/ns/mnt", maker.pid())).unwrap();
    maker.write("\n");
    maker.outcome().success();
    let path = format!("/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
    let mounts = mounts_of(&world, &path);
    let told = mounts.iter().map(|one| (&one["source"], &one["target"]));
    let told: Vec<String> = told.map(|(what, at)| format!("{what} {at}")).collect();
    assert_eq!(told, [r#""over" "/""#, r#""inner" "/in""#]);
    all_have_unique_ids(&mounts);
}

/// As on a machine whose root folder is the initramfs, on which nothing is mounted as a whole.
#[test]
fn the_first_mount_may_be_the_root() {
    let world = World::new();
    let mut unshare = Command::new("unshare");
    // Fails where it is so already.
    let script = "echo made; read line; umount -l / || true; echo bare; read line";
    unshare.args(["--mount", "--propagation", "private", "sh", "-ec", script]);
    let mut maker = Running::start(unshare.stdin(Stdio::piped()));
    maker.expect("made");
    let kept = fs::File::open(format!("/proc/{}/ns/mnt", maker.pid())).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
    maker.write("\n");
    maker.expect("bare");
    maker.write("\n");
    maker.outcome().success();
    for (source, target) in [("first", "/dev"), ("second", "/root")] {
        let mut mount = Command::new("mount");
        mount.args(["--namespace", &path, "-t", "tmpfs", source, target]);
        soute_tests::output(&mut mount).success();
    }
    let mounts = mounts_of(&world, &path);
    for (source, target) in [("first", "/dev"), ("second", "/root")] {
        assert_eq!(mount(&mounts, "source", source)["target"], target);
    }
    let root = mount(&mounts, "target", "/");
    assert_eq!(mount(&mounts, "source", "second")["parent"], root["id"]);
    all_have_unique_ids(&mounts);
}
