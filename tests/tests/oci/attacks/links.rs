//! Links and odd files in the image, where the runtime mounts and makes things.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::process::Command;

use serde_json::json;
use soute_tests::output;

use super::{Outside, link, with_the_machine_in_sight};
use crate::bench::Bench;
use crate::case::cases;

cases![
    proc_sys_and_dev_are_no_links,
    devices_are_not_made_by_way_of_links,
    masks_are_made_of_the_null_device,
    a_console_is_not_bound_by_way_of_a_link,
    mount_targets_stay_inside,
    etc_passwd_is_a_file_or_nothing,
];

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867 and, for /dev, CVE-2026-41579. The
/// defence is `Links::Refuse` in the runtime's mounts/place.rs: without it the container starts.
fn proc_sys_and_dev_are_no_links(bench: &mut Bench) {
    let outside = Outside::new(bench);
    for machine_in_sight in [false, true] {
        let mut bundle = bench.bundle();
        if machine_in_sight {
            with_the_machine_in_sight(&mut bundle);
        }
        for place in ["proc", "sys", "dev"] {
            for target in [
                outside.path(),
                &outside.up(),
                "tmp".as_ref(),
                "/".as_ref(),
                place.as_ref(),
            ] {
                link(&bundle, place, target);
                bench.refuses(&bundle).fails(1, &["(os error 40)"]);
            }
            fs::remove_file(bundle.rootfs().join(place)).unwrap();
            fs::create_dir(bundle.rootfs().join(place)).unwrap();
        }
        bench.run(&bundle).success();
    }
    outside.is_untouched();
}

/// CVE-2026-41579: a bundle that mounts nothing at /dev has its devices made in the image's own, whose parts may be
/// links. The defences are `Links::Refuse` in mounts/root.rs, for /dev itself, and that mknodat(2) follows no link.
fn devices_are_not_made_by_way_of_links(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    bundle.without("/mounts", |mount| {
        let place = mount["destination"].as_str().unwrap_or_default();
        place.starts_with("/dev")
    });
    let device = json!({"path": "/dev/deep/device", "type": "c", "major": 1, "minor": 3});
    bundle.set("/linux/devices", json!([device]));
    for name in ["null", "zero", "tty", "ptmx", "fd", "stdin", "core", "deep"] {
        link(&bundle, &format!("dev/{name}"), outside.path().join("made"));
        bench.run(&bundle);
        outside.is_untouched();
        link(&bundle, &format!("dev/{name}"), outside.up().join("secret"));
        bench.run(&bundle);
        outside.is_untouched();
        fs::remove_file(bundle.rootfs().join("dev").join(name)).unwrap();
    }
    link(&bundle, "dev", outside.path());
    bench.refuses(&bundle);
    outside.is_untouched();
}

/// CVE-2025-31133, CVE-2025-62161: what lies at /dev/null is bound over the paths to be masked, and so given away. The
/// defence is `verified_null` in mounts/mask.rs, for a link and for any other file.
fn masks_are_made_of_the_null_device(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without("/mounts", |mount| {
        let place = mount["destination"].as_str().unwrap_or_default();
        place.starts_with("/dev")
    });
    bundle.set("/linux/maskedPaths", json!(["/proc/kcore", "/etc/passwd"]));
    bundle.args(&["cat", "/etc/passwd"]);
    // In the image's own /dev the devices are made; in one that is bound nothing is.
    let bound = bench.path("dev");
    fs::create_dir(&bound).unwrap();
    let made = bundle.rootfs().join("dev/null");
    for (null, other) in [
        (made, "something else"),
        (bound.join("null"), "not the null device"),
    ] {
        let _ = fs::remove_file(&null);
        fs::write(&null, "GIVEN AWAY").unwrap();
        bench.refuses(&bundle).fails(1, &[other]);
        fs::remove_file(&null).unwrap();
        symlink("/proc/sys/kernel/core_pattern", &null).unwrap();
        bench.refuses(&bundle);
        // Another device is another device.
        fs::remove_file(&null).unwrap();
        let mut node = Command::new("mknod");
        output(node.arg(&null).args(["c", "1", "5"])).success();
        bench.refuses(&bundle).fails(1, &[other]);
        fs::remove_file(&null).unwrap();
        let mut node = Command::new("mknod");
        output(node.arg(&null).args(["c", "1", "3"])).success();
        bench.run(&bundle).success().prints("");
        bundle.mount("bind", &bound.display().to_string(), "/dev", &["bind"]);
    }
}

