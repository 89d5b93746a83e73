//! What `load` needs of memory: 64 MiB, whatever the size of a layer.

use std::fs;
use std::io::{PipeReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use soute_tests::{World, output, wait_until};

#[test]
fn it_is_bounded() {
    let world = World::empty();
    let script = "mkdir big && for n in 1 2 3; do head -c 40M /dev/urandom > big/$n; done && tar c big > big.tar && rm -r big
        for to in docker-archive:plain:big:v1 oci-archive:packed:big:v1; do
            skopeo --insecure-policy copy --quiet tarball:big.tar $to || exit 1
        done";
    let mut sh = Command::new("sh");
    output(sh.args(["-c", script]).current_dir(world.path(""))).success();
    for archive in ["plain", "packed"] {
        let path = world.path(archive);
        assert!(fs::metadata(&path).unwrap().len() > 100 << 20, "{archive}");
        for way in ["a file", "a pipe"] {
            let mut load = world.command(["load"]);
            let mut cat = Command::new("cat");
            let cat = match way {
                "a file" => {
                    load.arg("-i").arg(&path).stdin(Stdio::null());
                    None
                }
                _ => {
                    let cat = cat.arg(&path).stdout(Stdio::piped());
                    let mut cat = cat.spawn().expect("cat");
                    load.stdin(cat.stdout.take().expect("piped"));
                    Some(cat)
                }
            };
            let peak = peak(load, || !world.soute(["images", "-q"]).stdout.is_empty());
            if let Some(mut cat) = cat {
                cat.wait().expect("its end");
            }
            assert!(peak < 64 << 10, "{archive} from {way}: {peak} KiB");
            world.soute(["rmi", "big:v1"]).success();
        }
    }
}

/// The most memory that `command` had, in KiB. It is looked at when all is done but for the last word, which it cannot
/// say because nobody takes it.
#[track_caller]
fn peak(mut command: Command, done: impl FnMut() -> bool) -> u64 {
    let (mut reader, full) = full_pipe();
    let mut child = command.stdout(full).spawn().expect("soute");
    // The test's own ends of the pipes, or nobody would see the other's end.
    drop(command);
    wait_until("it has done its work", done);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let mut said = Vec::new();
    reader.read_to_end(&mut said).expect("its last word");
    assert!(child.wait().expect("its end").success());
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.expect("VmHWM").parse().expect("a number")
}

/// A pipe that takes no more.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    let flags = fcntl_getfl(&writer).expect("fcntl");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("fcntl");
    while writer.write(&[0]).is_ok() {}
    fcntl_setfl(&writer, flags).expect("fcntl");
    (reader, writer.into())
}
