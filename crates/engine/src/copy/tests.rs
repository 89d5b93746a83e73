//! Copies from layers made here, as root: device nodes, foreign owners and overlay mounts need it.

#![allow(
    clippy::disallowed_methods,
    reason = "a test lays its files where nobody else knows of them"
)]

use rustix::fs::{AtFlags, FileType, Timespec, Timestamps, XattrFlags};

use soute_runtime::mounts::copy::DEEPEST;

use super::*;
use rustix::fs::CWD;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;

struct Scene {
    folder: TempDir,
    layers: Vec<PathBuf>,
}

impl Scene {
    fn new(layers: usize) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let layers: Vec<PathBuf> = (0..layers)
            .map(|n| folder.path().join(format!("layer{n}")))
            .collect();
        for layer in &layers {
            fs::create_dir(layer).unwrap();
        }
        fs::create_dir(folder.path().join("volume")).unwrap();
        Self { folder, layers }
    }

    fn make(&self, layer: usize, path: &str) -> PathBuf {
        let path = self.layers[layer].join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn volume(&self) -> PathBuf {
        self.folder.path().join("volume")
    }

    fn copy(&self, target: &str) -> Result<PathBuf, Error> {
        let volume = self.volume();
        from_layers(&self.layers, target, &volume).map(|_| volume)
    }
}

