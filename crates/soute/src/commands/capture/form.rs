//! What packets look like: lines, or blocks of a file.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use soute_network::capture::pcapng::{self, Description, Statistics};
use soute_network::capture::{Interface, Packet, Tap, line};

use crate::output::visible;

/// How packets are written.
pub enum Form {
    /// A line each.
    Text(TimeZone),
    /// pcapng.
    File(Blocks),
}

/// A file's interfaces.
pub struct Blocks {
    snaplen: u32,
    filter: Option<String>,
    began: u64,
    /// The number in the file of each interface, and how many packets it had, by its number in its namespace.
    interfaces: BTreeMap<u32, (u32, u64)>,
    left_out: u64,
}

impl Form {
    /// With the time of day in the machine's time zone.
    pub fn text() -> Self {
        Self::Text(TimeZone::system())
    }

    /// Of at most so many bytes of a packet, from now on.
    pub fn file(snaplen: u32, filter: Option<String>, began: u64) -> Self {
        Self::File(Blocks {
            snaplen,
            filter,
            began,
            interfaces: BTreeMap::new(),
            left_out: 0,
        })
    }

    /// What stands before the first packet.
    pub fn begin(&mut self, tap: &Tap, out: &mut Vec<u8>) {
        if let Self::File(blocks) = self {
            pcapng::section(out, concat!("soute ", env!("CARGO_PKG_VERSION")));
            for interface in tap.interfaces() {
                blocks.describe(interface, out);
            }
        }
    }

    /// A packet; `false`: it has no place in this form.
    pub fn packet(&mut self, tap: &mut Tap, packet: &Packet, out: &mut Vec<u8>) -> Result<bool> {
        let interface = tap.interface(packet)?;
        match self {
            Self::Text(zone) => {
                let time = time(packet.time, zone);
                let (way, what) = (line::way(packet), line::describe(packet));
                let name = visible(&interface.name);
                writeln!(out, "{time} {name} {way:<3} {what}")?;
                Ok(true)
            }
            Self::File(blocks) => match blocks.describe(interface, out) {
                Some((number, packets)) => {
                    *packets += 1;
                    pcapng::packet(out, *number, packet);
                    Ok(true)
                }
                None => {
                    blocks.left_out += 1;
                    Ok(false)
                }
            },
        }
    }

    /// What stands behind the last packet.
    pub fn end(&self, dropped: u64, ended: u64, out: &mut Vec<u8>) {
        let Self::File(blocks) = self else { return };
        // The kernel counts for all interfaces together.
        let alone = blocks.interfaces.len() == 1 || dropped == 0;
        let comment =
            format!("of all interfaces together, {dropped} packets were dropped by the kernel");
        for (number, packets) in blocks.interfaces.values() {
            let statistics = Statistics {
                began: blocks.began,
                ended,
                delivered: *packets,
                dropped: alone.then_some(dropped),
                comment: (!alone).then_some(comment.as_str()),
            };
            pcapng::statistics(out, *number, &statistics);
        }
    }

    /// What has no place in this form, if there was something.
    pub fn left_out(&self) -> Option<String> {
        match self {
            Self::File(Blocks {
                left_out: left @ 1..,
                ..
            }) => Some(format!(
                "{left} packets are not in the file: their interfaces are of types that it has no number for"
            )),
            _ => None,
        }
    }
}

impl Blocks {
    /// The number in the file of an interface, which is described first if it is new, and how many packets it had. `None`:
    /// files have no such interfaces.
    fn describe(&mut self, interface: &Interface, out: &mut Vec<u8>) -> Option<&mut (u32, u64)> {
        let link_type = interface.hardware.link_type()?;
        let next = self.interfaces.len() as u32;
        Some(self.interfaces.entry(interface.index).or_insert_with(|| {
            let description = Description {
                name: &interface.name,
                link_type,
                snaplen: self.snaplen,
                filter: self.filter.as_deref(),
            };
            pcapng::interface(out, &description);
            (next, 0)
        }))
    }
}

/// The time of day, to the microsecond.
fn time(nanoseconds: u64, zone: &TimeZone) -> String {
    match Timestamp::from_nanosecond(nanoseconds.into()) {
        Ok(time) => {
            let time = time.to_zoned_datetime(zone.clone());
            time.strftime("%H:%M:%S%.6f").to_string()
        }
        Err(_) => format!("{nanoseconds}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let zone = TimeZone::UTC;
        assert_eq!(time(1_700_000_000_123_456_789, &zone), "22:13:20.123456");
        assert_eq!(time(5, &zone), "00:00:00.000000");
        assert_eq!(time(u64::MAX, &zone), "23:34:33.709551");
    }
}
