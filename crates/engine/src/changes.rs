//! What a container has changed of its root file system, read off the overlay's upper folder.
//!
//! Only what was changed is looked at, and beside it the same names in the layers below: an image is never walked. All of
//! it is the container's own making, and may change meanwhile: names are opened one by one, by descriptor, and no link is
//! followed (overlayfs.rst, "whiteouts and opaque directories").

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat, openat, statat};
use rustix::io::Errno;
use rustix::path::Arg;
use soute_image::unpack::{OPAQUE, is_whiteout};
use soute_runtime::idmap::IdMaps;
use soute_runtime::mounts::copy::{OPEN_FOLDER, names};
use soute_runtime::mounts::overlay::UPPER;
use soute_sys::CallError;

use crate::error::Error;
use crate::etc_files;
use crate::plan::keeps_changes_in_memory;
use crate::{Engine, Record};

/// A path that is no longer as it is in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, in the container.
    pub path: PathBuf,
    /// What has become of it.
    pub kind: ChangeKind,
}

/// What has become of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was there and is another: its content, its type, its mode, its owner, or something below it.
    Modified,
    /// It was not there.
    Added,
    /// It was there and is gone.
    Deleted,
}

/// What a container has changed of its root file system.
#[derive(Debug, Default)]
pub struct Changes {
    /// By path.
    pub list: Vec<Change>,
    /// Folders in too many folders to be looked at.
    pub too_deep: Vec<PathBuf>,
}

/// Folders in folders that are followed, with a descriptor or more for each; a container may make thousands.
const DEEPEST: usize = 256;

impl Engine {
    /// What the container `name` has changed, by path; of a changed file also the folders that it is in.
    ///
    /// # Errors
    /// There is no such container, or its changes are kept where they cannot be read.
    pub fn changes(&self, name: &str) -> Result<Changes, Error> {
        let record = self.container(name)?.record;
        let folder = self.places.container(&record.id);
        if keeps_changes_in_memory(&self.places, &record) {
            return Err(Error::Impossible(format!(
                "container {}: its changes are in memory, where only it sees them, since its root file system holds \
                 the engine's own folder {}",
                record.name,
                self.places.root.display()
            )));
        }
        let upper = match open(CWD, folder.join(UPPER)) {
            Ok(upper) => upper,
            // It was never started.
            Err(Errno::NOENT) => return Ok(Changes::default()),
            Err(e) => return Err(failed("open", &folder.join(UPPER), e).into()),
        };
        let walk = Walk {
            maps: record.id_maps.as_ref(),
            // Over an image they are in a layer of their own (mount_points).
            places: match record.image {
                Some(_) => &[],
                None => &etc_files::PATHS,
            },
            changes: Changes::default(),
        };
        Ok(walk.through(&upper, &layers(&record)?)?)
    }
}

/// The topmost first, as they hide each other.
fn layers(record: &Record) -> Result<Vec<OwnedFd>, CallError> {
    let layers = record.layers.iter().rev();
    layers
        .map(|layer| open(CWD, layer).map_err(|e| failed("open", layer, e)))
        .collect()
}

struct Walk<'a> {
    /// Of the user namespace by whose ids changed files are owned.
    maps: Option<&'a IdMaps>,
    /// Where the engine mounts files and makes an empty one to do so.
    places: &'a [&'a str],
    changes: Changes,
}

/// What the layers have of a name.
#[derive(Default)]
struct Below {
    /// The topmost that does not hide it.
    first: Option<Stat>,
    /// Those that are merged, if it is a folder.
    folders: Vec<OwnedFd>,
}

/// What is below an upper folder.
#[derive(Clone, Copy)]
struct Lower<'a> {
    /// Those that are merged, the topmost first.
    folders: &'a [OwnedFd],
    /// None of it is seen in the container: a folder that this one is in is opaque, and those that were made in that are
    /// not marked.
    hidden: bool,
}

/// What was found in a folder.
#[derive(Default)]
struct Found {
    change: bool,
    /// A place of a mount, in making which the folder's time has changed.
    place: bool,
}

