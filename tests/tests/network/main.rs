//! Networks of containers: bridges, addresses, names of their interfaces; one file per topic.

mod addresses;
mod manage;
mod wires;
