//! Why a layer was not unpacked.

use std::io;

use soute_sys::CallError;

/// A layer that cannot, or must not, be unpacked. Paths are those of the archive, lossily as text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The archive breaks the tar format.
    #[error("not a valid tar archive at byte {position}: {reason}")]
    Format {
        /// Offset in the uncompressed archive of the header concerned.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The archive stops in the middle, or before its end marker.
    #[error("the archive is truncated at byte {position}")]
    Truncated {
        /// Offset in the uncompressed archive.
        position: u64,
    },
    /// Something other than zeros follows the end of the archive.
    #[error("something other than zeros follows the end of the archive, at byte {position}")]
    TrailingGarbage {
        /// Offset in the uncompressed archive.
        position: u64,
    },
    /// An entry that must not be unpacked.
    #[error("entry {path:?}: {problem}")]
    Entry {
        /// Where.
        path: String,
        /// Why not.
        problem: Problem,
    },
    /// More than [`super::Limits`] allows.
    #[error("layer bomb? {what} exceeds the limit of {limit}")]
    Limit {
        /// What is too much.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The file system is full, or the quota exhausted.
    #[error("no space left while unpacking {path:?}: {call}")]
    NoSpace {
        /// Which entry was being unpacked.
        path: String,
        /// The system call that failed.
        call: CallError,
    },
    /// A system call failed on an entry.
    #[error("unpacking {path:?}: {call}")]
    Call {
        /// Which entry.
        path: String,
        /// The system call that failed.
        call: CallError,
    },
    /// The compressed data is not what its magic number promises.
    #[error("decompressing {compression}: {source}")]
    Decompress {
        /// `gzip`, `zstd`.
        compression: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The data is compressed otherwise than its media type says.
    #[error("the media type promises {promised}, but the data is {found}")]
    Compression {
        /// By the media type.
        promised: &'static str,
        /// By its first bytes.
        found: &'static str,
    },
    /// The archive could not be read.
    #[error("reading: {0}")]
    Read(io::Error),
    /// Preparing or finishing failed, outside any entry.
    #[error(transparent)]
    Setup(#[from] CallError),
}

/// Why an entry must not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// `a/../b`.
    #[error("the path has a component \"..\"")]
    DotDot,
    /// A NUL in a path or link target.
    #[error("the {0} has a NUL")]
    Nul(&'static str),
    /// A path component, or link target, that no file system takes.
    #[error("the {0} is too long")]
    TooLong(&'static str),
    /// Deeper than the limit.
    #[error("the path is too deep")]
    TooDeep,
    /// The root of the layer is something other than a folder.
    #[error("the root of a layer must be a folder")]
    RootNotFolder,
    /// A regular file whose name ends in a slash.
    #[error("a file's name ends in a slash")]
    FileWithSlash,
    /// An entry type that makes no sense in a layer.
    #[error("unknown entry type {0:?}")]
    Type(char),
    /// A link without a target.
    #[error("the link has no target")]
    NoTarget,
    /// A hard link whose target is not in the layer.
    #[error("the hard link's target {0:?} is not in this layer")]
    NoHardLinkTarget(String),
    /// A hard link to a folder or a whiteout.
    #[error("the hard link's target {0:?} is a {1}")]
    HardLinkTo(String, &'static str),
    /// An owner that does not fit 32 bits, or is the kernel's "no change".
    #[error("{0} {1} is not a valid id")]
    Id(&'static str, u64),
    /// A mode with bits other than permissions, set-id and sticky.
    #[error("mode {0:o} has unknown bits")]
    Mode(u32),
    /// A modification time that no clock shows.
    #[error("the modification time is out of range")]
    Time,
    /// A character device 0:0, which overlay takes for a whiteout.
    #[error("a character device 0:0 would be a whiteout")]
    FakeWhiteout,
    /// A device whose numbers are missing or do not fit.
    #[error("the device's numbers are missing or too large")]
    DeviceNumber,
    /// `.wh.` with nothing, `.` or `..` behind it, in the middle of a path, or of a form not specified.
    #[error("the whiteout is not valid: {0}")]
    Whiteout(&'static str),
    /// An extended attribute that an image may not have.
    #[error("extended attribute {0:?}: {1}")]
    Xattr(String, &'static str),
    /// A folder on the way is a file, or a link that leads nowhere.
    #[error("{0:?} is not a folder")]
    NotFolder(String),
    /// PAX and ustar headers that disagree: two readers would see two archives.
    #[error("the PAX header says {pax} bytes, the ustar header {ustar}")]
    SizeDisagreement {
        /// By the extended header.
        pax: u64,
        /// By the plain one.
        ustar: u64,
    },
    /// A size that is no number of bytes.
    #[error("the size is out of range")]
    Size,
    /// An extended header that breaks its format.
    #[error("the extended header is malformed: {0}")]
    Pax(String),
    /// A sparse file whose map contradicts itself.
    #[error("the sparse map is not valid")]
    Sparse,
    /// An entry that has content but must not.
    #[error("an entry of this type has no content")]
    Content,
}
