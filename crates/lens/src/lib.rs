//! What the kernel shows: the namespaces of the machine, and its processes at every level.
//!
//! Reads any process that the caller may see, container or not, and knows
//! nothing of the engine. From the bottom up:
//!
//! - [`Kind`]: what the kernel fixes about each kind of namespace.
//! - [`proc`]: /proc, and parsers of the text in it.
//! - [`Namespace`]: what is known of one, as pure data.
//! - [`relations`]: what a namespace's descriptor tells: its owner, its parent.
//! - [`Container`]: containers of any engine, recognised by their cgroups and by who looks after them.
//! - [`Discovery`]: all namespaces, from processes, threads, bind mounts, descriptors, and each other.
//! - [`Machine`]: which of them are the machine's initial ones; [`sharing`]: whose the others are.
//! - [`wiring`]: the links of every network namespace, and what is tied to what between them; who has which socket.
//! - [`view`]: the tables that `soute ns` shows, as data and as text.
//!
//! Nothing is locked while one looks: processes come and go meanwhile. What
//! has gone is left out; what is hidden from the caller is counted.

mod capabilities;
mod cgroups;
mod containers;
mod discover;
mod error;
mod kind;
mod machine;
mod namespace;
pub mod proc;
mod process;
pub mod relations;
pub mod sharing;
pub mod text;
pub mod view;
pub mod wiring;

pub use capabilities::CapabilitySet;
pub use containers::{Container, Maker};
pub use discover::{Discovery, Scope};
pub use error::Error;
pub use kind::{Kind, UnknownKind};
pub use machine::{Basis, Machine};
pub use namespace::{Bound, Descriptor, Namespace, NamespaceId, Relation, Thread};
pub use process::{IdMaps, Process};
