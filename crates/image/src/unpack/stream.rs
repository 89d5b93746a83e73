//! From compressed bytes to buffers of plain tar: the half of the pipeline that reads.
//!
//! Hashing and inflating take about as long as the file system work, so they
//! run beside it. The buffers go round: a handful of them bounds the memory,
//! whatever the layer's size.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use flate2::bufread::MultiGzDecoder;

use super::{Limits, UnpackError};
use crate::Compression;
use crate::digest::{Digest, Hasher};

/// Bytes per buffer.
const CHUNK: usize = 256 << 10;
/// Buffers under way; two more are at the ends.
pub(super) const IN_FLIGHT: usize = 6;
/// Bytes of compressed data read at a time.
const READ: usize = 128 << 10;
/// Largest zstd window, as a power of two. `zstd -19` uses 23; the format's
/// limit of 31 would let a layer claim 2 GiB of memory.
const WINDOW_LOG: u32 = 25;

/// What was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fed {
    pub(super) blob: Digest,
    pub(super) blob_size: u64,
    pub(super) diff_id: Digest,
    pub(super) tar_size: u64,
}

/// Reads `source` to its end and sends it on, decompressed. `None`: the other end had enough, and knows why.
pub(super) fn feed(
    source: impl Read,
    promised: Option<Compression>,
    limits: &Limits,
    full: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Fed>, UnpackError> {
    let mut decoder = Decoder::new(source, promised)?;
    let mut hasher = Hasher::default();
    let mut tar_size = 0;
    loop {
        let mut buffer = empty.try_recv().unwrap_or_default();
        buffer.resize(CHUNK, 0);
        let filled = decoder.fill(&mut buffer, tar_size)?;
        buffer.truncate(filled);
        hasher.update(&buffer);
        tar_size += filled as u64;
        let blob_size = decoder.source().count;
        progress(blob_size);
        if tar_size > limits.ratio_from && tar_size / limits.ratio > blob_size {
            return Err(UnpackError::Limit {
                what: "the ratio of uncompressed to compressed size",
                limit: limits.ratio,
            });
        }
        let end = filled < CHUNK;
        if filled > 0 && full.send(buffer).is_err() {
            return Ok(None);
        }
        if end {
            let diff_id = hasher.finish();
            let source = decoder.into_source();
            return Ok(Some(Fed {
                blob: source.hasher.map_or(diff_id, Hasher::finish),
                blob_size: source.count,
                diff_id,
                tar_size,
            }));
        }
    }
}

/// The compressed bytes, counted and hashed on the way.
struct Source<R> {
    inner: R,
    /// `None` for a plain tar, which is hashed once.
    hasher: Option<Hasher>,
    count: u64,
}

/// Marks an error as the source's, so that it is not blamed on the compression.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SourceFailed(io::Error);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = loop {
            match self.inner.read(buffer) {
                Ok(n) => break n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io::Error::other(SourceFailed(e))),
            }
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..n]);
        }
        self.count += n as u64;
        Ok(n)
    }
}

/// The source with its first bytes, which told the compression, put back.
type Sniffed<R> = io::Chain<Cursor<Vec<u8>>, Source<R>>;

enum Decoder<R: Read> {
    Plain(Sniffed<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Sniffed<R>>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Sniffed<R>>>),
}

impl<R: Read> Decoder<R> {
    fn new(inner: R, promised: Option<Compression>) -> Result<Self, UnpackError> {
        let mut source = Source {
            inner,
            hasher: Some(Hasher::default()),
            count: 0,
        };
        let mut start = Vec::with_capacity(4);
        (&mut source)
            .take(4)
            .read_to_end(&mut start)
            .map_err(|e| explain(e, Compression::Plain, 0))?;
        let found = Compression::sniff(&start);
        if let Some(promised) = promised.filter(|&promised| promised != found) {
            return Err(UnpackError::Compression {
                promised: promised.name(),
                found: found.name(),
            });
        }
        if found == Compression::Plain {
            source.hasher = None;
        }
        let sniffed = Cursor::new(start).chain(source);
        Ok(match found {
            Compression::Plain => Self::Plain(sniffed),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(
                BufReader::with_capacity(READ, sniffed),
            ))),
            Compression::Zstd => {
                let reader = BufReader::with_capacity(READ, sniffed);
                let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)
                    .map_err(|e| explain(e, found, 0))?;
                decoder
                    .window_log_max(WINDOW_LOG)
                    .map_err(|e| explain(e, found, 0))?;
                Self::Zstd(decoder)
            }
        })
    }

    fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::Plain,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    fn source(&self) -> &Source<R> {
        match self {
            Self::Plain(sniffed) => sniffed.get_ref().1,
            Self::Gzip(decoder) => decoder.get_ref().get_ref().get_ref().1,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().get_ref().1,
        }
    }

    fn into_source(self) -> Source<R> {
        match self {
            Self::Plain(sniffed) => sniffed.into_inner().1,
            Self::Gzip(decoder) => decoder.into_inner().into_inner().into_inner().1,
            Self::Zstd(decoder) => decoder.finish().into_inner().into_inner().1,
        }
    }

    /// Fills `buffer`; less than all of it only at the end.
    fn fill(&mut self, buffer: &mut [u8], position: u64) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            let read = match self {
                Self::Plain(reader) => reader.read(rest),
                Self::Gzip(reader) => reader.read(rest),
                Self::Zstd(reader) => reader.read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) => return Err(explain(e, self.compression(), position + filled as u64)),
            }
        }
        Ok(filled)
    }
}

fn explain(error: io::Error, compression: Compression, position: u64) -> UnpackError {
    if error.get_ref().is_some_and(|e| e.is::<SourceFailed>()) {
        return match error.into_inner().map(|e| e.downcast::<SourceFailed>()) {
            Some(Ok(failed)) => UnpackError::Read(failed.0),
            _ => UnpackError::Read(io::ErrorKind::Other.into()),
        };
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return UnpackError::Truncated { position };
    }
    UnpackError::Decompress {
        compression: compression.name(),
        source: error,
    }
}

/// The uncompressed tar as the extracting half sees it.
pub(super) struct Chunks {
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    position: u64,
}

impl Chunks {
    pub(super) fn new(full: Receiver<Vec<u8>>, empty: Sender<Vec<u8>>) -> Self {
        Self {
            full,
            empty,
            chunk: Vec::new(),
            at: 0,
            position: 0,
        }
    }

    /// Offset in the uncompressed tar.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What comes next: at least `least` bytes, fewer only at the end.
    pub(super) fn peek(&mut self, least: usize) -> &[u8] {
        while self.chunk.len() - self.at < least {
            let Ok(next) = self.full.recv() else { break };
            let used = if self.at == self.chunk.len() {
                std::mem::replace(&mut self.chunk, next)
            } else {
                self.chunk.drain(..self.at);
                self.chunk.extend_from_slice(&next);
                next
            };
            self.at = 0;
            // The reader may have finished and gone; then nobody needs the buffer.
            let _ = self.empty.send(used);
        }
        &self.chunk[self.at..]
    }

    /// Goes on by `n` bytes, which must have been peeked at.
    pub(super) fn advance(&mut self, n: usize) {
        self.at += n;
        self.position += n as u64;
    }

    /// Hands the next `length` bytes to `sink` piece by piece.
    pub(super) fn content(
        &mut self,
        mut length: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        while length > 0 {
            let next = self.peek(1);
            let piece = next
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            if piece == 0 {
                return Err(UnpackError::Truncated {
                    position: self.position,
                });
            }
            sink(&next[..piece])?;
            self.advance(piece);
            length -= piece as u64;
        }
        Ok(())
    }
}
