//! The named parts of an archive or folder.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};
use tar_core::HEADER_SIZE;
use tar_core::parse::{ParseEvent, Parser};

use super::{LoadSource, spool};
use crate::store::Staging;
use crate::unpack::{Limits, describe};
use crate::{Compression, Error};

/// More parts than any image has.
const MOST_PARTS: usize = 100_000;
/// Links of an archive followed until a part is found.
const MOST_LINKS: usize = 8;
/// Bytes of headers read at a time.
const READ: usize = 64 << 10;
/// Longest chain of extended headers.
const METADATA: u32 = 64 << 10;

/// The parts of an archive, or of a folder.
pub(super) enum Parts {
    Folder(OwnedFd),
    Archive {
        file: File,
        index: HashMap<String, Entry>,
    },
}

/// Where a part is.
pub(super) enum Entry {
    Content {
        offset: u64,
        size: u64,
    },
    /// The name of another part.
    Link(String),
}

/// Reads part of a file without moving its position.
pub(super) struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..most], self.offset)?;
        if n == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// A part's content.
pub(super) enum Reader<'a> {
    Section(Section<'a>),
    File(File),
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Section(section) => section.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Parts {
    pub(super) fn open(
        source: LoadSource<'_>,
        staging: &Staging,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let file = match source {
            LoadSource::Reader(reader) => {
                return Self::index(spool::spool(reader, staging, limits)?, 0);
            }
            LoadSource::File(file) => file,
            LoadSource::Path(path) => {
                File::open(path).called(|| format!("open({path:?}, O_RDONLY)"))?
            }
        };
        let stat = rustix::fs::fstat(&file).called(|| "fstat(archive)".to_owned())?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Self::Folder(file.into())),
            FileType::RegularFile => {
                let start = rustix::fs::tell(&file).called(|| "lseek(archive)".to_owned())?;
                let mut magic = [0; 4];
                let n = file
                    .read_at(&mut magic, start)
                    .called(|| "pread(archive)".to_owned())?;
                match Compression::sniff(&magic[..n]) {
                    Compression::Plain => Self::index(file, start),
                    _ => Self::index(spool::spool(&mut &file, staging, limits)?, 0),
                }
            }
            _ => Self::index(spool::spool(&mut &file, staging, limits)?, 0),
        }
    }

    /// Finds the parts of the archive that begins at `start`.
    fn index(file: File, start: u64) -> Result<Self, Error> {
        let mut index = HashMap::new();
        let mut parser = Parser::new(tar_core::parse::Limits {
            max_metadata_size: METADATA,
            max_path_len: Some(4095),
            max_pending_entries: 4,
            max_sparse_entries: 0,
        });
        let bad = |position: u64, reason: &dyn std::fmt::Display| Error::Archive {
            reason: format!("not a valid tar archive at byte {position}: {reason}"),
        };
        let length = file
            .metadata()
            .called(|| "fstat(archive)".to_owned())?
            .len();
        let mut position = start;
        let mut need = HEADER_SIZE;
        let mut buffer = vec![0; READ];
        loop {
            if need > buffer.len() {
                buffer.resize(need, 0);
            }
            let filled = read_full_at(&file, &mut buffer, position)?;
            let (consumed, size) = match parser
                .parse(&buffer[..filled])
                .map_err(|e| bad(position, &describe(&e)))?
            {
                ParseEvent::NeedData { min_bytes } => {
                    if filled < min_bytes && filled < buffer.len() {
                        return Err(truncated(position));
                    }
                    need = min_bytes;
                    continue;
                }
                ParseEvent::End { .. } => break,
                ParseEvent::GlobalExtensions { consumed, .. } => (consumed, 0),
                ParseEvent::SparseEntry { .. } => {
                    return Err(bad(
                        position,
                        &"a sparse file has no place in an image archive",
                    ));
                }
                ParseEvent::Entry { consumed, entry } => {
                    let name = String::from_utf8_lossy(&entry.path);
                    let offset = position + consumed as u64;
                    let target = || entry.link_target_lossy().unwrap_or_default();
                    let part = match entry.header.as_old().linkflag[0] {
                        b'0' | 0 | b'7' => {
                            if offset
                                .checked_add(entry.size)
                                .is_none_or(|end| end > length)
                            {
                                return Err(truncated(offset));
                            }
                            Some(Entry::Content {
                                offset,
                                size: entry.size,
                            })
                        }
                        b'1' => Some(Entry::Link(normal("", &target()))),
                        b'2' => {
                            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                            Some(Entry::Link(normal(folder, &target())))
                        }
                        b'5' => None,
                        kind => {
                            let kind = char::from(kind);
                            return Err(bad(position, &format!("entry type {kind:?}")));
                        }
                    };
                    if let Some(part) = part {
                        index.insert(normal("", &name), part);
                    }
                    if index.len() > MOST_PARTS {
                        return Err(bad(position, &"it has too many entries"));
                    }
                    (consumed, entry.size)
                }
            };
            need = HEADER_SIZE;
            position = size
                .checked_next_multiple_of(HEADER_SIZE as u64)
                .and_then(|padded| position.checked_add(padded)?.checked_add(consumed as u64))
                .ok_or_else(|| bad(position, &"the size is out of range"))?;
        }
        Ok(Self::Archive { file, index })
    }

    /// The size of a part; `None`: there is no such part.
    pub(super) fn size(&self, name: &str) -> Result<Option<u64>, Error> {
        Ok(self.find(name)?.map(|(_, size)| size))
    }

    /// A part's content and size.
    pub(super) fn reader(&self, name: &str) -> Result<(Reader<'_>, u64), Error> {
        self.find(name)?.ok_or_else(|| Error::Archive {
            reason: format!("the part {name:?} is missing"),
        })
    }

    /// A part of at most `most` bytes.
    pub(super) fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, Error> {
        let (reader, size) = self.reader(name)?;
        if size > most {
            return Err(Error::Archive {
                reason: format!("the part {name:?} has {size} bytes, more than {most}"),
            });
        }
        let mut content = Vec::new();
        // A folder's file may grow while it is read.
        reader
            .take(most + 1)
            .read_to_end(&mut content)
            .map_err(|source| Error::Read {
                what: format!("part {name:?}"),
                source,
            })?;
        Ok(content)
    }

    fn find(&self, name: &str) -> Result<Option<(Reader<'_>, u64)>, Error> {
        match self {
            Self::Folder(folder) => {
                Ok(open_beneath(folder, name)?.map(|(file, size)| (Reader::File(file), size)))
            }
            Self::Archive { file, index } => {
                let mut name = normal("", name);
                for _ in 0..MOST_LINKS {
                    match index.get(&name) {
                        None => return Ok(None),
                        Some(Entry::Link(target)) => name.clone_from(target),
                        Some(&Entry::Content { offset, size }) => {
                            let section = Section {
                                file,
                                offset,
                                left: size,
                            };
                            return Ok(Some((Reader::Section(section), size)));
                        }
                    }
                }
                Err(Error::Archive {
                    reason: format!("the part {name:?} is a link to itself"),
                })
            }
        }
    }
}

