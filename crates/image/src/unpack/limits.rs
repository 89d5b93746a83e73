//! How much one layer may ask of the machine.

/// Bounds on one layer; what exceeds them is refused while it is being unpacked.
///
/// The defaults let every sane image through. They are there for the others:
/// a kilobyte of zstd can unpack to a terabyte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders, links, whiteouts.
    pub entries: u64,
    /// Sum of the sizes of all files, bytes; the holes of sparse files count.
    pub unpacked: u64,
    /// Longest path and longest link target, bytes.
    pub path: usize,
    /// Deepest path, in components.
    pub depth: usize,
    /// Largest uncompressed size per byte of compressed size…
    pub ratio: u64,
    /// … looked at only once this many bytes are uncompressed: small archives may compress well.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            unpacked: 256 << 30,
            path: 4095,
            depth: 512,
            ratio: 300,
            ratio_from: 1 << 30,
        }
    }
}
