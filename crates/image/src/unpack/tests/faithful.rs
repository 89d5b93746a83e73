//! What an archive says is what is there afterwards.

use super::*;

#[test]
fn owners_modes_and_times() {
    let place = good(|tar| {
        let mut entry = header(EntryType::Directory, "d/", 0);
        entry.set_mode(0o2775);
        entry.set_gid(50);
        raw(tar, entry, b"");
        for (name, mode, uid, gid) in [
            ("d/suid", 0o4755, 0, 0),
            ("d/sgid", 0o2755, 7, 8),
            ("d/all", 0o666, 1000, 1000),
            ("d/none", 0o000, 0, 0),
            ("d/sticky", 0o1644, 0, 0),
            ("d/plain", 0o644, 0, 0),
        ] {
            let mut entry = header(EntryType::Regular, name, 3);
            entry.set_mode(mode);
            entry.set_uid(uid);
            entry.set_gid(gid);
            raw(tar, entry, b"abc");
        }
        folder(tar, "d/sub/");
        file(tar, "d/sub/x", b"");
    });
    for (name, mode, uid, gid) in [
        ("d", 0o42775, 0, 50),
        ("d/suid", 0o104755, 0, 0),
        ("d/sgid", 0o102755, 7, 8),
        ("d/all", 0o100666, 1000, 1000),
        ("d/none", 0o100000, 0, 0),
        ("d/sticky", 0o101644, 0, 0),
        // In a folder with set-group-ID, the kernel gives new entries its group.
        ("d/plain", 0o100644, 0, 0),
        ("d/sub", 0o40755, 0, 0),
    ] {
        let meta = fs::metadata(place.path(name)).unwrap();
        assert_eq!(
            (meta.mode(), meta.uid(), meta.gid()),
            (mode, uid, gid),
            "{name}"
        );
        assert_eq!(meta.mtime(), 1_000_000_000, "{name}");
    }
    assert_eq!(fs::read(place.path("d/all")).unwrap(), b"abc");
}

#[test]
fn folder_times_survive_more_folders_than_stay_open() {
    let place = good(|tar| {
        for n in 0..100 {
            folder(tar, &format!("d{n}/"));
        }
        for n in 0..100 {
            file(tar, &format!("d{n}/f"), b"");
        }
        hard_link(tar, "d3/link", "d4/f");
        file(tar, "d5/.wh.x", b"");
    });
    for n in 0..100 {
        let meta = fs::metadata(place.path(&format!("d{n}"))).unwrap();
        assert_eq!(meta.mtime(), 1_000_000_000, "d{n}");
    }
}