fn node(path: &Path, kind: FileType, (major, minor): (u32, u32)) {
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_merged_view_is_copied_and_not_a_layer() {
    let scene = Scene::new(3);
    let (low, middle, top) = (
        scene.make(0, "d/old"),
        scene.make(1, "d"),
        scene.make(2, "d"),
    );
    fs::write(low.join("hidden"), "low").unwrap();
    fs::write(low.parent().unwrap().join("deleted"), "low").unwrap();
    fs::write(low.parent().unwrap().join("changed"), "low").unwrap();
    node(&middle.join("deleted"), FileType::CharacterDevice, (0, 0));
    fs::write(middle.join("changed"), "middle").unwrap();
    let opaque = scene.make(2, "d/old");
    rustix::fs::setxattr(&opaque, "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    fs::write(top.join("new"), "top").unwrap();
    let volume = scene.copy("/d").unwrap();
    assert_eq!(names_in(&volume), ["changed", "new", "old"]);
    assert_eq!(fs::read(volume.join("changed")).unwrap(), b"middle");
    assert!(names_in(&volume.join("old")).is_empty());
    assert!(
        rustix::fs::getxattr(
            volume.join("old"),
            "trusted.overlay.opaque",
            &mut [0u8; 8][..]
        )
        .is_err()
    );
}

#[test]
fn everything_about_a_file_is_kept() {
    let scene = Scene::new(1);
    let d = scene.make(0, "d");
    let file = d.join("file");
    fs::write(&file, "text").unwrap();
    std::os::unix::fs::chown(&file, Some(1000), Some(2000)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o6751)).unwrap();
    rustix::fs::setxattr(&file, "user.note", b"kept", XattrFlags::empty()).unwrap();
    // VFS_CAP_REVISION_2 with cap_net_bind_service permitted (capabilities(7), "File capabilities").
    let capability: Vec<u8> = [0x0200_0001u32, 1 << 10, 0, 0, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    rustix::fs::setxattr(
        &file,
        "security.capability",
        &capability,
        XattrFlags::empty(),
    )
    .unwrap();
    symlink("../../../etc/shadow", d.join("link")).unwrap();
    std::os::unix::fs::lchown(d.join("link"), Some(7), Some(8)).unwrap();
    fs::create_dir(d.join("folder")).unwrap();
    fs::write(d.join("folder/inner"), "").unwrap();
    fs::set_permissions(d.join("folder"), Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(&d, Permissions::from_mode(0o2770)).unwrap();
    std::os::unix::fs::chown(&d, Some(11), Some(12)).unwrap();
    fs::set_permissions(&d, Permissions::from_mode(0o2770)).unwrap();
    let past = Timestamps {
        last_access: Timespec {
            tv_sec: 5,
            tv_nsec: 6,
        },
        last_modification: Timespec {
            tv_sec: 1_000_000,
            tv_nsec: 789,
        },
    };
    for path in ["d/file", "d/link", "d/folder", "d"] {
        let path = scene.layers[0].join(path);
        rustix::fs::utimensat(CWD, path, &past, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let volume = scene.copy("/d").unwrap();
    for (path, owner, mode) in [
        (volume.join("file"), (1000, 2000), 0o6751),
        (volume.join("link"), (7, 8), 0o777),
        (volume.join("folder"), (0, 0), 0o1777),
        (volume.clone(), (11, 12), 0o2770),
    ] {
        let m = fs::symlink_metadata(&path).unwrap();
        assert_eq!((m.uid(), m.gid()), owner, "{path:?}");
        assert_eq!(m.mode() & 0o7777, mode, "{path:?}");
        assert_eq!((m.mtime(), m.mtime_nsec()), (1_000_000, 789), "{path:?}");
    }
    let file = volume.join("file");
    assert_eq!(fs::read(&file).unwrap(), b"text");
    let mut value = [0u8; 64];
    let n = rustix::fs::getxattr(&file, "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..n], b"kept");
    let n = rustix::fs::getxattr(&file, "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[..n], capability);
    assert_eq!(
        fs::read_link(volume.join("link")).unwrap(),
        Path::new("../../../etc/shadow")
    );
    assert!(volume.join("folder/inner").is_file());
}

#[test]
fn a_link_as_mount_point_leads_nowhere_but_into_the_image() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    let up = format!("../../../../../../../..{}", outside.path().display());
    for link in [
        outside.path().to_str().unwrap(),
        &up,
        "/proc/self/cwd",
        "/proc/self/fd/3",
    ] {
        for layers in [1, 2] {
            let scene = Scene::new(layers);
            symlink(link, scene.layers[0].join("data")).unwrap();
            let volume = scene.copy("/data").unwrap();
            assert!(names_in(&volume).is_empty(), "{link}");
        }
    }
    // Inside, links are links.
    let scene = Scene::new(2);
    fs::write(scene.make(1, "srv/real").join("x"), "").unwrap();
    symlink("/srv/real", scene.layers[0].join("data")).unwrap();
    assert_eq!(names_in(&scene.copy("/data").unwrap()), ["x"]);
    // A loop is an error, not an endless search.
    let scene = Scene::new(1);
    symlink("b", scene.layers[0].join("a")).unwrap();
    symlink("a", scene.layers[0].join("b")).unwrap();
    scene.copy("/a").unwrap_err();
}

#[test]
fn nothing_but_files_and_folders_is_opened() {
    let scene = Scene::new(1);
    let d = scene.make(0, "d");
    node(&d.join("disk"), FileType::BlockDevice, (7, 0));
    node(&d.join("null"), FileType::CharacterDevice, (1, 3));
    node(&d.join("fifo"), FileType::Fifo, (0, 0));
    std::os::unix::net::UnixListener::bind(d.join("socket")).unwrap();
    symlink("/etc", d.join("folder-link")).unwrap();
    let volume = scene.copy("/d").unwrap();
    assert_eq!(names_in(&volume), ["fifo", "folder-link"]);
    let fifo = fs::symlink_metadata(volume.join("fifo")).unwrap();
    assert_eq!(FileType::from_raw_mode(fifo.mode()), FileType::Fifo);
    assert!(
        fs::symlink_metadata(volume.join("folder-link"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    for layers in [1, 2] {
        let scene = Scene::new(layers);
        let d = scene.make(0, "d/sub");
        fs::write(d.join("a"), vec![7; 1 << 20]).unwrap();
        fs::hard_link(d.join("a"), d.join("b")).unwrap();
        fs::hard_link(d.join("a"), d.parent().unwrap().join("c")).unwrap();
        let volume = scene.copy("/d").unwrap();
        let inodes = ["sub/a", "sub/b", "c"].map(|n| fs::metadata(volume.join(n)).unwrap().ino());
        assert!(inodes.iter().all(|inode| *inode == inodes[0]));
        assert_eq!(fs::read(volume.join("c")).unwrap(), vec![7; 1 << 20]);
    }
}

#[test]
fn holes_stay_holes() {
    let scene = Scene::new(1);
    let file = File::create(scene.make(0, "d").join("sparse")).unwrap();
    file.set_len(1 << 40).unwrap();
    file.write_at(b"middle", 1 << 30).unwrap();
    let volume = scene.copy("/d").unwrap();
    let copied = File::open(volume.join("sparse")).unwrap();
    let metadata = copied.metadata().unwrap();
    assert_eq!(metadata.len(), 1 << 40);
    assert!(metadata.blocks() * 512 < 1 << 20);
    let mut middle = [0; 6];
    copied.read_at(&mut middle, 1 << 30).unwrap();
    assert_eq!(&middle, b"middle");
}

#[test]
fn a_missing_or_odd_mount_point_is_left_alone() {
    let scene = Scene::new(2);
    fs::write(scene.layers[0].join("file"), "").unwrap();
    for target in ["/missing", "/missing/deeper", "/file", "/file/below"] {
        assert!(
            names_in(&scene.copy(target).unwrap()).is_empty(),
            "{target}"
        );
    }
}

#[test]
fn too_deep_is_an_error() {
    let scene = Scene::new(1);
    let deep = format!("d{}", "/x".repeat(DEEPEST));
    scene.make(0, &deep);
    scene.copy("/d").unwrap();
    let scene = Scene::new(1);
    scene.make(0, &format!("{deep}/x"));
    let error = scene.copy("/d").unwrap_err().to_string();
    assert!(error.contains("256 folders deep"), "{error}");
}
