//! From plain tar to files: the half of the pipeline that writes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};
use tar_core::parse::{ParseEvent, Parser};
use tar_core::{HEADER_SIZE, SparseEntry};

use super::entry::{Entry, Kind, lossy};
use super::folders::{self, EnterError, Folder, Folders};
use super::stream::Chunks;
use super::{Limits, Problem, UnpackError, pax};

/// Longest chain of extended headers and longest sparse map, in bytes and entries.
const METADATA: u32 = 1 << 20;
const SPARSE_ENTRIES: usize = 10_000;

/// What was unpacked.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Extracted {
    /// Sum of the sizes of all files, bytes.
    pub(super) size: u64,
    /// The layer's root hides all lower layers.
    pub(super) opaque_root: bool,
}

/// Writes one layer.
pub(super) struct Extractor<'a> {
    folders: Folders,
    /// Where replaced folders are put, out of the layer, until it is finished.
    aside: BorrowedFd<'a>,
    replaced: u32,
    limits: &'a Limits,
    entries: u64,
    done: Extracted,
    made: Made,
}

/// What a file is like that was just made, without further calls.
#[derive(Debug, Clone, Copy)]
struct Made {
    uid: u32,
    gid: u32,
    /// Permission bits that do not arrive.
    umask: u32,
}

impl Made {
    /// Whether owner, group and mode are right without further calls.
    fn suits(self, entry: &Entry, folder: &Folder) -> bool {
        self.owns(entry, folder) && self.keeps(entry.mode)
    }

    fn owns(self, entry: &Entry, folder: &Folder) -> bool {
        (entry.uid, entry.gid) == (self.uid, self.gid) && !folder.foreign_group
    }

    fn keeps(self, mode: u32) -> bool {
        mode & (0o6000 | self.umask) == 0
    }
}

/// Makes a file to see what it is like: the umask belongs to the whole
/// process and cannot be read without being changed, and a default ACL or a
/// mount option may have a say too.
fn probe(folder: BorrowedFd<'_>) -> Result<Made, CallError> {
    const PROBE: &str = "probe";
    let file = rustix::fs::openat(
        folder,
        PROBE,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o777),
    )
    .called(|| format!("openat({PROBE:?}, O_CREAT|O_EXCL, 0777)"))?;
    let stat = rustix::fs::fstat(&file).called(|| format!("fstat({PROBE:?})"))?;
    rustix::fs::unlinkat(folder, PROBE, AtFlags::empty())
        .called(|| format!("unlinkat({PROBE:?})"))?;
    Ok(Made {
        uid: stat.st_uid,
        gid: stat.st_gid,
        umask: 0o777 & !stat.st_mode,
    })
}

impl<'a> Extractor<'a> {
    /// Writes below `root`, an empty folder; `aside` is a folder on the same file system.
    pub(super) fn new(
        root: OwnedFd,
        aside: BorrowedFd<'a>,
        limits: &'a Limits,
    ) -> Result<Self, CallError> {
        let made = probe(aside)?;
        Ok(Self {
            folders: Folders::new(root, made.gid, made.umask),
            aside,
            replaced: 0,
            limits,
            entries: 0,
            done: Extracted::default(),
            made,
        })
    }

