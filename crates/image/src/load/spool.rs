//! What cannot be sought in becomes an unnamed file, uncompressed.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use soute_sys::{CallError, Called};
use tar_core::{HEADER_SIZE, Header};

use crate::store::Staging;
use crate::unpack::{Limits, describe};
use crate::{Compression, Error};

/// Bytes copied at a time.
const COPY: usize = 128 << 10;
/// Largest zstd window, as a power of two (see `unpack`).
const WINDOW_LOG: u32 = 25;

/// Copies `source` to its end, decompressing it.
pub(super) fn spool(
    source: &mut dyn Read,
    staging: &Staging,
    limits: &Limits,
) -> Result<File, Error> {
    let read = |source| Error::Read {
        what: "image archive".to_owned(),
        source,
    };
    let mut magic = Vec::with_capacity(4);
    (&mut *source)
        .take(4)
        .read_to_end(&mut magic)
        .map_err(read)?;
    let compression = Compression::sniff(&magic);
    let packed = Cell::new(0);
    let counted = Counted {
        source: magic.as_slice().chain(source),
        count: &packed,
    };
    let whole = BufReader::with_capacity(COPY, counted);
    let mut archive: Box<dyn Read + '_> = match compression {
        Compression::Plain => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole).map_err(read)?;
            decoder.window_log_max(WINDOW_LOG).map_err(read)?;
            Box::new(decoder)
        }
    };
    let mut file = staging.spool()?;
    let mut buffer = vec![0; COPY];
    let mut total = 0;
    loop {
        let n = match archive.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read(e)),
        };
        if total == 0 {
            check_start(&buffer[..n])?;
        }
        total += n as u64;
        if total > limits.unpacked {
            return Err(Error::Archive {
                reason: format!("it has more than {} bytes", limits.unpacked),
            });
        }
        if total > limits.ratio_from && total / limits.ratio > packed.get() {
            return Err(Error::Archive {
                reason: format!("it unpacks to more than {} times its size", limits.ratio),
            });
        }
        file.write_all(&buffer[..n])
            .called(|| "write(spool)".to_owned())
            .map_err(full)?;
    }
    Ok(file)
}

/// Counts the bytes that are read, for whoever has given the reader away.
struct Counted<'a, R> {
    source: R,
    count: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

/// Whatever is no tar archive need not be spooled to the end to know it.
fn check_start(start: &[u8]) -> Result<(), Error> {
    let Some(block) = start.first_chunk::<HEADER_SIZE>() else {
        return Ok(());
    };
    Header::from_bytes(block)
        .verify_checksum()
        .map_err(|e| Error::Archive {
            reason: format!("not a valid tar archive at byte 0: {}", describe(&e.into())),
        })
}

fn full(call: CallError) -> Error {
    match call.errno() {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => Error::Archive {
            reason: format!("no space left to keep it while it is read: {call}"),
        },
        _ => call.into(),
    }
}