#[test]
fn times_to_the_nanosecond_and_before_the_epoch() {
    let place = good(|tar| {
        pax(tar, &[("mtime", b"1234567890.123456789")]);
        file(tar, "new", b"");
        pax(tar, &[("mtime", b"-1.5")]);
        file(tar, "old", b"");
        let mut entry = header(EntryType::Regular, "base256", 0);
        entry.as_old_mut().mtime = [0xff; 12];
        raw(tar, entry, b"");
    });
    let time = |name| {
        let meta = fs::metadata(place.path(name)).unwrap();
        (meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!(time("new"), (1_234_567_890, 123_456_789));
    assert_eq!(time("old"), (-2, 500_000_000));
    assert_eq!(time("base256"), (-1, 0));
}

/// Moby repeats a file's attributes on its other names. They are the file's, which has them.
#[test]
fn attributes_of_hard_links_are_their_files() {
    let place = good(|tar| {
        pax(tar, &[("SCHILY.xattr.user.x", b"files")]);
        file(tar, "a", b"content");
        pax(tar, &[("SCHILY.xattr.user.x", b"links")]);
        hard_link(tar, "b", "a");
        pax(tar, &[("SCHILY.xattr.trusted.overlay.redirect", b"/")]);
        hard_link(tar, "c", "a");
    });
    for name in ["a", "b", "c"] {
        let path = place.path(name);
        assert_eq!(xattr(&path, "user.x").unwrap(), b"files", "{name}");
        assert_eq!(xattr(&path, "trusted.overlay.redirect"), None);
    }
}

#[test]
fn links_devices_and_pipes() {
    let place = good(|tar| {
        file(tar, "a", b"content");
        hard_link(tar, "b", "a");
        hard_link(tar, "c", "./a");
        hard_link(tar, "absolute", "/a");
        symlink(tar, "s", "/etc/passwd");
        hard_link(tar, "s2", "s");
        hard_link(tar, "a", "a");
        let mut entry = header(EntryType::Char, "null", 0);
        entry.set_mode(0o666);
        entry.set_device_major(1).unwrap();
        entry.set_device_minor(3).unwrap();
        raw(tar, entry, b"");
        device(tar, EntryType::Block, "disk", 8, 0x12345);
        raw(tar, header(EntryType::Fifo, "pipe", 0), b"");
    });
    let inode = |name| fs::symlink_metadata(place.path(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
    assert_eq!(inode("a"), inode("c"));
    assert_eq!(inode("a"), inode("absolute"));
    assert_eq!(inode("s"), inode("s2"));
    assert_eq!(
        fs::read_link(place.path("s")).unwrap(),
        Path::new("/etc/passwd")
    );
    let null = fs::metadata(place.path("null")).unwrap();
    assert_eq!(
        (null.mode(), null.rdev()),
        (0o20666, rustix::fs::makedev(1, 3))
    );
    let disk = fs::metadata(place.path("disk")).unwrap();
    assert!(disk.file_type().is_block_device());
    assert_eq!(disk.rdev(), rustix::fs::makedev(8, 0x12345));
    assert!(
        fs::metadata(place.path("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
}

#[test]
fn extended_attributes_with_any_value() {
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let place = good(|tar| {
        pax(
            tar,
            &[
                ("SCHILY.xattr.user.lines", b"a\nb=c\n\0"),
                ("SCHILY.xattr.security.capability", capability),
            ],
        );
        let mut entry = header(EntryType::Regular, "f", 1);
        entry.set_uid(5);
        entry.set_mode(0o4755);
        raw(tar, entry, b"x");
        pax(tar, &[("SCHILY.xattr.user.d", b"1")]);
        folder(tar, "d/");
    });
    let path = place.path("f");
    assert_eq!(xattr(&path, "user.lines").unwrap(), b"a\nb=c\n\0");
    assert_eq!(xattr(&path, "security.capability").unwrap(), capability);
    assert_eq!(fs::metadata(&path).unwrap().mode(), 0o104755);
    assert_eq!(xattr(&place.path("d"), "user.d").unwrap(), b"1");
}

#[test]
fn long_names_of_both_kinds() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    for gnu in [true, false] {
        let place = good(|tar| {
            if gnu {
                let mut entry = Header::new_gnu();
                entry.set_size(1);
                entry.set_mode(0o644);
                entry.set_mtime(0);
                tar.append_data(&mut entry, &long, &b"x"[..]).unwrap();
            } else {
                pax(tar, &[("path", long.as_bytes())]);
                file(tar, "short", b"x");
            }
        });
        assert_eq!(fs::read(place.path(&long)).unwrap(), b"x");
    }
}

#[test]
fn missing_folders_are_made_and_links_inside_are_followed() {
    let place = good(|tar| {
        file(tar, "a/b/c", b"1");
        folder(tar, "usr/lib/");
        symlink(tar, "lib", "usr/lib");
        symlink(tar, "abs", "/usr/lib");
        symlink(tar, "up", "../../../usr/lib");
        file(tar, "lib/x", b"2");
        file(tar, "abs/y", b"3");
        file(tar, "up/z/w", b"4");
    });
    assert_eq!(fs::read(place.path("a/b/c")).unwrap(), b"1");
    assert_eq!(fs::metadata(place.path("a/b")).unwrap().mode(), 0o40755);
    assert_eq!(fs::read(place.path("usr/lib/x")).unwrap(), b"2");
    assert_eq!(fs::read(place.path("usr/lib/y")).unwrap(), b"3");
    assert_eq!(fs::read(place.path("usr/lib/z/w")).unwrap(), b"4");
}

#[test]
fn later_entries_win() {
    let place = good(|tar| {
        file(tar, "f", b"old, and longer");
        file(tar, "f", b"new");
        folder(tar, "was-folder/");
        file(tar, "was-folder/x", b"");
        file(tar, "was-folder", b"file now");
        file(tar, "was-file", b"");
        folder(tar, "was-file/");
        file(tar, "was-file/x", b"");
        symlink(tar, "was-link", "was-file");
        folder(tar, "was-link/");
        file(tar, "was-link/y", b"");
        folder(tar, "kept/");
        file(tar, "kept/x", b"");
        let mut entry = header(EntryType::Directory, "kept/", 0);
        entry.set_mode(0o700);
        entry.set_uid(3);
        raw(tar, entry, b"");
        file(tar, "kept/y", b"");
    });
    assert_eq!(fs::read(place.path("f")).unwrap(), b"new");
    assert_eq!(fs::read(place.path("was-folder")).unwrap(), b"file now");
    assert!(place.path("was-file/x").exists());
    assert!(
        !place.path("was-file/y").exists(),
        "written through the old link"
    );
    assert!(place.path("was-link/y").exists());
    let kept = fs::metadata(place.path("kept")).unwrap();
    assert_eq!(
        (kept.mode(), kept.uid(), kept.mtime()),
        (0o40700, 3, 1_000_000_000)
    );
    assert!(place.path("kept/x").exists() && place.path("kept/y").exists());
}

#[test]
fn the_root_has_an_entry_too() {
    for name in ["./", "/", "."] {
        let place = good(|tar| {
            let mut entry = header(EntryType::Directory, name, 0);
            entry.set_mode(0o711);
            entry.set_uid(4);
            raw(tar, entry, b"");
            file(tar, "./x", b"");
        });
        let root = fs::metadata(place.path("")).unwrap();
        assert_eq!(
            (root.mode(), root.uid(), root.mtime()),
            (0o40711, 4, 1_000_000_000)
        );
        assert!(place.path("x").exists());
    }
}

#[test]
fn whiteouts_in_overlays_form() {
    let place = good(|tar| {
        folder(tar, "d/");
        file(tar, "d/.wh.gone", b"");
        file(tar, "d/.wh.gone", b"");
        folder(tar, "opaque/");
        file(tar, "opaque/.wh..wh..opq", b"");
        file(tar, "opaque/new", b"");
        // The layer's own entries are not hidden by its whiteouts, in either order.
        file(tar, "own-before", b"1");
        file(tar, ".wh.own-before", b"");
        file(tar, ".wh.own-after", b"");
        file(tar, "own-after", b"2");
        folder(tar, "dir-before/");
        file(tar, "dir-before/x", b"");
        file(tar, ".wh.dir-before", b"");
        file(tar, ".wh.dir-after", b"");
        folder(tar, "dir-after/");
        file(tar, ".wh.implied", b"");
        file(tar, "implied/x", b"");
    });
    assert!(is_whiteout(&place.path("d/gone")));
    assert!(is_opaque(&place.path("opaque")));
    assert!(place.path("opaque/new").exists());
    assert_eq!(fs::read(place.path("own-before")).unwrap(), b"1");
    assert_eq!(fs::read(place.path("own-after")).unwrap(), b"2");
    for name in ["dir-before", "dir-after", "implied"] {
        assert!(is_opaque(&place.path(name)), "{name}");
    }
    assert!(place.path("dir-before/x").exists() && place.path("implied/x").exists());
    assert!(!is_opaque(&place.path("d")));
}

#[test]
fn an_opaque_root_is_reported() {
    let place = Place::new();
    let opaque = archive(|tar| file(tar, ".wh..wh..opq", b""));
    assert!(place.unpack(&opaque).unwrap().opaque_root);
    let other = archive(|tar| file(tar, "d/.wh..wh..opq", b""));
    assert!(!place.unpack(&other).unwrap().opaque_root);
}

/// The entries of GNU tar's `--sparse`, in its four formats, written by tar itself.
#[test]
fn sparse_files_keep_their_holes() {
    let source = tempfile::tempdir().unwrap();
    let path = source.path().join("sparse");
    let file = File::create(&path).unwrap();
    file.set_len(5_000_000).unwrap();
    for (offset, text) in [(0, "start"), (1_000_000, "middle"), (4_999_990, "end")] {
        std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), offset).unwrap();
    }
    file.sync_all().unwrap();
    let expected = fs::read(&path).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let tar = std::process::Command::new("tar")
            .args(["--sparse", "-cf", "-"])
            .args(format)
            .args(["-C", source.path().to_str().unwrap(), "sparse"])
            .output()
            .unwrap();
        assert!(tar.stdout.len() < 100_000, "tar stored the holes");
        let place = Place::new();
        place.unpack(&tar.stdout).unwrap();
        assert_eq!(
            fs::read(place.path("sparse")).unwrap(),
            expected,
            "{format:?}"
        );
        let blocks = fs::metadata(place.path("sparse")).unwrap().blocks();
        assert!(
            blocks * 512 < 1_000_000,
            "{format:?}: the holes were filled"
        );
    }
}

#[test]
fn a_comment_for_the_whole_archive_is_fine() {
    let place = good(|tar| {
        let comment = b"14 comment=hi\n";
        let mut entry = header(EntryType::XGlobalHeader, "pax_global_header", 14);
        entry.set_cksum();
        raw(tar, entry, comment);
        file(tar, "f", b"");
    });
    assert!(place.path("f").exists());
}
