//! From plain tar to files: the half of the pipeline that writes.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use soute_sys::{CallError, Called};
use tar_core::parse::{ParseError, ParseEvent, Parser};
use tar_core::{HEADER_SIZE, HeaderError, SparseEntry};

use super::entry::{Entry, Kind, lossy};
use super::folders::EnterError;
use super::place::Layer;
use super::stream::Chunks;
use super::{Limits, Problem, UnpackError, pax};

/// Longest chain of extended headers, bytes.
const METADATA: u32 = 1 << 20;
/// Longest map of a sparse file, entries.
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
    layer: Layer<'a>,
    limits: &'a Limits,
    entries: u64,
    size: u64,
}

impl<'a> Extractor<'a> {
    /// Writes below `root`, an empty folder; `aside` is a folder on the same file system.
    pub(super) fn new(
        root: OwnedFd,
        aside: BorrowedFd<'a>,
        limits: &'a Limits,
    ) -> Result<Self, CallError> {
        Ok(Self {
            layer: Layer::new(root, aside)?,
            limits,
            entries: 0,
            size: 0,
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
                match parser.parse(input).map_err(|e| malformed(describe(&e)))? {
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
            if let Some(file) = self.layer.make(&entry).map_err(|e| e.at(&path))? {
                match &sparse {
                    None => tar.content(stored, |piece| {
                        write(&file, piece).map_err(|call| failed(&path, call))
                    })?,
                    Some((map, real_size)) => write_sparse(tar, &file, map, *real_size, &path)?,
                }
                self.layer
                    .finish_file(&file, &entry)
                    .map_err(|call| failed(&path, call))?;
            }
            tar.content(padding(stored), |_| Ok(()))?;
        }
        self.layer.finish()?;
        Ok(Extracted {
            size: self.size,
            opaque_root: self.layer.opaque_root,
        })
    }

    fn count(&mut self, size: u64) -> Result<(), UnpackError> {
        self.entries += 1;
        // A short entry can imply hundreds of folders.
        if self.entries + self.layer.implied() > self.limits.entries {
            return Err(UnpackError::Limit {
                what: "the number of entries",
                limit: self.limits.entries,
            });
        }
        self.size = self.size.saturating_add(size);
        if self.size > self.limits.unpacked {
            return Err(UnpackError::Limit {
                what: "the size of all files",
                limit: self.limits.unpacked,
            });
        }
        Ok(())
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

/// In words that need no knowledge of the parser.
pub(crate) fn describe(error: &ParseError) -> String {
    match error {
        ParseError::Header(HeaderError::ChecksumMismatch { .. }) => {
            "a header's checksum is wrong".to_owned()
        }
        ParseError::Header(HeaderError::InvalidOctal(_)) => {
            "a header's number is not octal".to_owned()
        }
        other => other.to_string(),
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
