//! Packets as they cross the interfaces of a network namespace.
//!
//! - [`Tap`]: a socket that hears them, filtered in the kernel.
//! - [`filter`]: what is wanted, in the words of pcap-filter(7), and the kernel's program for it.
//! - [`line`]: a packet as a line of text.
//! - [`pcapng`]: packets as a file that Wireshark opens.
//!
//! Whatever is in a packet is hostile: what reads it never fails, and says what it could not read.

pub mod filter;
pub mod line;
pub mod packet;
pub mod pcapng;
mod tap;

pub use filter::Filter;
pub use packet::{Direction, Hardware, Packet, Reception};
pub use tap::{Error, Heard, Interface, Tap};
