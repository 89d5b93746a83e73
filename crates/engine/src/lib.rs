//! Request → image → root file system → plan → runtime → monitor.

pub mod request;
