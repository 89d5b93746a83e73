//! No space left.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use soute_tests::{World, output, wait_until};

/// A small file system in place of one of the engine's folders; unmounted at the end of the test, before the world looks.
struct Small(PathBuf);

impl Small {
    fn new(at: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let option = format!("size={size},mode=711");
        output(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &option, "small"])
                .arg(&at),
        )
        .success();
        Self(at)
    }

    /// Takes all the space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = output(Command::new("umount").arg(&self.0));
        if !std::thread::panicking() {
            unmounted.success();
        }
    }
}

/// The world's containers are removed while their folder is still there.
fn remove_all(world: &World) {
    let ids = world.ids();
    if !ids.is_empty() {
        world
            .soute([&["rm".to_owned(), "-f".to_owned()], &ids[..]].concat())
            .success();
    }
    world.assert_nothing_left_but_mounts(&ids);
}

fn import(world: &World) {
    world
        .soute(["import", World::busybox_tar().to_str().unwrap(), "busybox"])
        .success();
}

#[test]
fn on_the_disk() {
    let world = World::empty();
    let small = Small::new(world.root(), "8m");
    import(&world);
    world.soute(["run", "--rm", "busybox", "true"]).success();
    // Its files go after its end is told: they must not make room later.
    world.assert_nothing_left_but_mounts(&[]);
    let filler = small.fill();
    let root = world.root();
    let words = ["No space left", root.to_str().unwrap()];
    // Their record is written down, and more than a folder, which a tmpfs gives for nothing.
    for command in [&["run", "-d"][..], &["run"], &["create"]] {
        world
            .soute([command, &["busybox", "true"]].concat())
            .fails(125, &words);
    }
    // One that writes nothing there may well run.
    let ephemeral = world.soute(["run", "--rm", "busybox", "true"]);
    if ephemeral.code != 0 {
        ephemeral.fails(125, &words);
    }
    world.soute(["ps", "-aq"]).prints("");
    world.assert_nothing_left_but_mounts(&[]);
    fs::remove_file(filler).unwrap();
    world
        .soute(["run", "--rm", "busybox", "echo", "works"])
        .prints("works");
    remove_all(&world);
}

#[test]
fn in_the_folder_of_what_runs() {
    let world = World::new();
    let small = Small::new(world.run(), "1m");
    world.soute(["run", "--rm", "busybox", "true"]).success();
    // Its files go after its end is told: they must not make room later.
    world.assert_nothing_left_but_mounts(&[]);
    let filler = small.fill();
    for words in [
        &["run", "--rm", "busybox", "true"][..],
        &["run", "busybox", "true"],
    ] {
        let outcome = world.soute(words);
        outcome.code(125);
        assert!(outcome.stderr.contains("No space left"), "{outcome}");
        assert!(
            outcome.stderr.contains(world.run().to_str().unwrap()),
            "{outcome}"
        );
    }
    world.soute(["ps", "-a"]).success();
    fs::remove_file(filler).unwrap();
    world
        .soute(["run", "--rm", "busybox", "echo", "works"])
        .prints("works");
    remove_all(&world);
}

/// KiB of the files in a folder.
fn used(folder: &Path) -> u64 {
    let mut du = Command::new("du");
    let told = output(du.args(["-sk", "--apparent-size"]).arg(folder));
    let number = told.text().split_whitespace().next().expect("a number");
    number.parse().expect("a number")
}