    /// Unpacks all of `tar`. `marked_end`: the end-of-archive marker must be there.
    pub(super) fn run(
        mut self,
        tar: &mut Chunks,
        marked_end: bool,
    ) -> Result<Extracted, UnpackError> {
        let mut parser = Parser::new(tar_core::parse::Limits {
            max_metadata_size: METADATA,
            max_path_len: None,
            max_pending_entries: 4,
            max_sparse_entries: SPARSE_ENTRIES,
        });
        // `super::pax` is stricter where `tar-core` is, and takes negative times.
        parser.set_ignore_pax_errors(true);
        let mut need = HEADER_SIZE;
        loop {
            let position = tar.position();
            let input = tar.peek(need);
            let malformed = |reason: String| UnpackError::Format { position, reason };
            let (consumed, parsed, sparse) =
                match parser.parse(input).map_err(|e| malformed(e.to_string()))? {
                    ParseEvent::NeedData { min_bytes } if input.len() >= need => {
                        need = min_bytes;
                        continue;
                    }
                    ParseEvent::NeedData { .. } if input.is_empty() && !marked_end => break,
                    ParseEvent::NeedData { .. } => {
                        return Err(UnpackError::Truncated { position });
                    }
                    ParseEvent::GlobalExtensions { consumed, pax_data } => {
                        pax::check_global(pax_data).map_err(malformed)?;
                        tar.advance(consumed);
                        continue;
                    }
                    ParseEvent::Entry { consumed, entry } => (consumed, entry, None),
                    ParseEvent::SparseEntry {
                        consumed,
                        entry,
                        sparse_map,
                        real_size,
                    } => (consumed, entry, Some((sparse_map, real_size))),
                    ParseEvent::End { consumed } => {
                        tar.advance(consumed);
                        only_zeros(tar)?;
                        break;
                    }
                };
            need = HEADER_SIZE;
            let path = parsed.path.to_vec();
            let stored = parsed.size;
            let entry = Entry::new(&parsed, self.limits).map_err(at(&path))?;
            if let Some((map, real_size)) = &sparse {
                if !matches!(entry.kind, Kind::File) {
                    return Err(at(&path)(Problem::Content));
                }
                check_sparse(map, stored, *real_size).map_err(at(&path))?;
            }
            tar.advance(consumed);
            self.count(sparse.as_ref().map_or(stored, |(_, real_size)| *real_size))?;
            if let Some(file) = self.make(&entry).map_err(|e| e.at(&path))? {
                match &sparse {
                    None => tar.content(stored, |piece| {
                        write(&file, piece).map_err(|call| failed(&path, call))
                    })?,
                    Some((map, real_size)) => write_sparse(tar, &file, map, *real_size, &path)?,
                }
                self.finish_file(&file, &entry)
                    .map_err(|call| failed(&path, call))?;
            }
            tar.content(padding(stored), |_| Ok(()))?;
        }
        self.folders.close_all()?;
        Ok(self.done)
    }

