//! The copy-on-write root, built in both ways. Needs root.
//!
//! The way of kernels before 6.15 runs on any kernel. The other runs where it
//! can; elsewhere its test shows that it fails with an errno on which
//! `overlay::build` takes the older way.

#[path = "../alone/mod.rs"]
mod alone;
mod scene;

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use soute_runtime::mounts::overlay::{Overlay, Way, build, build_by, stack, stack_by};
use soute_runtime::plan::Upper;
use soute_sys::CallError;
use soute_sys::mount::NOEXEC;

use scene::{FIRST_ID, ROOT, Scene, Watch, read, user_namespace, write};

fn main() {
    let tests: [(&str, fn()); 9] = [
        ("attached::owners_are_mapped_and_changes_go_up", || {
            owners_are_mapped_and_changes_go_up(Way::Attached);
        }),
        ("attached::nothing_is_left", || {
            nothing_is_left(Way::Attached)
        }),
        ("attached::memory_takes_the_changes", || {
            memory_takes_the_changes(Way::Attached);
        }),
        ("attached::as_many_layers_as_docker_has", || {
            many_layers(Way::Attached, 128);
        }),
        ("attached::a_stack_cannot_be_changed", || {
            a_stack_cannot_be_changed(Way::Attached);
        }),
        (
            "attached::an_error_in_the_helper_is_told",
            an_error_in_the_helper_is_told,
        ),
        (
            "detached::works_or_says_so_as_old_kernels_do",
            works_or_says_so_as_old_kernels_do,
        ),
        ("either::a_missing_layer_is_named", a_missing_layer_is_named),
        (
            "either::what_cannot_be_is_told_for_both_ways",
            what_cannot_be_is_told_for_both_ways,
        ),
    ];
    alone::run(tests).exit();
}

