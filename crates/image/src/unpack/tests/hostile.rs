//! What must not be unpacked is refused with a reason, and reaches nothing outside.

use super::*;

#[test]
fn paths_that_leave_by_their_text() {
    for name in ["..", "../x", "a/../../x", "a/..", "./../x", "a/../b"] {
        assert_refused("\"..\"", |tar| file(tar, name, b""));
        assert_refused("\"..\"", |tar| hard_link(tar, "x", name));
    }
    assert_refused("\"..\"", |tar| folder(tar, "a/../../outside/"));
    for name in ["/..", "/../outside/secret", "//../x", "/a/../../x"] {
        assert_refused("\"..\"", |tar| file(tar, name, b""));
        assert_refused("\"..\"", |tar| hard_link(tar, "x", name));
    }
    assert_refused("NUL", |tar| {
        pax(tar, &[("path", b"a\0b")]);
        file(tar, "x", b"");
    });
    assert_refused("NUL", |tar| {
        pax(tar, &[("linkpath", b"a\0b")]);
        symlink(tar, "x", "y");
    });
}

/// A slash at the beginning is the layer's root, whatever the kind of the entry.
#[test]
fn absolute_paths_land_inside() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    let secret = outside.join("secret").display().to_string();
    let inside = |path: &str| place.path(path.trim_start_matches('/'));
    place
        .unpack(&archive(|tar| {
            folder(tar, "/");
            file(tar, &secret, b"mine");
            folder(tar, "//d/");
            file(tar, "/./d/f", b"f");
            symlink(tar, "/d/l", &outside.display().to_string());
            hard_link(tar, "/h", &secret);
            device(tar, EntryType::Block, "/d/b", 7, 0);
            file(tar, "/d/.wh.gone", b"");
            file(tar, "/d/.wh..wh..opq", b"");
        }))
        .unwrap();
    assert_eq!(fs::read(inside(&secret)).unwrap(), b"mine");
    assert_eq!(fs::read(place.path("h")).unwrap(), b"mine");
    assert_eq!(fs::read(place.path("d/f")).unwrap(), b"f");
    assert!(is_whiteout(&place.path("d/gone")));
    assert!(is_opaque(&place.path("d")));
    // Nor do links lead out: what they lead to is looked for inside.
    place
        .unpack(&archive(|tar| file(tar, "/d/l/new", b"")))
        .unwrap();
    assert!(inside(&secret).with_file_name("new").exists());
}

