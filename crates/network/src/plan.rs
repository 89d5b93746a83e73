//! What a network is to be, worked out as data: nothing here asks the machine, or needs rights.
//!
//! - [`subnets`]: which subnet, so that it hides none that the machine reaches.
//! - [`addresses`]: which address of it.
//! - [`ports`]: what `-p` means.

pub mod addresses;
pub mod ports;
pub mod subnets;
