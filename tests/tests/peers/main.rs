//! Beside other engines on one machine: each has its own containers, and nobody takes anything of the other's.

// `--quick` leaves out what is in a module of this name.
#[path = "docker.rs"]
mod peers;
