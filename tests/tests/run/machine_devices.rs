//! `--device`: a device of the machine, with the permissions that were asked for and no more.
//!
//! Devices that every container has anyway would prove nothing: these are loop devices of the test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use soute_tests::{World, output};

/// A loop device whose content is a file of the test's.
struct Loop {
    device: String,
    content: PathBuf,
}

impl Loop {
    fn new(world: &World, name: &str) -> Self {
        let content = world.path(name);
        let mut text = format!("content of {name}\n").into_bytes();
        text.resize(4096, b'.');
        fs::write(&content, text).unwrap();
        let mut losetup = Command::new("losetup");
        let made = output(losetup.args(["--find", "--show"]).arg(&content));
        Self {
            device: made.text().to_owned(),
            content,
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = output(Command::new("losetup").arg("--detach").arg(&self.device));
        if !std::thread::panicking() {
            detached.success();
        }
    }
}

/// Reads, and tries to write in place.
const USE: &str = "head -n 1 /dev/mine || echo no reading; \
    echo changed 2>/dev/null 1<>/dev/mine && echo written || echo no writing";

#[test]
fn its_permissions_are_those_that_were_asked_for() {
    let world = World::new();
    for userns in ["auto", "host"] {
        for (access, script, expected) in [
            ("r", USE, "content of disk\nno writing"),
            (
                "w",
                "head -n 1 /dev/mine || echo no reading; echo changed > /dev/mine && echo written",
                "no reading\nwritten",
            ),
            ("rw", USE, "content of disk\nwritten"),
            ("rwm", USE, "content of disk\nwritten"),
        ] {
            let disk = Loop::new(&world, "disk");
            let device = format!("{}:/dev/mine:{access}", disk.device);
            let flags = ["--userns", userns, "--device", &device];
            world.sh(&flags, script).prints(expected);
            output(Command::new("blockdev").args(["--flushbufs", &disk.device])).success();
            let changed = fs::read(&disk.content).unwrap().starts_with(b"changed\n");
            assert_eq!(changed, access != "r", "{userns} {access}");
        }
    }
}

#[test]
fn without_its_path_inside_it_is_where_it_is() {
    let world = World::new();
    let disk = Loop::new(&world, "disk");
    let script = format!(
        "head -n 1 {0}; echo x 1<>{0} || echo no writing",
        disk.device
    );
    let device = format!("{}:r", disk.device);
    world
        .sh(&["--device", &device], &script)
        .prints("content of disk\nno writing");
    // Nobody has it who did not ask for it, by whatever name.
    let numbers = output(Command::new("stat").args(["-c", "%Hr %Lr", &disk.device]));
    let make = format!(
        "test -e {} && echo there; mknod /dev/other b {} && head -c 1 /dev/other && echo read; true",
        disk.device,
        numbers.text()
    );
    for userns in ["auto", "host"] {
        world.sh(&["--userns", userns], &make).success().prints("");
    }
}

#[test]
fn a_folder_brings_the_devices_in_it() {
    let world = World::new();
    let (first, second) = (Loop::new(&world, "first"), Loop::new(&world, "second"));
    let folder = world.path("devices");
    fs::create_dir_all(folder.join("more")).unwrap();
    fs::write(folder.join("readme"), "no device").unwrap();
    for (device, path) in [(&first, "a"), (&second, "more/b")] {
        let mut copy = Command::new("cp");
        copy.args(["--archive", &device.device]);
        output(copy.arg(folder.join(path))).success();
    }
    let list = "find /dev/group | sort; head -qn 1 /dev/group/a /dev/group/more/b; \
        for f in a more/b; do echo x 1<>/dev/group/$f || echo no writing; done";
    let device = format!("{}:/dev/group:r", folder.display());
    world.sh(&["--device", &device], list).prints(
        "/dev/group\n/dev/group/a\n/dev/group/more\n/dev/group/more/b\n\
         content of first\ncontent of second\nno writing\nno writing",
    );
    for (inside, word) in [("/group", "/group"), ("/dev/../group", "..")] {
        let device = format!("{}:{inside}", folder.display());
        world
            .sh(&["--device", &device], "true")
            .fails(125, &["--device", word]);
    }
}
