//! What can go wrong with images, as types; what to do about it is said in the binary.

use std::io;

use soute_sys::CallError;

use crate::digest::Digest;
use crate::unpack::UnpackError;

/// What somebody else's code failed with.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An image could not be found, read, fetched, unpacked, kept or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that breaks the rules of references.
    #[error("image name {reference:?}: {reason}")]
    BadReference {
        /// As written.
        reference: String,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// Not `sha256:` and 64 hexadecimal digits.
    #[error("digest {digest:?}: {reason}")]
    BadDigest {
        /// As written.
        digest: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Not `os[/architecture[/variant]]`, or not for Linux.
    #[error("platform {platform:?}: {reason}")]
    BadPlatform {
        /// As written.
        platform: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// No image has this name or id.
    #[error("no such image: {name}")]
    NoSuchImage {
        /// As asked for.
        name: String,
    },
    /// An id prefix that several images share.
    #[error("image id {prefix} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// As asked for.
        prefix: String,
        /// The ids that begin so.
        candidates: Vec<String>,
    },
    /// Containers are made of the image.
    #[error("image {image} is used by {}", containers.join(", "))]
    InUse {
        /// As asked for.
        image: String,
        /// Names or ids of the containers.
        containers: Vec<String>,
    },
    /// It could not be found out which containers are made of the image, so that it stays.
    #[error("which containers image {image} is used by: {source}")]
    UsersUnknown {
        /// As asked for.
        image: String,
        /// Why.
        source: Cause,
    },
    /// Removal by id of an image that has several names, without force.
    #[error("image {image} has several names: {}", references.join(", "))]
    SeveralNames {
        /// As asked for.
        image: String,
        /// The names.
        references: Vec<String>,
    },
    /// A layer could not be unpacked.
    #[error("layer {layer}: {source}")]
    Layer {
        /// Digest or name of the layer.
        layer: String,
        /// Why.
        source: UnpackError,
    },
    /// Content that is not what its name says.
    #[error("{what} is {actual}, but {expected} was expected")]
    WrongDigest {
        /// `manifest`, `configuration`, `layer`, `uncompressed layer`.
        what: &'static str,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Content of another length than its descriptor says.
    #[error("{what} {digest} has {actual} bytes, but its descriptor says {expected}")]
    WrongSize {
        /// `manifest`, `configuration` or `layer`.
        what: &'static str,
        /// Which one.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// A manifest and a configuration that list different numbers of layers.
    #[error("image {image}: the manifest has {manifest} layers, the configuration {config}")]
    LayerCount {
        /// The image.
        image: Digest,
        /// Layers of the manifest.
        manifest: usize,
        /// DiffIDs of the configuration.
        config: usize,
    },
    /// A media type that is not known, or not one of a Linux container image.
    #[error("{what} has the unknown media type {media_type:?}")]
    UnknownMediaType {
        /// `layer`, `manifest`, `configuration`.
        what: &'static str,
        /// As found.
        media_type: String,
    },
    /// Text that is not the JSON it should be.
    #[error("{what}: {source}")]
    Json {
        /// Which document.
        what: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A configuration that no container can be made of.
    #[error("image {image}: {field}: {reason}")]
    BadConfig {
        /// Digest of the configuration.
        image: Digest,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An archive that is no image archive, or lacks a part.
    #[error("image archive: {reason}")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// Nothing for the wanted platform in an image index.
    #[error("{image}: nothing for {wanted}; there is {}", available.join(", "))]
    NoPlatform {
        /// Name or digest of the image.
        image: String,
        /// The wanted platform.
        wanted: String,
        /// The platforms that there are.
        available: Vec<String>,
    },
    /// `--change` of an import that is no known instruction.
    #[error("change {change:?}: {reason}")]
    BadChange {
        /// As written.
        change: String,
        /// What is wrong.
        reason: String,
    },
    /// Layers vanished between their being found and the image being recorded.
    #[error("layers were removed meanwhile: {}", layers.iter().map(Digest::short).collect::<Vec<_>>().join(", "))]
    LayersGone {
        /// DiffIDs.
        layers: Vec<Digest>,
    },
    /// A registry did not give what was asked for.
    #[error("registry {registry}: {what}: {reason}")]
    Registry {
        /// Host and port.
        registry: String,
        /// What was being done.
        what: String,
        /// The registry's or the network's answer.
        reason: String,
    },
    /// A registry that has no such image, or does not say so to everybody.
    #[error(
        "registry {registry} has no {reference}, or does not show it without other credentials: {reason}"
    )]
    NotInRegistry {
        /// Host and port.
        registry: String,
        /// What was asked for.
        reference: String,
        /// The registry's answer.
        reason: String,
    },
    /// A credentials file that cannot be used.
    #[error("credentials for {registry} in {path}: {reason}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Reading an archive failed.
    #[error("reading {what}: {source}")]
    Read {
        /// What was read.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A system call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}