fn owners_are_mapped_and_changes_go_up(way: Way) {
    let scene = Scene::new();
    scene.file(0, "from-below", "below");
    scene.file(0, "covered", "old");
    scene.file(1, "covered", "new");
    let userns = user_namespace();
    let overlay = build_by(way, &scene.rootfs, Some(userns.as_fd()), ROOT).unwrap();

    let owner = rustix::fs::statat(&overlay.mount, "from-below", AtFlags::empty()).unwrap();
    assert_eq!((owner.st_uid, owner.st_gid), ROOT, "not idmapped");
    assert_eq!(
        read(&overlay, "covered"),
        "new",
        "the layers' order is wrong"
    );
    let flags = rustix::fs::fstatvfs(&overlay.mount).unwrap().f_flag;
    assert!(flags.contains(StatVfsMountFlags::NODEV), "{flags:?}");

    write(&overlay, "from-below", "changed");
    rustix::fs::unlinkat(&overlay.mount, "covered", AtFlags::empty()).unwrap();
    assert_eq!(scene.lower(0, "from-below"), "below");
    assert_eq!(scene.lower(1, "covered"), "new");
    let upper = scene.folder("changes/upper");
    assert_eq!(
        fs::read_to_string(upper.join("from-below")).unwrap(),
        "changed"
    );
    assert_eq!(
        fs::metadata(upper.join("from-below")).unwrap().uid(),
        FIRST_ID
    );
    let whiteout = fs::metadata(upper.join("covered")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
}

fn nothing_is_left(way: Way) {
    let scene = Scene::new();
    let userns = user_namespace();
    let watch = Watch::new();
    let overlay = build_by(way, &scene.rootfs, Some(userns.as_fd()), ROOT).unwrap();
    assert_eq!(
        watch.mounts,
        Watch::new().mounts,
        "while it is there, the mount table shows something"
    );
    drop(overlay);
    watch.assert_unchanged();
}

fn memory_takes_the_changes(way: Way) {
    let mut scene = Scene::new();
    scene.rootfs.upper = Upper::Memory;
    scene.file(0, "file", "below");
    let overlay = build_by(way, &scene.rootfs, None, (0, 0)).unwrap();
    write(&overlay, "file", "changed");
    assert_eq!(read(&overlay, "file"), "changed");
    assert_eq!(scene.lower(0, "file"), "below");
}

fn many_layers(way: Way, count: usize) {
    let mut scene = Scene::new();
    for number in 2..count {
        scene.layer(number);
        scene.file(number, "top", &number.to_string());
        scene.file(number, &format!("in-{number}"), "");
    }
    let overlay = build_by(way, &scene.rootfs, None, (0, 0)).unwrap();
    assert_eq!(read(&overlay, "top"), (count - 1).to_string());
    for number in 2..count {
        read(&overlay, &format!("in-{number}"));
    }
}

fn a_stack_cannot_be_changed(way: Way) {
    let scene = Scene::new();
    scene.file(0, "file", "below");
    scene.file(1, "file", "above");
    let layers = &scene.rootfs.lower;
    let one = [layers[0].clone()];
    let watch = Watch::new();
    for (overlay, text) in [
        (stack_by(way, layers, NOEXEC).unwrap(), "above"),
        (stack(layers, NOEXEC).unwrap(), "above"),
        (stack(&one, NOEXEC).unwrap(), "below"),
    ] {
        assert_eq!(read(&overlay, "file"), text);
        let refused = rustix::fs::unlinkat(&overlay.mount, "file", AtFlags::empty());
        assert_eq!(refused, Err(Errno::ROFS));
        let flags = rustix::fs::fstatvfs(&overlay.mount).unwrap().f_flag;
        let wanted =
            StatVfsMountFlags::RDONLY | StatVfsMountFlags::NODEV | StatVfsMountFlags::NOEXEC;
        assert!(flags.contains(wanted), "{flags:?}");
    }
    watch.assert_unchanged();
    assert_eq!(stack(&[], 0).unwrap_err().errno(), Errno::INVAL);
    assert_eq!(
        scene.lower(0, "file"),
        "below",
        "the layer itself is as it was"
    );
    scene.file(0, "file", "and can be written");
}

fn an_error_in_the_helper_is_told() {
    let mut scene = Scene::new();
    let file = scene.folder("a-file");
    fs::write(&file, "").unwrap();
    scene.rootfs.lower.push(file);
    let watch = Watch::new();
    let error = build_by(Way::Attached, &scene.rootfs, None, (0, 0)).unwrap_err();
    assert_eq!(error.errno(), Errno::INVAL, "{error}");
    assert!(error.call().contains("move_mount"), "{error}");
    watch.assert_unchanged();
}

fn works_or_says_so_as_old_kernels_do() {
    let scene = Scene::new();
    match build_by(Way::Detached, &scene.rootfs, None, (0, 0)) {
        Ok(overlay) => {
            drop(overlay);
            println!("this kernel takes detached layers");
            owners_are_mapped_and_changes_go_up(Way::Detached);
            nothing_is_left(Way::Detached);
            memory_takes_the_changes(Way::Detached);
            many_layers(Way::Detached, 128);
            a_stack_cannot_be_changed(Way::Detached);
        }
        Err(error) => {
            println!("this kernel takes no detached layers: {error}");
            assert!(
                matches!(error.errno(), Errno::OPNOTSUPP | Errno::BADF | Errno::INVAL),
                "{error}"
            );
        }
    }
    // Either way it is built, and its caller does not see how.
    let scene = Scene::new();
    let overlay = build(&scene.rootfs, None, (0, 0)).unwrap();
    write(&overlay, "file", "changed");
}

fn a_missing_layer_is_named() {
    let mut scene = Scene::new();
    scene.rootfs.lower.push(scene.folder("gone"));
    for way in [Way::Detached, Way::Attached] {
        let error = build_by(way, &scene.rootfs, None, (0, 0)).unwrap_err();
        assert_eq!(error.errno(), Errno::NOENT);
        assert!(error.call().contains("/gone\""), "{error}");
    }
}

fn what_cannot_be_is_told_for_both_ways() {
    let mut scene = Scene::new();
    scene.rootfs.lower.clear();
    let watch = Watch::new();
    let error: CallError = build(&scene.rootfs, None, (0, 0)).unwrap_err();
    assert_eq!(error.errno(), Errno::INVAL, "{error}");
    for part in ["mount(overlay", "after fsconfig(overlay"] {
        assert!(error.call().contains(part), "no {part:?} in {error}");
    }
    watch.assert_unchanged();
}

/// Opens a file of the overlay.
fn open(overlay: &Overlay, name: &str, flags: OFlags) -> fs::File {
    rustix::fs::openat(
        &overlay.mount,
        name,
        flags | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .unwrap_or_else(|error| panic!("{name}: {error}"))
    .into()
}
