//! What the drawings have in common: `soute network map`, `soute ns graph`.

pub mod interface;
pub mod svg;
