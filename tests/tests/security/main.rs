//! Attacks, played on the real binary.
//!
//! Each test is an attack of a hostile image or of a hostile process in a
//! container, most of them from published advisories, and names the line that
//! defends against it: take that out, and the test fails.
//! docs/threat-model.md lists them, with what is not defended.

#![allow(
    clippy::disallowed_methods,
    reason = "a test lays its files where nobody else knows of them"
)]

mod attack;
mod descriptors;
mod devices;
mod executable;
mod folders;
mod keyring;
mod links;
mod network;
mod passwd;
mod peeking;
mod privileges;
mod root;
mod setuid;
mod sysctls;
mod system_files;
mod terminal;
mod volumes;
mod working_directory;
