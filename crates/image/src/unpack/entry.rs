//! What an archive's entry means, decided before anything is touched.
//!
//! Pure: from a parsed header to an [`Entry`] whose paths cannot leave the
//! layer by their text alone. What symbolic links do is the business of
//! [`super::folders`].

use rustix::fs::{Dev, Timespec, makedev};
use tar_core::parse::ParsedEntry;

use super::pax::Pax;
use super::{Limits, Problem, xattr};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Largest size that a ustar header can tell in octal; only beyond it may the extended header differ.
const LARGEST_USTAR: u64 = 0o77_777_777_777;
const PERMISSIONS: u32 = 0o7777;
const TYPE_BITS: u32 = 0o170_000;
const LONGEST_NAME: usize = 255;

/// One entry, valid in itself.
pub(super) struct Entry {
    /// The folder it is in, `a/b`; empty: the root of the layer.
    pub(super) parent: Vec<u8>,
    /// Its name; empty: it is the root of the layer.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Permissions, set-id and sticky bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timespec,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

/// What an entry makes.
pub(super) enum Kind {
    Folder,
    /// Content bytes follow.
    File,
    Symlink(Vec<u8>),
    /// The path of the target within the layer, as parent and name.
    HardLink(Vec<u8>, Vec<u8>),
    Device {
        block: bool,
        number: Dev,
    },
    Fifo,
    /// `name` is the name that is taken away.
    Whiteout,
    /// `parent` hides what is below it.
    Opaque,
}

impl Entry {
    pub(super) fn new(parsed: &ParsedEntry<'_>, limits: &Limits) -> Result<Self, Problem> {
        let mut pax = Pax::parse(parsed.pax.unwrap_or_default()).map_err(Problem::Pax)?;
        check_size(parsed, &pax)?;
        let path = components(&parsed.path, limits)?;
        let (mut name, parent) = match path.split_last() {
            Some((name, parent)) => (*name, parent),
            None => (&b""[..], &path[..]),
        };
        if parent.iter().any(|part| part.starts_with(WHITEOUT)) {
            return Err(Problem::Whiteout("a folder's name begins with .wh."));
        }
        let mut kind = kind(parsed, limits)?;
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let is_file = matches!(kind, Kind::File) && parsed.size == 0;
            kind = whiteout(name, hidden, is_file)?;
            name = hidden;
        }
        if name.is_empty() && !matches!(kind, Kind::Folder | Kind::Opaque) {
            return Err(Problem::RootNotFolder);
        }
        if !matches!(kind, Kind::File) && parsed.size != 0 {
            return Err(Problem::Content);
        }
        // A second name of a file that has its attributes already: some writers repeat them.
        if matches!(kind, Kind::HardLink(..)) {
            pax.xattrs.clear();
        }
        if !pax.xattrs.is_empty() && !matches!(kind, Kind::File | Kind::Folder) {
            let name = pax.xattrs[0].0.to_owned();
            return Err(Problem::Xattr(name, "only files and folders may have any"));
        }
        for (name, value) in &pax.xattrs {
            xattr::check(name, value)?;
        }
        Ok(Self {
            parent: parent.join(&b'/'),
            name: name.to_vec(),
            kind,
            mode: mode(parsed.mode)?,
            uid: id("user", parsed.uid)?,
            gid: id("group", parsed.gid)?,
            mtime: mtime(parsed, &pax)?,
            xattrs: pax
                .xattrs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
        })
    }
}

fn kind(parsed: &ParsedEntry<'_>, limits: &Limits) -> Result<Kind, Problem> {
    let slash = parsed.path.ends_with(b"/");
    let flag = parsed.header.as_old().linkflag[0];
    Ok(match flag {
        // Before POSIX a folder was a file whose name ends in a slash.
        0 if slash => Kind::Folder,
        b'0' | 0 | b'7' | b'S' if slash => return Err(Problem::FileWithSlash),
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => {
            let target = target(parsed, limits)?;
            let path = components(target, limits)?;
            let Some((name, parent)) = path.split_last() else {
                return Err(Problem::HardLinkTo("/".to_owned(), "folder"));
            };
            if path.iter().any(|part| part.starts_with(WHITEOUT)) {
                return Err(Problem::HardLinkTo(lossy(target), "whiteout"));
            }
            Kind::HardLink(parent.join(&b'/'), name.to_vec())
        }
        b'2' => Kind::Symlink(target(parsed, limits)?.to_vec()),
        b'3' | b'4' => {
            let (Some(major), Some(minor)) = (parsed.dev_major, parsed.dev_minor) else {
                return Err(Problem::DeviceNumber);
            };
            // What the kernel's dev_t holds: 12 bits of major, 20 of minor.
            if major > 0xfff || minor > 0xf_ffff {
                return Err(Problem::DeviceNumber);
            }
            if (flag, major, minor) == (b'3', 0, 0) {
                return Err(Problem::FakeWhiteout);
            }
            Kind::Device {
                block: flag == b'4',
                number: makedev(major, minor),
            }
        }
        b'5' => Kind::Folder,
        b'6' => Kind::Fifo,
        other => return Err(Problem::Type(char::from(other))),
    })
}