/// A regular file below `folder`; links that lead out of it are refused.
fn open_beneath(folder: &OwnedFd, name: &str) -> Result<Option<(File, u64)>, CallError> {
    let opened = rustix::fs::openat2(
        folder.as_fd(),
        name,
        // A pipe in the place of a blob must not stop the load.
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    );
    let fd = match opened {
        Err(Errno::NOENT) => return Ok(None),
        other => other.called(|| format!("openat2({name:?}, RESOLVE_BENEATH)"))?,
    };
    let stat = rustix::fs::fstat(&fd).called(|| format!("fstat({name:?})"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(CallError::new(
            format!("openat2({name:?}) of no regular file"),
            Errno::INVAL,
        ));
    }
    Ok(Some((
        File::from(fd),
        u64::try_from(stat.st_size).unwrap_or(0),
    )))
}

fn truncated(position: u64) -> Error {
    Error::Archive {
        reason: format!("it is truncated at byte {position}"),
    }
}

fn read_full_at(file: &File, buffer: &mut [u8], position: u64) -> Result<usize, CallError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e).called(|| format!("pread(archive, {position})")),
        }
    }
    Ok(filled)
}

/// A name within the archive, by its text: `a/../b/./c` is `b/c`, and nothing is above the top.
fn normal(folder: &str, name: &str) -> String {
    let mut parts = Vec::new();
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