impl Walk<'_> {
    /// `upper` over `layers`, the topmost of them first.
    fn through(mut self, upper: &OwnedFd, layers: &[OwnedFd]) -> Result<Changes, CallError> {
        let lower = Lower {
            folders: layers,
            hidden: false,
        };
        self.folder(upper, lower, Path::new("/"), 0)?;
        self.changes.list.sort_unstable_by(|one, other| {
            let bytes = [one, other].map(|change| change.path.as_os_str().as_bytes());
            bytes[0].cmp(bytes[1])
        });
        Ok(self.changes)
    }

    /// Whether there is a change in the folder `path`, which is `upper` over `lower`.
    fn folder(
        &mut self,
        upper: &OwnedFd,
        lower: Lower<'_>,
        path: &Path,
        depth: usize,
    ) -> Result<Found, CallError> {
        let mut found = Found::default();
        if depth > DEEPEST {
            self.changes.too_deep.push(path.to_owned());
            return Ok(found);
        }
        let before = self.changes.list.len();
        let hidden = lower.hidden || is_opaque(upper);
        let own: BTreeSet<CString> = names(upper, path)?.into_iter().collect();
        for name in &own {
            let at = path.join(OsStr::from_bytes(name.to_bytes()));
            // What goes while one looks is left out.
            let Some(stat) = there(statat(upper, name, AtFlags::SYMLINK_NOFOLLOW), &at)? else {
                continue;
            };
            let below = below(lower.folders, name, &at)?;
            if is_whiteout(&stat) {
                if below.first.is_some() {
                    self.note(at, ChangeKind::Deleted);
                }
                continue;
            }
            let kind = FileType::from_raw_mode(stat.st_mode);
            let mut inside = Found {
                change: true,
                place: false,
            };
            if kind == FileType::Directory
                && let Some(folder) = there(open(upper, name.as_c_str()), &at)?
            {
                let lower = Lower {
                    folders: &below.folders,
                    hidden,
                };
                inside = self.folder(&folder, lower, &at, depth + 1)?;
            }
            match &below.first {
                None if kind == FileType::RegularFile
                    && stat.st_size == 0
                    && self.is_place(&at) =>
                {
                    found.place = true;
                }
                None => self.note(at, ChangeKind::Added),
                Some(first) if inside.change || self.differs(first, &stat, inside.place) => {
                    self.note(at, ChangeKind::Modified);
                }
                // Only copied up, for something that was not done in the end.
                Some(_) => {}
            }
        }
        if hidden {
            let mut gone = BTreeSet::new();
            for folder in lower.folders {
                gone.extend(names(folder, path)?);
            }
            for name in gone.difference(&own) {
                let at = path.join(OsStr::from_bytes(name.to_bytes()));
                if below(lower.folders, name, &at)?.first.is_some() {
                    self.note(at, ChangeKind::Deleted);
                }
            }
        }
        found.change = self.changes.list.len() > before;
        Ok(found)
    }

    fn is_place(&self, at: &Path) -> bool {
        self.places.iter().any(|place| Path::new(place) == at)
    }

    fn note(&mut self, path: PathBuf, kind: ChangeKind) {
        self.changes.list.push(Change { path, kind });
    }

    /// Of a folder that is in both: whether the upper one is another, by more than its time if that `may` have changed.
    fn differs(&self, lower: &Stat, upper: &Stat, may: bool) -> bool {
        let owner = match self.maps {
            Some(maps) => (maps.host_uid(lower.st_uid), maps.host_gid(lower.st_gid)),
            None => (Some(lower.st_uid), Some(lower.st_gid)),
        };
        let time = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec);
        lower.st_mode != upper.st_mode
            || (!may && time(lower) != time(upper))
            || owner != (Some(upper.st_uid), Some(upper.st_gid))
    }
}

/// Looks `name` up in the folders `lower`, which are merged.
fn below(lower: &[OwnedFd], name: &CStr, at: &Path) -> Result<Below, CallError> {
    let mut below = Below::default();
    for folder in lower {
        let Some(stat) = there(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW), at)? else {
            continue;
        };
        if is_whiteout(&stat) {
            break;
        }
        let first = *below.first.get_or_insert(stat);
        let both = [first, stat].map(|stat| FileType::from_raw_mode(stat.st_mode));
        if both != [FileType::Directory; 2] {
            break;
        }
        let Some(folder) = there(open(folder, name), at)? else {
            break;
        };
        let opaque = is_opaque(&folder);
        below.folders.push(folder);
        if opaque {
            break;
        }
    }
    Ok(below)
}

fn open(folder: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    openat(folder, name, OPEN_FOLDER, Mode::empty())
}

/// `None`: it is not there, or another by now.
fn there<T>(result: rustix::io::Result<T>, at: &Path) -> Result<Option<T>, CallError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(failed("looking at", at, e)),
    }
}

fn failed(what: &str, at: &Path, errno: Errno) -> CallError {
    CallError::new(format!("{what}({:?})", at.as_os_str()), errno)
}

/// Whether nothing of the layers below is seen in the folder.
fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0; 1];
    let length = rustix::fs::fgetxattr(folder, OPAQUE, &mut value[..]);
    length == Ok(1) && value == *b"y"
}