    fn count(&mut self, size: u64) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(UnpackError::Limit {
                what: "the number of entries",
                limit: self.limits.entries,
            });
        }
        self.done.size = self.done.size.saturating_add(size);
        if self.done.size > self.limits.unpacked {
            return Err(UnpackError::Limit {
                what: "the size of all files",
                limit: self.limits.unpacked,
            });
        }
        Ok(())
    }

    /// Makes what `entry` says; a new regular file is returned, to be filled.
    fn make(&mut self, entry: &Entry) -> Result<Option<OwnedFd>, EnterError> {
        if entry.name.is_empty() && matches!(entry.kind, Kind::Folder) {
            return self.root(entry).map(|()| None);
        }
        let name = entry.name.as_slice();
        match &entry.kind {
            Kind::Folder => self.folder(entry)?,
            Kind::File => {
                return self
                    .create(entry, |folder| {
                        rustix::fs::openat(
                            &folder.fd,
                            name,
                            OFlags::WRONLY
                                | OFlags::CREATE
                                | OFlags::EXCL
                                | OFlags::NOFOLLOW
                                | OFlags::CLOEXEC,
                            Mode::from_raw_mode(entry.mode & 0o777),
                        )
                    })
                    .map(Some);
            }
            Kind::Symlink(target) => {
                self.create(entry, |folder| {
                    rustix::fs::symlinkat(target.as_slice(), &folder.fd, name)
                })?;
                self.finish_node(entry)?;
            }
            Kind::HardLink(parent, target) => self.hard_link(entry, parent, target)?,
            Kind::Device { block, number } => {
                let kind = if *block {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                self.node(entry, kind, *number)?;
            }
            Kind::Fifo => self.node(entry, FileType::Fifo, 0)?,
            Kind::Whiteout => self.whiteout(entry)?,
            Kind::Opaque => {
                let folder = self.folders.enter(&entry.parent)?;
                folders::make_opaque(&folder.fd, &entry.parent)?;
                self.done.opaque_root |= entry.parent.is_empty();
            }
        }
        Ok(None)
    }

    /// Runs `make` in the entry's folder. What is there already gives way: later entries win.
    fn create<T>(
        &mut self,
        entry: &Entry,
        make: impl Fn(&Folder) -> rustix::io::Result<T>,
    ) -> Result<T, EnterError> {
        let folder = self.folders.enter(&entry.parent)?;
        folder.touch();
        let describe = || format!("making {:?}", lossy(&entry.name));
        match make(folder) {
            Err(Errno::EXIST) => {}
            other => return Ok(other.called(describe)?),
        }
        self.clear(entry)?;
        let folder = self.folders.enter(&entry.parent)?;
        Ok(make(folder).called(describe)?)
    }

    /// Removes what is there under the entry's name.
    fn clear(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let folder = self.folders.enter(&entry.parent)?;
        let name = entry.name.as_slice();
        let Some(stat) = folders::stat(folder, name)? else {
            return Ok(());
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let aside = format!("replaced-{}", self.replaced);
                rustix::fs::renameat(&folder.fd, name, self.aside, aside.as_str())
                    .called(|| format!("renameat({:?}, {aside:?})", lossy(name)))?;
                self.replaced += 1;
                self.folders.close_all()?;
            }
            kind => {
                rustix::fs::unlinkat(&folder.fd, name, AtFlags::empty())
                    .called(|| format!("unlinkat({:?})", lossy(name)))?;
                if kind == FileType::Symlink {
                    self.folders.close_all()?;
                }
            }
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let root = self.folders.root();
        self.own(root, entry)?;
        chmod(root, entry)?;
        set_xattrs(root, entry)?;
        self.folders.enter(b"")?;
        self.folders.set_mtime(b"", entry.mtime);
        Ok(())
    }

    fn folder(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let made = self.made;
        let name = entry.name.as_slice();
        let folder = self.folders.enter(&entry.parent)?;
        folder.touch();
        let mkdir = |folder: &Folder| {
            rustix::fs::mkdirat(&folder.fd, name, Mode::from_raw_mode(entry.mode & 0o1777))
        };
        let mut existed = false;
        let mut hides = false;
        match mkdir(folder) {
            Ok(()) => {}
            Err(Errno::EXIST) => match folders::stat(folder, name)? {
                Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    existed = true;
                }
                there => {
                    hides = there.is_some_and(|stat| folders::is_whiteout(&stat));
                    self.clear(entry)?;
                    mkdir(self.folders.enter(&entry.parent)?)
                        .called(|| format!("mkdirat({:?})", lossy(name)))?;
                }
            },
            Err(errno) => {
                return Err(CallError::new(format!("mkdirat({:?})", lossy(name)), errno).into());
            }
        }
        let folder = self.folders.enter(&entry.parent)?;
        if existed || hides || !made.suits(entry, folder) || !entry.xattrs.is_empty() {
            let fd = rustix::fs::openat(
                &folder.fd,
                name,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .called(|| format!("openat({:?}, O_DIRECTORY|O_NOFOLLOW)", lossy(name)))?;
            if hides {
                folders::make_opaque(&fd, name)?;
            }
            self.own(fd.as_fd(), entry)?;
            chmod(fd.as_fd(), entry)?;
            set_xattrs(fd.as_fd(), entry)?;
        }
        if existed {
            // Its group and set-group-ID bit may have changed: look again when it is next entered.
            self.folders.close_all()?;
        }
        let folder = self.folders.enter(&entry.parent)?;
        touch_node(folder, entry)?;
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, parent: &[u8], target: &[u8]) -> Result<(), EnterError> {
        let shown = || lossy(&[parent, b"/", target].concat());
        let no_target = |_| EnterError::Problem(Problem::NoHardLinkTarget(shown()));
        let from = match self.folders.existing(parent) {
            Ok(fd) => fd,
            Err(call) if matches!(call.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Err(no_target(()));
            }
            Err(call) => return Err(call.into()),
        };
        let stat = match rustix::fs::statat(&from, target, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Err(no_target(())),
            other => other.called(|| format!("fstatat({:?})", shown()))?,
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(EnterError::Problem(Problem::HardLinkTo(shown(), "folder")));
        }
        if folders::is_whiteout(&stat) {
            return Err(EnterError::Problem(Problem::HardLinkTo(
                shown(),
                "whiteout",
            )));
        }
        let folder = self.folders.enter(&entry.parent)?;
        // Some archives list a file as a link to itself.
        if folders::stat(folder, &entry.name)?
            .is_some_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino))
        {
            return Ok(());
        }
        self.create(entry, |folder| {
            // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is a second name of that.
            rustix::fs::linkat(
                &from,
                target,
                &folder.fd,
                entry.name.as_slice(),
                AtFlags::empty(),
            )
        })
    }

    fn node(&mut self, entry: &Entry, kind: FileType, number: u64) -> Result<(), EnterError> {
        self.create(entry, |folder| {
            rustix::fs::mknodat(
                &folder.fd,
                entry.name.as_slice(),
                kind,
                Mode::from_raw_mode(entry.mode),
                number,
            )
        })?;
        self.finish_node(entry)
    }

    /// Owner and time of what has no descriptor: links, devices, pipes.
    fn finish_node(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let made = self.made;
        let folder = self.folders.enter(&entry.parent)?;
        if !made.owns(entry, folder) {
            rustix::fs::chownat(
                &folder.fd,
                entry.name.as_slice(),
                Some(Uid::from_raw(entry.uid)),
                Some(Gid::from_raw(entry.gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .called(|| {
                format!(
                    "fchownat({:?}, {}, {}, AT_SYMLINK_NOFOLLOW)",
                    lossy(&entry.name),
                    entry.uid,
                    entry.gid
                )
            })?;
        }
        if !matches!(entry.kind, Kind::Symlink(_)) && !made.keeps(entry.mode) {
            // By name, but of what was just made under that name: no link is there to follow.
            rustix::fs::chmodat(
                &folder.fd,
                entry.name.as_slice(),
                Mode::from_raw_mode(entry.mode),
                AtFlags::empty(),
            )
            .called(|| format!("fchmodat({:?}, {:o})", lossy(&entry.name), entry.mode))?;
        }
        touch_node(folder, entry)?;
        Ok(())
    }

    /// What lower layers have under this name is gone; what this layer has is not
    /// (OCI image-spec, layer.md: whiteouts hide lower layers only).
    fn whiteout(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let folder = self.folders.enter(&entry.parent)?;
        let name = entry.name.as_slice();
        folder.touch();
        let made = rustix::fs::mknodat(
            &folder.fd,
            name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        );
        if made != Err(Errno::EXIST) {
            return Ok(made.called(|| format!("mknodat({:?}, S_IFCHR, 0:0)", lossy(name)))?);
        }
        match folders::stat(folder, name)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let fd = rustix::fs::openat(
                    &folder.fd,
                    name,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .called(|| format!("openat({:?}, O_DIRECTORY|O_NOFOLLOW)", lossy(name)))?;
                Ok(folders::make_opaque(fd, name)?)
            }
            // A file of this layer hides the lower one by being there.
            _ => Ok(()),
        }
    }

    /// One fchown, and none where the file was made with the right owner.
    fn own(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), CallError> {
        rustix::fs::fchown(
            fd,
            Some(Uid::from_raw(entry.uid)),
            Some(Gid::from_raw(entry.gid)),
        )
        .called(|| {
            format!(
                "fchown({:?}, {}, {})",
                lossy(&entry.name),
                entry.uid,
                entry.gid
            )
        })
    }

    /// Owner, then mode (chown clears set-id bits), then attributes (chown
    /// clears capabilities too), then time.
    fn finish_file(&mut self, file: &OwnedFd, entry: &Entry) -> Result<(), CallError> {
        let made = self.made;
        let (owned, kept) = match self.folders.enter(&entry.parent) {
            Ok(folder) => (made.owns(entry, folder), made.keeps(entry.mode)),
            // It was entered to make the file; to set both is never wrong.
            Err(_) => (false, false),
        };
        if !owned {
            self.own(file.as_fd(), entry)?;
        }
        if !kept {
            chmod(file.as_fd(), entry)?;
        }
        set_xattrs(file.as_fd(), entry)?;
        rustix::fs::futimens(file, &folders::modified(entry.mtime))
            .called(|| format!("futimens({:?})", lossy(&entry.name)))
    }
}

impl EnterError {
    fn at(self, path: &[u8]) -> UnpackError {
        match self {
            Self::Problem(problem) => at(path)(problem),
            Self::Call(call) => failed(path, call),
        }
    }
}

fn at(path: &[u8]) -> impl FnOnce(Problem) -> UnpackError {
    let path = lossy(path);
    move |problem| UnpackError::Entry { path, problem }
}

fn failed(path: &[u8], call: CallError) -> UnpackError {
    let path = lossy(path);
    match call.errno() {
        Errno::NOSPC | Errno::DQUOT => UnpackError::NoSpace { path, call },
        _ => UnpackError::Call { path, call },
    }
}

fn chmod(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), CallError> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))
        .called(|| format!("fchmod({:?}, {:o})", lossy(&entry.name), entry.mode))
}

