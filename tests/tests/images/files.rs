//! From archives and tar files to what a container sees.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use soute_tests::{World, output};

use soute_tests::make::{Tar, archive, filter, gzip, oci};

fn busybox() -> Vec<u8> {
    fs::read(World::busybox_tar()).unwrap()
}

/// Gives a command its input.
type Feed<'a> = &'a dyn Fn(&mut Command);

/// Runs a command with the input that it was given; returns its output.
#[track_caller]
fn fed(command: &mut Command) -> String {
    let ended = command.output().unwrap();
    let message = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success(),
        "{command:?}: {}: {message}",
        ended.status
    );
    String::from_utf8(ended.stdout).unwrap()
}

/// Three layers, of which the upper ones take away, replace and hide.
fn layered() -> Vec<u8> {
    let base = busybox();
    let middle = Tar::new()
        .folder("data/")
        .file("data/gone", b"1")
        .file("data/replaced", b"old")
        .file("data/kept", b"kept")
        .folder("data/hidden/")
        .file("data/hidden/old", b"1")
        .folder("data/whole/")
        .file("data/whole/old", b"1")
        .symlink("data/link", "kept")
        .end();
    let top = Tar::new()
        .folder("data/")
        .file("data/.wh.gone", b"")
        .file("data/replaced", b"new")
        .folder("data/hidden/")
        .file("data/hidden/.wh..wh..opq", b"")
        .file("data/hidden/new", b"2")
        .file("data/.wh.whole", b"")
        .file("data/.wh.link", b"")
        .end();
    let config = json!({
        "Cmd": ["sh", "-c", "find /data -mindepth 1 | sort | xargs; cat /data/replaced /data/kept"],
        "Env": ["PATH=/bin:/usr/bin:/sbin"], "WorkingDir": "/data",
    });
    archive(&oci(&[&base, &middle, &top], &config, "layered:v1"))
}

const SEEN: &str = "/data/hidden /data/hidden/new /data/kept /data/replaced\nnewkept";

#[test]
fn layers_stack_as_their_whiteouts_say() {
    let world = World::empty();
    fs::write(world.path("a.tar"), layered()).unwrap();
    world
        .soute(["load", "-i", world.path("a.tar").to_str().unwrap()])
        .success()
        .prints("Loaded image: layered:v1");
    world
        .soute(["run", "--rm", "layered:v1"])
        .success()
        .prints(SEEN);
    // What a container changes is its own.
    let script = "rm -r /data/hidden; echo x > /data/kept; ls /data";
    let words = ["run", "--rm", "layered:v1", "sh", "-c", script];
    world.soute(words).prints("kept\nreplaced");
    world.soute(["run", "--rm", "layered:v1"]).prints(SEEN);
    world.assert_mounts_unchanged();
}