/// CVE-2025-52565: /dev/console leads to a file of the kernel's, or outside, when the terminal is bound there. The
/// defence is `Links::Refuse` in process/console.rs.
fn a_console_is_not_bound_by_way_of_a_link(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let mut bundle = bench.bundle();
    // The image's own /dev, with terminals in it.
    bundle.without("/mounts", |mount| mount["destination"] == "/dev");
    bundle.set("/process/terminal", json!(true));
    for target in [
        outside.path().join("secret"),
        outside.up().join("made"),
        "/proc/sys/kernel/core_pattern".into(),
        "/etc/passwd".into(),
    ] {
        link(&bundle, "dev/console", target);
        let id = bench.id();
        let (_listener, path) = bench.listen(&id);
        let outcome = bench.try_create(&bundle, &["--console-socket", &path], &id);
        outcome.fails(1, &["(os error 40)"]);
    }
    outside.is_untouched();
}

/// CVE-2024-45310, CVE-2019-18837, CVE-2025-24965, CVE-2026-47766: folders and files are made, and mounts placed, by way
/// of a link. The defence is `IN_ROOT` in mounts/root.rs, while hooks still need the machine in sight, and pivot_root
/// otherwise.
fn mount_targets_stay_inside(bench: &mut Bench) {
    let outside = Outside::new(bench);
    let (folder, file) = (bench.path("folder"), bench.path("file"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "bound\n").unwrap();
    let (folder, file) = (folder.display().to_string(), file.display().to_string());
    for machine_in_sight in [false, true] {
        for target in [outside.path().to_owned(), outside.up()] {
            for place in ["/target", "/target/made/deep", "/target/secret/../deep"] {
                let mut bundle = bench.bundle();
                if machine_in_sight {
                    with_the_machine_in_sight(&mut bundle);
                }
                bundle.set("/root/readonly", json!(false));
                bundle.sh("echo changed > /target/secret; echo x > /target/x; true");
                link(&bundle, "target", &target);
                bundle.mount("tmpfs", "tmpfs", place, &[]);
                bench.run(&bundle);
                outside.is_untouched();
                bundle.without("/mounts", |mount| mount["destination"] == place);
                bundle.mount("bind", &folder, place, &["bind"]);
                bench.run(&bundle);
                outside.is_untouched();
                bundle.without("/mounts", |mount| mount["destination"] == place);
                bundle.mount("bind", &file, &format!("{place}-file"), &["bind"]);
                bench.run(&bundle);
                outside.is_untouched();
                bundle.set("/process/cwd", json!("/target/made/cwd"));
                bench.run(&bundle);
                outside.is_untouched();
            }
        }
    }
}

/// A FIFO would keep `create` waiting for ever, and a link by way of a descriptor read the machine's. The defence is
/// that process/user.rs opens it without waiting, follows no magic link and reads files alone.
fn etc_passwd_is_a_file_or_nothing(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("echo home $HOME");
    let passwd = bundle.rootfs().join("etc/passwd");
    fs::remove_file(&passwd).unwrap();
    let mut fifo = Command::new("mkfifo");
    output(fifo.arg(&passwd)).success();
    assert!(fs::metadata(&passwd).unwrap().file_type().is_fifo());
    // It ends, one way or the other: the bench gives no command more than a minute.
    bench.run(&bundle);
    fs::remove_file(&passwd).unwrap();
    let outside = Outside::new(bench);
    let theirs = outside.path().join("passwd");
    fs::write(&theirs, "root:x:0:0::/of-the-machine:/bin/sh\n").unwrap();
    for target in [theirs.clone(), outside.up().join("passwd")]
        .into_iter()
        .chain((3..20).map(|n| format!("/proc/self/fd/{n}/passwd").into()))
    {
        link(&bundle, "etc/passwd", target);
        let id = bench.id();
        bundle.write();
        let command = bench.command(&[
            "run",
            "--bundle",
            &bundle.folder().display().to_string(),
            &id,
        ]);
        let outcome = output(&mut super::with_descriptors(&command, outside.path()));
        outcome.shows_not("of-the-machine");
    }
    fs::remove_file(theirs).unwrap();
    outside.is_untouched();
}