fn target<'a>(parsed: &'a ParsedEntry<'_>, limits: &Limits) -> Result<&'a [u8], Problem> {
    let target = parsed.link_target.as_deref().ok_or(Problem::NoTarget)?;
    if target.contains(&0) {
        return Err(Problem::Nul("link target"));
    }
    if target.len() > limits.path {
        return Err(Problem::TooLong("link target"));
    }
    Ok(target)
}

/// Only `.wh.NAME` and `.wh..wh..opq` exist (OCI image-spec, layer.md, "Whiteouts").
fn whiteout(name: &[u8], hidden: &[u8], is_file: bool) -> Result<Kind, Problem> {
    match hidden {
        _ if !is_file => Err(Problem::Whiteout("it is not an empty regular file")),
        _ if name == OPAQUE => Ok(Kind::Opaque),
        b"" => Err(Problem::Whiteout("it names nothing")),
        b"." | b".." => Err(Problem::Whiteout(
            "it names the folder itself or its parent",
        )),
        _ if hidden.starts_with(WHITEOUT) => Err(Problem::Whiteout("it names a whiteout")),
        _ => Ok(Kind::Whiteout),
    }
}

/// The names that a path is made of; none: the layer's root. A slash at the beginning means that root,
/// as other engines take it: some builders (Nix) write all paths so.
fn components<'a>(path: &'a [u8], limits: &Limits) -> Result<Vec<&'a [u8]>, Problem> {
    if path.contains(&0) {
        return Err(Problem::Nul("path"));
    }
    if path.len() > limits.path {
        return Err(Problem::TooLong("path"));
    }
    let parts: Vec<&[u8]> = path
        .split(|&b| b == b'/')
        .filter(|&part| !matches!(part, b"" | b"."))
        .collect();
    if parts.contains(&&b".."[..]) {
        return Err(Problem::DotDot);
    }
    if parts.iter().any(|part| part.len() > LONGEST_NAME) {
        return Err(Problem::TooLong("path component"));
    }
    if parts.len() > limits.depth {
        return Err(Problem::TooDeep);
    }
    Ok(parts)
}

/// A PAX size overrides ustar's. A reader that overlooks it would take file
/// content for headers (CVE-2025-62518): they must agree wherever ustar can
/// tell the size at all.
fn check_size(parsed: &ParsedEntry<'_>, pax: &Pax<'_>) -> Result<(), Problem> {
    let field = &parsed.header.as_old().size;
    // Base-256: twelve bytes, of which `tar-core` would silently drop the upper four.
    if field[0] & 0x80 != 0 && (field[0] != 0x80 || field[1..4] != [0; 3]) {
        return Err(Problem::Size);
    }
    let ustar = parsed.header.entry_size().map_err(|_| Problem::Size)?;
    match pax.size {
        Some(pax) if pax != ustar && pax <= LARGEST_USTAR => {
            Err(Problem::SizeDisagreement { pax, ustar })
        }
        _ if parsed.size > i64::MAX as u64 - 512 => Err(Problem::Size),
        _ => Ok(()),
    }
}

/// Some writers put the file type's bits in; they say nothing new.
fn mode(mode: u32) -> Result<u32, Problem> {
    if mode & !(PERMISSIONS | TYPE_BITS) != 0 {
        return Err(Problem::Mode(mode));
    }
    Ok(mode & PERMISSIONS)
}

/// 2^32 - 1 is what chown(2) takes for "no change".
fn id(whose: &'static str, id: u64) -> Result<u32, Problem> {
    match u32::try_from(id) {
        Ok(u32::MAX) | Err(_) => Err(Problem::Id(whose, id)),
        Ok(id) => Ok(id),
    }
}

fn mtime(parsed: &ParsedEntry<'_>, pax: &Pax<'_>) -> Result<Timespec, Problem> {
    let (tv_sec, tv_nsec) = match pax.mtime {
        Some(time) => time,
        None => (seconds(&parsed.header.as_old().mtime, parsed.mtime)?, 0),
    };
    Ok(Timespec { tv_sec, tv_nsec })
}

/// Base-256 times may be negative (two's complement), which `tar-core` does not tell.
fn seconds(field: &[u8; 12], octal: u64) -> Result<i64, Problem> {
    if field[0] & 0x80 == 0 {
        return i64::try_from(octal).map_err(|_| Problem::Time);
    }
    let (high, low) = field.split_at(4);
    let low = i64::from_be_bytes(low.try_into().map_err(|_| Problem::Time)?);
    match (high, low) {
        ([0x80, 0, 0, 0], 0..) | ([0xff, 0xff, 0xff, 0xff], ..0) => Ok(low),
        _ => Err(Problem::Time),
    }
}

pub(super) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
