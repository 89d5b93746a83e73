//! One layer from the registry into the unpacking pipeline, through broken connections.
//!
//! The bytes are not kept: they go from the network through a bounded channel
//! to the thread that hashes and inflates. When a transfer breaks, the next
//! one goes on at the byte where it stopped, and the pipeline notices nothing.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender};

use super::client::{Registry, chain};
use crate::manifest::Blob;
use crate::{Error, LayerState, Progress};

/// Pieces on the way between the network and the pipeline; each is at most some tens of KiB.
pub(super) const IN_FLIGHT: usize = 16;
/// Attempts in a row that bring nothing.
const FRUITLESS: u32 = 5;
/// Attempts in all.
const ATTEMPTS: u32 = 20;
/// Before the second attempt; doubled with each that brings nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// What goes to the pipeline.
pub(super) enum Piece {
    Data(Bytes),
    /// All of it came. Without this, the end of the channel is not the end of the layer.
    End,
}

/// The pipeline's end of the channel.
pub(super) struct Incoming {
    receiver: Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(receiver: Receiver<Piece>) -> Self {
        Self {
            receiver,
            current: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::other("the transfer was given up")),
            }
        }
        let n = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}

/// Why a transfer ended early.
enum Broken {
    /// The pipeline wants no more: it has an error of its own.
    Unwanted,
    /// Worth another attempt.
    Again(Error),
    /// Not worth one.
    Final(Error),
}

/// Sends all of `blob`. That the pipeline stops listening is no error here: it tells why itself.
pub(super) async fn send(
    registry: &Registry,
    blob: &Blob,
    pieces: &Sender<Piece>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut offset = 0;
    let mut fruitless = 0;
    for attempt in 1..=ATTEMPTS {
        let before = offset;
        let error = match attempt_from(registry, blob, &mut offset, pieces).await {
            Ok(()) => {
                // Nobody listens any more if the pipeline failed at the last bytes.
                let _ = pieces.send(Piece::End).await;
                return Ok(());
            }
            Err(Broken::Unwanted) => return Ok(()),
            Err(Broken::Final(error)) => return Err(error),
            Err(Broken::Again(error)) => error,
        };
        fruitless = if offset > before { 0 } else { fruitless + 1 };
        if fruitless == FRUITLESS || attempt == ATTEMPTS {
            return Err(error);
        }
        progress.layer(
            &blob.digest,
            LayerState::Retrying {
                attempt,
                reason: &error.to_string(),
            },
        );
        tokio::time::sleep(PAUSE * 2_u32.pow(fruitless)).await;
    }
    Ok(())
}

async fn attempt_from(
    registry: &Registry,
    blob: &Blob,
    offset: &mut u64,
    pieces: &Sender<Piece>,
) -> Result<(), Broken> {
    let broken = |offset: u64, reason: String| Error::Registry {
        registry: registry.host.clone(),
        what: format!("layer {} at byte {offset} of {}", blob.digest, blob.size),
        reason,
    };
    if *offset == blob.size {
        return Ok(());
    }
    let mut incoming = registry.blob(blob, *offset).await.map_err(|error| {
        // A registry that is up and says no will say no again.
        match is_refusal(&error) {
            true => Broken::Final(error),
            false => Broken::Again(error),
        }
    })?;
    while let Some(piece) = incoming.stream.next().await {
        let mut piece = piece.map_err(|e| Broken::Again(broken(*offset, chain(&e))))?;
        let had = incoming.skip.min(piece.len() as u64);
        piece.advance(usize::try_from(had).unwrap_or(usize::MAX));
        incoming.skip -= had;
        let length = piece.len() as u64;
        if *offset + length > blob.size {
            return Err(Broken::Final(Error::WrongSize {
                what: "layer",
                digest: blob.digest,
                expected: blob.size,
                actual: *offset + length,
            }));
        }
        if length > 0 && pieces.send(Piece::Data(piece)).await.is_err() {
            return Err(Broken::Unwanted);
        }
        *offset += length;
    }
    if *offset < blob.size {
        return Err(Broken::Again(broken(
            *offset,
            "the connection ended".to_owned(),
        )));
    }
    Ok(())
}

/// Whether an answer came, and it was no.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::NotInRegistry { .. })
}