#[test]
fn from_a_file_a_pipe_and_a_redirection_compressed_or_not() {
    let plain = layered();
    let packed = [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("zstd", filter("zstd", &["-q", "-c", "-1"], &plain)),
    ];
    for (kind, content) in packed {
        let world = World::empty();
        let path = world.path("archive");
        fs::write(&path, content).unwrap();
        let loads: [(&str, Feed<'_>); 3] = [
            ("redirected", &|load| {
                load.stdin(File::open(&path).unwrap());
            }),
            ("piped", &|load| {
                let cat = Command::new("cat")
                    .arg(&path)
                    .stdout(Stdio::piped())
                    .spawn();
                load.stdin(cat.unwrap().stdout.unwrap());
            }),
            ("named", &|load| {
                load.arg("--input").arg(&path).stdin(Stdio::null());
            }),
        ];
        for (way, feed) in loads {
            let mut load = world.command(["load"]);
            feed(&mut load);
            assert_eq!(
                fed(&mut load),
                "Loaded image: layered:v1\n",
                "{kind}, {way}"
            );
            world.soute(["run", "--rm", "layered:v1"]).prints(SEEN);
            world.soute(["rmi", "layered:v1"]).success();
            assert_eq!(super::stored(&world), [""; 0], "{kind}, {way}");
        }
    }
}

/// docker-archive, OCI archive and OCI folder, as skopeo writes them.
#[test]
fn what_other_tools_write() {
    let world = World::empty();
    fs::write(world.path("a.tar"), layered()).unwrap();
    for target in [
        "docker-archive:d.tar:app:v1",
        "oci-archive:o.tar:app:v1",
        "oci:folder:app:v1",
    ] {
        let skopeo = &mut Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet"]);
        skopeo.arg(format!("oci-archive:{}", world.path("a.tar").display()));
        output(skopeo.arg(target).current_dir(world.path(""))).success();
        let path = world.path(target.split(':').nth(1).unwrap());
        world
            .soute(["load", "-i", path.to_str().unwrap()])
            .success();
        world.soute(["run", "--rm", "app:v1"]).prints(SEEN);
        world.soute(["rmi", "app:v1"]).success();
    }
}

#[test]
fn an_import_with_changes() {
    let world = World::empty();
    let words = [
        "import",
        "--change",
        "ENV GREETING=\"hello world\" PATH=/bin",
        "--change",
        "WORKDIR /tmp",
        "--change",
        "USER 1000:1000",
        "--change",
        "ENTRYPOINT [\"sh\", \"-c\"]",
        "--change",
        "CMD [\"echo $GREETING; pwd; id -u\"]",
        "--message",
        "by a test",
        "-",
        "changed",
    ];
    let mut import = world.command(words);
    fed(import.stdin(File::open(World::busybox_tar()).unwrap()));
    world
        .soute(["run", "--rm", "changed"])
        .prints("hello world\n/tmp\n1000");
    let image = &world.soute(["inspect", "changed"]).json()[0];
    assert_eq!(image["Config"]["User"], "1000:1000");
    for change in ["RUN true", "ENV", "EXPOSE x"] {
        let tar = World::busybox_tar();
        world
            .soute(["import", "--change", change, tar.to_str().unwrap(), "bad"])
            .fails(1, &[change]);
    }
}

/// Owners, modes and capabilities are what the tar says, in the container.
#[test]
fn metadata_as_the_container_sees_it() {
    let world = World::empty();
    let mut base = busybox();
    base.truncate(base.len() - 1024);
    let more = Tar::new()
        .folder("owned/")
        .pax("uid", "33")
        .file("owned/by-33", b"")
        .pax("gid", "4242")
        .file("owned/by-group", b"")
        .end();
    // GNU tar pads to its record size; the added entries go before the padding.
    let end = base.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    base.truncate(end.next_multiple_of(512));
    base.extend(more);
    fs::write(world.path("base.tar"), base).unwrap();
    world
        .soute(["import", world.path("base.tar").to_str().unwrap(), "app"])
        .success();
    let script = "stat -c '%n %u %g %a' /owned/* /";
    world
        .soute(["run", "--rm", "app", "sh", "-c", script])
        .success()
        .shows("/owned/by-33 33 0 644")
        .shows("/owned/by-group 0 4242 644")
        .shows("/ 0 0 755");
}

/// 64 MiB, whatever the size: the peak of the whole process, while it unpacks 150 MiB from a pipe.
#[test]
fn memory_is_bounded() {
    let world = World::empty();
    for pack in ["cat", "gzip -1", "zstd -q -1"] {
        let script = format!(
            "mkdir big && for n in 1 2 3; do head -c 50M /dev/urandom > big/$n; done && tar c big | {pack} > big.tar && rm -r big"
        );
        output(
            Command::new("sh")
                .args(["-c", &script])
                .current_dir(world.path("")),
        )
        .success();
        let mut import = world
            .command(["import", "-", "big"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = import.stdin.take().unwrap();
        let content = fs::read(world.path("big.tar")).unwrap();
        let (most, rest) = content.split_at(content.len() - 100);
        stdin.write_all(most).unwrap();
        // It has read nearly all, and waits for the rest.
        let status = fs::read_to_string(format!("/proc/{}/status", import.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.unwrap().trim().strip_suffix(" kB").unwrap();
        let peak: u64 = peak.parse().unwrap();
        stdin.write_all(rest).unwrap();
        drop(stdin);
        assert!(import.wait().unwrap().success());
        assert!(peak < 64 << 10, "{pack}: {peak} KiB");
        world.soute(["rmi", "big"]).success();
    }
}