/// From a file, and from a pipe, of which a copy is made.
#[test]
fn for_the_image() {
    let world = World::empty();
    let small = Small::new(world.root(), "1m");
    let busybox = World::busybox_tar();
    let archive = world.path("archive.tar");
    let copy = format!("docker-archive:{}:app:v1", archive.display());
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet"]);
    output(
        skopeo
            .arg(format!("tarball:{}", busybox.display()))
            .arg(copy),
    )
    .success();
    for (words, input) in [
        (&["import", busybox.to_str().unwrap(), "x"][..], None),
        (&["import", "-", "x"], Some(&busybox)),
        (&["load", "-i", archive.to_str().unwrap()], None),
        (&["load"], Some(&archive)),
    ] {
        let mut sh = Command::new("sh");
        let script = match input {
            Some(path) => format!("cat '{}' | \"$@\"", path.display()),
            None => "\"$@\"".to_owned(),
        };
        let soute = world.command(words);
        sh.args(["-c", &script, "sh"]).arg(soute.get_program());
        let outcome = output(sh.args(soute.get_args()));
        outcome.fails(1, &["No space left"]);
        world.soute(["images", "-q"]).prints("");
        // What was unpacked so far is gone, or goes with the next command that needs the space.
        let left = used(&small.0);
        assert!(left < 100, "{left} KiB are left of {outcome}");
    }
}

/// A new volume takes over what the image has at its place.
#[test]
fn for_a_volumes_first_content() {
    let world = World::empty();
    let small = Small::new(world.root(), "8m");
    import(&world);
    // Of the busybox alone, which is larger than what is left.
    let filler = small.fill();
    File::options()
        .write(true)
        .open(&filler)
        .and_then(|file| file.set_len(fs::metadata(&filler)?.len() - (512 << 10)))
        .unwrap();
    let before = used(&small.0);
    for volume in ["named:/bin", "/bin"] {
        for command in [&["run", "--rm"][..], &["create"]] {
            let flags = [command, &["-v", volume, "busybox", "true"]].concat();
            let outcome = world.soute(flags);
            outcome.fails(125, &["No space left", "filling the volume for /bin"]);
            world.soute(["ps", "-aq"]).prints("");
            let volumes = fs::read_dir(world.root().join("volumes")).into_iter();
            let left: Vec<_> = volumes
                .flatten()
                .map(|entry| entry.unwrap().path())
                .collect();
            assert_eq!(left, [""; 0].map(PathBuf::from), "{outcome}");
            assert!(used(&small.0) <= before + 8, "{outcome}");
        }
    }
    fs::remove_file(filler).unwrap();
    world
        .soute([
            "run",
            "--rm",
            "-v",
            "named:/bin",
            "busybox",
            "echo",
            "works",
        ])
        .prints("works");
    remove_all(&world);
    drop(small);
}

/// The program meets the full disk as it would on the machine; the log that cannot be written does not stop it.
#[test]
fn for_what_the_program_writes() {
    let world = World::empty();
    let small = Small::new(world.root(), "8m");
    import(&world);
    let script =
        "cat /dev/zero > /file; echo first; rm /file; echo x > /file && echo works; exit 4";
    let outcome = world.soute(["run", "--name", "full", "busybox", "sh", "-c", script]);
    outcome.code(4).shows("works");
    assert!(outcome.stderr.contains("No space left"), "{outcome}");
    let state = world.inspect("full")["State"].clone();
    assert_eq!(
        (state["Status"].as_str(), state["ExitCode"].as_i64()),
        (Some("exited"), Some(4)),
        "{state}"
    );
    remove_all(&world);
    drop(small);
}

/// The end of a container is known although there is no room to write it down.
#[test]
fn for_the_end_of_a_container() {
    let world = World::empty();
    let small = Small::new(world.root(), "8m");
    import(&world);
    let mut run = world.start([
        "run",
        "-i",
        "--name",
        "ends",
        "busybox",
        "sh",
        "-c",
        "echo ready; cat; exit 4",
    ]);
    run.expect("ready");
    let filler = small.fill();
    run.write("line\n");
    run.expect("line");
    run.outcome().code(4);
    world.soute(["ps", "-a"]).shows("ends");
    fs::remove_file(filler).unwrap();
    wait_until("it has ended for all", || {
        world.inspect("ends")["State"]["Status"] == "exited"
    });
    world.soute(["rm", "ends"]).success();
    remove_all(&world);
    drop(small);
}