fn set_xattrs(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), CallError> {
    for (name, value) in &entry.xattrs {
        rustix::fs::fsetxattr(fd, name.as_str(), value, XattrFlags::empty())
            .called(|| format!("fsetxattr({:?}, {name:?})", lossy(&entry.name)))?;
    }
    Ok(())
}

fn touch_node(folder: &Folder, entry: &Entry) -> Result<(), CallError> {
    rustix::fs::utimensat(
        &folder.fd,
        entry.name.as_slice(),
        &folders::modified(entry.mtime),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .called(|| format!("utimensat({:?}, AT_SYMLINK_NOFOLLOW)", lossy(&entry.name)))
}

fn write(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), CallError> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(CallError::new(
                    format!("write({} bytes)", bytes.len()),
                    errno,
                ));
            }
        }
    }
    Ok(())
}

/// Ascending, apart from each other, within the file, and as much as is stored.
fn check_sparse(map: &[SparseEntry], stored: u64, real_size: u64) -> Result<(), Problem> {
    let mut end = 0;
    let mut sum = 0_u64;
    for piece in map {
        if piece.offset < end {
            return Err(Problem::Sparse);
        }
        end = piece
            .offset
            .checked_add(piece.length)
            .ok_or(Problem::Sparse)?;
        sum += piece.length;
    }
    if end > real_size || sum != stored || real_size > i64::MAX as u64 {
        return Err(Problem::Sparse);
    }
    Ok(())
}

fn write_sparse(
    tar: &mut Chunks,
    file: &OwnedFd,
    map: &[SparseEntry],
    real_size: u64,
    path: &[u8],
) -> Result<(), UnpackError> {
    for piece in map {
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(piece.offset))
            .called(|| format!("lseek({})", piece.offset))
            .map_err(|call| failed(path, call))?;
        tar.content(piece.length, |bytes| {
            write(file, bytes).map_err(|call| failed(path, call))
        })?;
    }
    rustix::fs::ftruncate(file, real_size)
        .called(|| format!("ftruncate({real_size})"))
        .map_err(|call| failed(path, call))
}

fn only_zeros(tar: &mut Chunks) -> Result<(), UnpackError> {
    loop {
        let position = tar.position();
        let rest = tar.peek(1);
        if rest.is_empty() {
            return Ok(());
        }
        if let Some(at) = rest.iter().position(|&b| b != 0) {
            return Err(UnpackError::TrailingGarbage {
                position: position + at as u64,
            });
        }
        let length = rest.len();
        tar.advance(length);
    }
}

/// Content is filled up to whole blocks.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % HEADER_SIZE as u64
}
