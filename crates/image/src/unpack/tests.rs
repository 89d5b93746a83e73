//! Archives made in memory, good and hostile, unpacked for real (which needs root).

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::*;

type Tar = Builder<Vec<u8>>;

/// An archive with its end marker.
pub(crate) fn archive(fill: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    fill(&mut tar);
    tar.into_inner().unwrap()
}

/// A header with all that `Builder` would take care of, and no care.
pub(crate) fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(size);
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

fn raw(tar: &mut Tar, mut header: Header, content: &[u8]) {
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

pub(crate) fn file(tar: &mut Tar, name: &str, content: &[u8]) {
    raw(
        tar,
        header(EntryType::Regular, name, content.len() as u64),
        content,
    );
}

pub(crate) fn folder(tar: &mut Tar, name: &str) {
    raw(tar, header(EntryType::Directory, name, 0), b"");
}

fn link(tar: &mut Tar, kind: EntryType, name: &str, target: &str) {
    let mut header = header(kind, name, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    raw(tar, header, b"");
}

fn symlink(tar: &mut Tar, name: &str, target: &str) {
    link(tar, EntryType::Symlink, name, target);
}

fn hard_link(tar: &mut Tar, name: &str, target: &str) {
    link(tar, EntryType::Link, name, target);
}

fn device(tar: &mut Tar, kind: EntryType, name: &str, major: u32, minor: u32) {
    let mut header = header(kind, name, 0);
    header.set_device_major(major).unwrap();
    header.set_device_minor(minor).unwrap();
    raw(tar, header, b"");
}

fn pax(tar: &mut Tar, records: &[(&str, &[u8])]) {
    tar.append_pax_extensions(records.iter().copied()).unwrap();
}

/// A folder with the layer's root in it, and one beside it that nothing may reach.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "aside", "outside"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        Self { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn open(&self, name: &str) -> OwnedFd {
        File::open(self.dir.path().join(name)).unwrap().into()
    }

    fn try_unpack(&self, archive: &[u8], reading: &Reading<'_>) -> Result<Unpacked, UnpackError> {
        let aside = self.open("aside");
        let target = Target {
            root: self.open("root"),
            aside: aside.as_fd(),
        };
        let unpacked = unpack(archive, target, reading, &mut |_| {});
        let outside: Vec<_> = fs::read_dir(self.dir.path().join("outside"))
            .unwrap()
            .collect();
        assert_eq!(outside.len(), 1, "something was made outside of the layer");
        let secret = fs::read_to_string(self.dir.path().join("outside/secret")).unwrap();
        assert_eq!(secret, "secret");
        unpacked
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        self.try_unpack(archive, &reading(&Limits::default()))
    }
}

fn reading(limits: &Limits) -> Reading<'_> {
    Reading {
        compression: None,
        marked_end: true,
        limits,
    }
}

/// Unpacks an archive that must be fine.
fn good(fill: impl FnOnce(&mut Tar)) -> Place {
    let place = Place::new();
    place.unpack(&archive(fill)).unwrap();
    place
}

/// Unpacks an archive that must be refused, and gives the reason.
fn refused(fill: impl FnOnce(&mut Tar)) -> String {
    Place::new().unpack(&archive(fill)).unwrap_err().to_string()
}

#[track_caller]
fn assert_refused(reason: &str, fill: impl FnOnce(&mut Tar)) {
    let message = refused(fill);
    assert!(message.contains(reason), "{message}");
}

fn is_whiteout(path: &Path) -> bool {
    let meta = fs::symlink_metadata(path).unwrap();
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_opaque(path: &Path) -> bool {
    xattr(path, "trusted.overlay.opaque").as_deref() == Some(b"y")
}

mod faithful;
mod hostile;
mod mutated;
mod streams;
