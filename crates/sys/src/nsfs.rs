//! nsfs
