//! Interfaces that were carried into the container, and go back when it ends.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use soute_network::route::{Carried, Place};

use crate::error::Error;
use crate::networks::{Order, network_of};
use crate::places::Places;
use crate::record::write_json;

#[derive(Debug, Default)]
pub(super) struct Luggage {
    /// The container's own network, held from the first piece on: the kernel destroys an interface with its namespace.
    network: Option<OwnedFd>,
    pieces: Vec<Piece>,
}

/// An interface, and the network that it came from.
#[derive(Debug)]
struct Piece {
    carried: Carried,
    from: OwnedFd,
    told: String,
}

impl Luggage {
    /// Carries one into the container whose first process is `pid`, and writes down that it is here.
    pub(super) fn carry(
        &mut self,
        order: &[u8],
        places: &Places,
        id: &str,
        pid: i32,
    ) -> Result<(), Error> {
        let order: Order = serde_json::from_slice(order)
            .map_err(|e| Error::Impossible(format!("an order that cannot be read: {e}")))?;
        let network = match &mut self.network {
            Some(network) => network,
            none => {
                // The number is the container's as long as nobody but us waits for it.
                none.insert(network_of(pid)?)
            }
        };
        let (carried, from) = order.carry(network)?;
        self.pieces.push(Piece {
            carried,
            from,
            told: order.told,
        });
        let names: Vec<(&str, &str)> = self
            .pieces
            .iter()
            .map(|piece| (piece.carried.name(), piece.told.as_str()))
            .collect();
        write_json(&places.carried(id), &names, false)
    }

    /// Every descriptor that it has.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let from = self.pieces.iter().map(|piece| &piece.from);
        from.chain(&self.network).map(AsRawFd::as_raw_fd)
    }

    /// All go back to where they came from. Gives what did not.
    pub(super) fn back(&mut self) -> Option<String> {
        let network = self.network.take()?;
        let mut lost = Vec::new();
        // The last first: it may have come over another one.
        for piece in self.pieces.drain(..).rev() {
            let back = Place::new(piece.from.as_fd()).and_then(|mut here| {
                let mut there = Place::new(network.as_fd())?;
                piece.carried.back(&mut here, &mut there)
            });
            if let Err(e) = back {
                lost.push(format!(
                    "{} did not go back to {}: {e}",
                    piece.carried.name(),
                    piece.told
                ));
            }
        }
        (!lost.is_empty()).then(|| lost.join("; "))
    }
}