/// Links that lead out lead to the same place below the root, or nowhere.
#[test]
fn paths_that_leave_through_links() {
    let to_outside = |place: &Place| place.dir.path().join("outside").display().to_string();
    for way in ["absolute", "relative"] {
        let place = Place::new();
        let target = match way {
            "absolute" => to_outside(&place),
            _ => "../outside".to_owned(),
        };
        let through = |fill: &dyn Fn(&mut Tar)| {
            place.unpack(&archive(|tar| {
                symlink(tar, "out", &target);
                fill(tar);
            }))
        };
        for refusal in [
            through(&|tar| file(tar, "out/new", b"")),
            through(&|tar| folder(tar, "out/new/")),
            through(&|tar| symlink(tar, "out/new", "x")),
            through(&|tar| file(tar, "out/.wh.secret", b"")),
            through(&|tar| file(tar, "out/.wh..wh..opq", b"")),
        ] {
            let message = refusal.unwrap_err().to_string();
            assert!(message.contains("not a folder"), "{way}: {message}");
        }
        let message = through(&|tar| hard_link(tar, "x", "out/secret"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("not in this layer"), "{way}: {message}");
        // A hard link to the link is a second link, not a way to the file.
        through(&|tar| hard_link(tar, "x", "out")).unwrap();
        assert!(fs::symlink_metadata(place.path("x")).unwrap().is_symlink());
        // Metadata of an entry that replaces the link goes to the new entry.
        through(&|tar| {
            let mut entry = header(EntryType::Directory, "out/", 0);
            entry.set_mode(0o777);
            raw(tar, entry, b"");
        })
        .unwrap();
        assert!(fs::symlink_metadata(place.path("out")).unwrap().is_dir());
    }
    // With the same path inside, that is where it leads.
    let place = good(|tar| {
        folder(tar, "etc/");
        symlink(tar, "out", "../../../../etc");
        file(tar, "out/new", b"");
    });
    assert!(place.path("etc/new").exists());
}

#[test]
fn a_link_is_replaced_not_followed() {
    let place = Place::new();
    let secret = place
        .dir
        .path()
        .join("outside/secret")
        .display()
        .to_string();
    place
        .unpack(&archive(|tar| {
            symlink(tar, "f", &secret);
            let mut entry = header(EntryType::Regular, "f", 5);
            entry.set_mode(0o666);
            raw(tar, entry, b"owned");
        }))
        .unwrap();
    assert_eq!(fs::read(place.path("f")).unwrap(), b"owned");
    assert!(!fs::symlink_metadata(place.path("f")).unwrap().is_symlink());
}

#[test]
fn links_that_lead_in_circles_or_nowhere() {
    assert_refused("Too many levels", |tar| {
        symlink(tar, "a", "b");
        symlink(tar, "b", "a");
        file(tar, "a/x", b"");
    });
    assert_refused("not a folder", |tar| {
        symlink(tar, "a", "missing");
        file(tar, "a/x", b"");
    });
    assert_refused("not a folder", |tar| {
        file(tar, "a", b"");
        file(tar, "a/b/x", b"");
    });
    assert_refused("not in this layer", |tar| hard_link(tar, "x", "missing"));
    assert_refused("is a folder", |tar| {
        folder(tar, "d/");
        hard_link(tar, "x", "d");
    });
    assert_refused("no target", |tar| hard_link(tar, "x", ""));
    assert_refused("no target", |tar| symlink(tar, "x", ""));
}

#[test]
fn the_root_is_a_folder() {
    assert_refused("root of a layer", |tar| symlink(tar, "./", "/etc"));
    assert_refused("root of a layer", |tar| symlink(tar, ".", "/etc"));
    assert_refused("root of a layer", |tar| hard_link(tar, ".", "x"));
    assert_refused("slash", |tar| file(tar, "/", b""));
}

#[test]
fn whiteouts_that_are_none() {
    for name in [
        ".wh.",
        ".wh..",
        ".wh...",
        ".wh..wh.x",
        ".wh..wh..opqx",
        "d/.wh.",
        ".wh.x/y",
    ] {
        assert_refused("whiteout", |tar| file(tar, name, b""));
    }
    assert_refused("whiteout", |tar| file(tar, ".wh.x", b"content"));
    assert_refused("whiteout", |tar| folder(tar, ".wh.x/"));
    assert_refused("whiteout", |tar| symlink(tar, ".wh.x", "y"));
    assert_refused("whiteout", |tar| device(tar, EntryType::Char, "x", 0, 0));
    assert_refused("whiteout", |tar| {
        file(tar, ".wh.x", b"");
        hard_link(tar, "y", "x");
    });
    assert_refused("whiteout", |tar| hard_link(tar, "y", ".wh.x"));
    // A block device 0:0 is no whiteout.
    good(|tar| device(tar, EntryType::Block, "x", 0, 0));
}

#[test]
fn attributes_that_speak_to_overlay() {
    for name in [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "user.overlay.opaque",
        "security.selinux",
    ] {
        assert_refused("extended attribute", |tar| {
            pax(tar, &[(&format!("SCHILY.xattr.{name}"), b"y")]);
            folder(tar, "d/");
        });
    }
    assert_refused("only files and folders", |tar| {
        pax(tar, &[("SCHILY.xattr.user.x", b"y")]);
        symlink(tar, "l", "x");
    });
}

#[test]
fn numbers_that_mean_something_else() {
    assert_refused("valid id", |tar| {
        let mut entry = header(EntryType::Regular, "x", 0);
        entry.set_uid(u64::from(u32::MAX));
        raw(tar, entry, b"");
    });
    assert_refused("valid id", |tar| {
        pax(tar, &[("gid", b"4294967296")]);
        file(tar, "x", b"");
    });
    assert_refused("not a number", |tar| {
        pax(tar, &[("uid", b"-1")]);
        file(tar, "x", b"");
    });
    assert_refused("unknown bits", |tar| {
        let mut entry = header(EntryType::Regular, "x", 0);
        entry.set_mode(0o1_000_644);
        raw(tar, entry, b"");
    });
    assert_refused("numbers", |tar| {
        device(tar, EntryType::Char, "x", 0x1000, 0)
    });
    assert_refused("entry type", |tar| {
        raw(tar, header(EntryType::new(b'V'), "x", 0), b"")
    });
    assert_refused("entry type", |tar| {
        raw(tar, header(EntryType::new(b'Z'), "x", 0), b"")
    });
    assert_refused("no content", |tar| {
        raw(tar, header(EntryType::Directory, "d/", 3), b"abc");
    });
    assert_refused("no content", |tar| {
        file(tar, "a", b"");
        let mut entry = header(EntryType::Link, "x", 3);
        entry.as_old_mut().linkname[0] = b'a';
        raw(tar, entry, b"abc");
    });
}

/// CVE-2025-62518: the extended header gives another size than the plain one,
/// so that entries inside a file's content appear to a careless reader.
#[test]
fn two_sizes_for_one_entry() {
    let inner = archive(|tar| file(tar, "smuggled", b"x"));
    for (pax_size, ustar_size) in [(inner.len() as u64, 0), (0, inner.len() as u64)] {
        assert_refused("ustar header", |tar| {
            pax(tar, &[("size", pax_size.to_string().as_bytes())]);
            raw(tar, header(EntryType::Regular, "x", ustar_size), &inner);
        });
    }
    good(|tar| {
        pax(tar, &[("size", b"3")]);
        file(tar, "x", b"abc");
    });
    // Base-256 with more than 64 bits: some readers drop the upper ones.
    assert_refused("size", |tar| {
        let mut entry = header(EntryType::Regular, "x", 0);
        entry.as_old_mut().size = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        raw(tar, entry, b"");
    });
    assert_refused("size", |tar| {
        let mut entry = header(EntryType::Regular, "x", 0);
        entry.as_old_mut().size = [0xff; 12];
        raw(tar, entry, b"");
    });
}

#[test]
fn extended_headers_that_lie() {
    assert_refused("twice", |tar| {
        pax(tar, &[("path", b"a"), ("path", b"b")]);
        file(tar, "x", b"");
    });
    assert_refused("global header", |tar| {
        raw(
            tar,
            header(EntryType::XGlobalHeader, "g", 10),
            b"10 path=x\n",
        );
        file(tar, "x", b"");
    });
    assert_refused("", |tar| {
        raw(tar, header(EntryType::XHeader, "h", 9), b"99 path=a");
        file(tar, "x", b"");
    });
    // A name of a gigabyte is not read into memory.
    assert_refused("exceeds limit", |tar| {
        let mut entry = Header::new_gnu();
        entry.set_entry_type(EntryType::GNULongName);
        entry.set_size(1 << 30);
        raw(tar, entry, b"");
    });
    assert_refused("metadata", |tar| {
        pax(tar, &[("path", b"a")]);
    });
}

#[test]
fn sparse_maps_that_contradict_themselves() {
    for map in ["10,5,0,5", "0,5,3,5", "0,5", "0,18446744073709551615,5,10"] {
        assert_refused("sparse", |tar| {
            pax(
                tar,
                &[
                    ("GNU.sparse.major", b"0"),
                    ("GNU.sparse.minor", b"1"),
                    ("GNU.sparse.size", b"20"),
                    ("GNU.sparse.map", map.as_bytes()),
                ],
            );
            file(tar, "x", &[0; 10]);
        });
    }
}

#[test]
fn sparse_formats_that_are_unknown() {
    for (major, minor) in [("2", "0"), ("x", "0"), ("1", "x"), ("1", "")] {
        assert_refused("sparse", |tar| {
            pax(
                tar,
                &[
                    ("GNU.sparse.major", major.as_bytes()),
                    ("GNU.sparse.minor", minor.as_bytes()),
                    ("GNU.sparse.realsize", b"20"),
                ],
            );
            file(tar, "x", &[0; 10]);
        });
    }
}

#[test]
fn too_long_and_too_deep() {
    assert_refused("component is too long", |tar| {
        pax(tar, &[("path", "a".repeat(256).as_bytes())]);
        file(tar, "x", b"");
    });
    assert_refused("too long", |tar| {
        pax(tar, &[("path", "a/".repeat(3000).as_bytes())]);
        file(tar, "x", b"");
    });
    assert_refused("too deep", |tar| {
        pax(tar, &[("path", "a/".repeat(600).as_bytes())]);
        folder(tar, "x");
    });
}

#[test]
fn layer_bombs() {
    let place = Place::new();
    let bounded = |limits: Limits, archive: &[u8]| {
        place
            .try_unpack(archive, &reading(&limits))
            .unwrap_err()
            .to_string()
    };
    let three = archive(|tar| {
        for name in ["a", "b", "c"] {
            file(tar, name, &[1; 1000]);
        }
    });
    let limits = Limits {
        entries: 2,
        ..Limits::default()
    };
    assert!(bounded(limits, &three).contains("number of entries"));
    let deep = archive(|tar| {
        file(tar, "1/2/3/4/5/6", b"");
        file(tar, "7", b"");
    });
    let limits = Limits {
        entries: 6,
        ..Limits::default()
    };
    assert!(bounded(limits, &deep).contains("number of entries"));
    let limits = Limits {
        unpacked: 2500,
        ..Limits::default()
    };
    assert!(bounded(limits, &three).contains("size of all files"));
    // A file that claims an exabyte is refused before a byte of it is written.
    let claim = archive(|tar| raw(tar, header(EntryType::Regular, "x", 1 << 32), b""));
    let limits = Limits {
        unpacked: 1 << 31,
        ..Limits::default()
    };
    assert!(bounded(limits, &claim).contains("size of all files"));
    let zeros = archive(|tar| file(tar, "zeros", &vec![0; 8 << 20]));
    let packed = zstd::encode_all(zeros.as_slice(), 3).unwrap();
    let limits = Limits {
        ratio_from: 1 << 20,
        ..Limits::default()
    };
    assert!(bounded(limits, &packed).contains("ratio"));
}

#[test]
fn no_space_left_names_the_entry() {
    let place = Place::new();
    let root = place.dir.path().join("root");
    let aside = place.dir.path().join("aside");
    let small = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(small.path())
        .status()
        .unwrap();
    assert!(mounted.success());
    fs::remove_dir(&root).unwrap();
    fs::remove_dir(&aside).unwrap();
    for (path, name) in [(&root, "root"), (&aside, "aside")] {
        fs::create_dir(small.path().join(name)).unwrap();
        std::os::unix::fs::symlink(small.path().join(name), path).unwrap();
    }
    let big = archive(|tar| file(tar, "big", &vec![1; 4 << 20]));
    let result = place.unpack(&big);
    let unmounted = std::process::Command::new("umount")
        .arg(small.path())
        .status()
        .unwrap();
    assert!(unmounted.success());
    match result.unwrap_err() {
        UnpackError::NoSpace { path, .. } => assert_eq!(path, "big"),
        other => panic!("{other}"),
    }
}
