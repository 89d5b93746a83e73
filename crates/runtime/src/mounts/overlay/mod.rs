//! The copy-on-write root: an overlay of detached mounts, made by the parent.
//!
//! No layer is copied, chowned or attached in sight of anybody: each lower
//! layer is cloned, idmapped as the container's user namespace maps, and
//! handed to overlayfs. The machine's mount table never sees any of it.
//!
//! Since Linux 6.15 overlayfs takes layers that are attached nowhere
//! ([`Way::Detached`]). Before, a layer must be attached in the mount namespace
//! of who mounts the overlay: a short-lived process attaches them in one of
//! its own ([`Way::Attached`]).

mod attached;
mod detached;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use soute_sys::mount::{ATIME_MASK, MountAttr, NOATIME, NODEV, RDONLY, STRICTATIME, mount_setattr};
use soute_sys::{CallError, Called};

use crate::plan::{Layers, Upper};

/// An overlay as a detached mount: it is nowhere in any mount table, and ends with its last descriptor.
#[derive(Debug)]
pub struct Overlay {
    /// The mount, which is private.
    pub mount: OwnedFd,
    /// Dropping them waits: for an RCU grace period for each layer's clone (its mount ends), for the end of the process
    /// that attached them. The parent does that when nobody waits for it.
    layers: Vec<OwnedFd>,
    _helper: Option<attached::Helper>,
}

impl Overlay {
    /// Of an overlay that has got its place, what takes time to close.
    pub(crate) fn into_layers(self) -> Vec<OwnedFd> {
        self.layers
    }
}

/// How the layers are given to overlayfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As descriptors of detached mounts, by fsconfig(2): since Linux 6.15.
    Detached,
    /// By name, attached in a private mount namespace: since Linux 5.12, with idmapped layers since 5.19.
    Attached,
}

/// What an overlay is made of, each part open.
struct Parts {
    /// Clones of the lower layers, idmapped, the topmost first as overlayfs wants them.
    layers: Vec<OwnedFd>,
    /// Where changes go; without, nothing can be changed.
    changes: Option<Changes>,
    /// `MOUNT_ATTR_*` of the overlay.
    attributes: u64,
}

struct Changes {
    /// The folder with the folders [`UPPER`] and [`WORK`], which both are the container's root's.
    folder: OwnedFd,
    /// `folder` is a detached mount itself.
    memory: bool,
    upper: OwnedFd,
    work: OwnedFd,
    work_is_new: bool,
    volatile: bool,
}

/// The folder of the changes, beside that in which overlayfs works.
pub const UPPER: &str = "upper";
const WORK: &str = "work";

/// A container's root in the fastest way that the kernel knows. `userns` idmaps the lower layers; `root` (user and
/// group of the machine) owns the upper folder if it is new. The caller's umask must be 0, and it may have one thread
/// only.
///
/// # Errors
/// The call that failed. Where both ways failed it is the second, and says what the first met.
pub fn build(
    rootfs: &Layers,
    userns: Option<BorrowedFd<'_>>,
    root: (u32, u32),
) -> Result<Overlay, CallError> {
    Parts::of_root(rootfs, userns, root)?
        .in_either_way()
        .map_err(|error| explained(error, userns.is_some()))
}

/// A container's root in this way and no other; else as [`build`]. What tests compare, and benchmarks.
///
/// # Errors
/// The call that failed.
pub fn build_by(
    way: Way,
    rootfs: &Layers,
    userns: Option<BorrowedFd<'_>>,
    root: (u32, u32),
) -> Result<Overlay, CallError> {
    Parts::of_root(rootfs, userns, root)?
        .in_this_way(way)
        .map_err(|error| explained(error, userns.is_some()))
}

/// `layers` (lowest first) as one tree that cannot be changed, with the owners that they have on the disk, and nothing
/// else: to look into an image, not to run it. `attributes` are further `MOUNT_ATTR_*`. The caller may have one thread
/// only.
///
/// # Errors
/// The call that failed; EINVAL if there is no layer.
pub fn stack(layers: &[PathBuf], attributes: u64) -> Result<Overlay, CallError> {
    let parts = Parts::stacked(layers, attributes)?;
    match parts.layers.len() {
        1 => parts.one_layer(),
        _ => parts.in_either_way(),
    }
}

/// [`stack`] in this way and no other.
///
/// # Errors
/// The call that failed.
pub fn stack_by(way: Way, layers: &[PathBuf], attributes: u64) -> Result<Overlay, CallError> {
    Parts::stacked(layers, attributes)?.in_this_way(way)
}

/// The volatile overlay over `folder` has been unmounted in good order: what was changed is there, and another overlay
/// may be made of it.
///
/// # Errors
/// The call that failed.
pub fn end_volatile(folder: &Path) -> Result<(), CallError> {
    let work = folder.join(WORK);
    let work = rustix::fs::open(
        &work,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| format!("open(\"{}\", O_PATH)", work.display()))?;
    detached::clear_marks(work)
}

impl Parts {
    fn of_root(
        rootfs: &Layers,
        userns: Option<BorrowedFd<'_>>,
        root: (u32, u32),
    ) -> Result<Self, CallError> {
        Ok(Self {
            layers: clone_layers(&rootfs.lower, userns)?,
            changes: Some(Changes::open(&rootfs.upper, root)?),
            // A device node in an image is a file like any other.
            attributes: NODEV,
        })
    }

    fn stacked(layers: &[PathBuf], attributes: u64) -> Result<Self, CallError> {
        Ok(Self {
            layers: clone_layers(layers, None)?,
            changes: None,
            attributes: attributes | RDONLY | NODEV,
        })
    }

    fn in_either_way(self) -> Result<Overlay, CallError> {
        match detached::mount(&self) {
            Ok(mount) => Ok(self.done(mount, None)),
            Err(first) if detached::is_refusal(first.errno()) => {
                detached::undo(&self)?;
                self.in_this_way(Way::Attached).map_err(|second| {
                    let call = format!("{} (after {first})", second.call());
                    CallError::new(call, second.errno())
                })
            }
            Err(other) => Err(other),
        }
    }

    fn in_this_way(self, way: Way) -> Result<Overlay, CallError> {
        match way {
            Way::Detached => detached::mount(&self).map(|mount| self.done(mount, None)),
            Way::Attached => {
                attached::mount(&self).map(|(mount, helper)| self.done(mount, Some(helper)))
            }
        }
    }

    /// overlayfs refuses to have one layer and no other folder, and there is no need for it.
    fn one_layer(mut self) -> Result<Overlay, CallError> {
        let tree = self.layers.remove(0);
        set_attributes(&tree, self.attributes)?;
        Ok(self.done(tree, None))
    }

    fn done(self, mount: OwnedFd, helper: Option<attached::Helper>) -> Overlay {
        Overlay {
            mount,
            layers: self.layers,
            _helper: helper,
        }
    }
}

impl Changes {
    fn open(upper: &Upper, root: (u32, u32)) -> Result<Self, CallError> {
        let (folder, volatile) = open_upper(upper)?;
        let (upper_folder, _) = own_folder(&folder, UPPER, root)?;
        let (work, work_is_new) = own_folder(&folder, WORK, root)?;
        Ok(Self {
            folder,
            memory: matches!(upper, Upper::Memory),
            upper: upper_folder,
            work,
            work_is_new,
            volatile,
        })
    }
}

fn set_attributes(tree: &OwnedFd, attributes: u64) -> Result<(), CallError> {
    let access_time = attributes & (NOATIME | STRICTATIME) != 0;
    mount_setattr(
        tree,
        false,
        &MountAttr {
            set: attributes,
            clear: if access_time { ATIME_MASK } else { 0 },
            ..MountAttr::default()
        },
    )
}

/// Only the lower layers are idmapped: through an idmapped upper the mounter,
/// whose root is outside the map, could not create in `work`, and overlayfs
/// would silently become read-only.
fn clone_layers(
    layers: &[PathBuf],
    userns: Option<BorrowedFd<'_>>,
) -> Result<Vec<OwnedFd>, CallError> {
    // overlayfs wants the topmost layer first.
    layers
        .iter()
        .rev()
        .map(|layer| clone_layer(layer, userns))
        .collect()
}

/// A kernel that does not know idmapped layers says EINVAL, and why only in its log.
fn explained(error: CallError, idmapped: bool) -> CallError {
    if !idmapped || error.errno() != Errno::INVAL {
        return error;
    }
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    match predates_idmapped_layers(&release) {
        true => CallError::new(
            format!(
                "{}; overlayfs takes layers that a user namespace maps since Linux 5.19, and this is {release} \
                 (--userns host does without)",
                error.call()
            ),
            error.errno(),
        ),
        false => error,
    }
}

/// For a message only: what is done is decided by what the kernel answers.
fn predates_idmapped_layers(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (5, 19),
        _ => false,
    }
}

fn clone_layer(layer: &Path, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, CallError> {
    let tree = rustix::mount::open_tree(
        CWD,
        layer,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .called(|| format!("open_tree(\"{}\", CLONE)", layer.display()))?;
    if userns.is_some() {
        let idmap = MountAttr {
            idmap: userns,
            ..MountAttr::default()
        };
        mount_setattr(&tree, false, &idmap).map_err(|error| not_idmapped(layer, error))?;
    }
    Ok(tree)
}

fn not_idmapped(layer: &Path, error: CallError) -> CallError {
    let why = match error.errno() {
        Errno::INVAL => {
            "; its file system cannot be mapped into a user namespace (ext4, xfs and btrfs can): \
             move the engine's folder, or share the machine's ids by --userns host"
        }
        Errno::NOSYS => "; soute needs Linux 5.12 for it",
        _ => "",
    };
    CallError::new(
        format!("{} on the layer {}{why}", error.call(), layer.display()),
        error.errno(),
    )
}

fn open_upper(upper: &Upper) -> Result<(OwnedFd, bool), CallError> {
    match upper {
        Upper::Folder { path, volatile } => {
            let folder = rustix::fs::open(
                path,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .called(|| format!("open(\"{}\", O_PATH)", path.display()))?;
            Ok((folder, *volatile))
        }
        Upper::Memory => {
            let folder = super::new_filesystem("tmpfs", &[("mode", "0700")], 0)?;
            Ok((folder, false))
        }
    }
}

/// `name` below `folder`, made and given to the container's root if it is new; and whether it is.
fn own_folder(
    folder: impl AsFd,
    name: &str,
    (uid, gid): (u32, u32),
) -> Result<(OwnedFd, bool), CallError> {
    let made = match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(e) => return Err(CallError::new(format!("mkdirat(\"{name}\")"), e)),
    };
    if made && (uid, gid) != super::maker() {
        rustix::fs::chownat(
            &folder,
            name,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .called(|| format!("fchownat(\"{name}\", {uid}, {gid})"))?;
    }
    let opened = rustix::fs::openat(
        &folder,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| format!("openat(\"{name}\", O_PATH)"))?;
    Ok((opened, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_kernels_are_told_apart() {
        for old in ["5.10.0-30-amd64", "5.18.19", "4.19.0"] {
            assert!(predates_idmapped_layers(old), "{old}");
        }
        for new in ["5.19.0", "6.1.0-56-amd64", "6.18.44-fc-v669", "unheard-of"] {
            assert!(!predates_idmapped_layers(new), "{new}");
        }
    }

    #[test]
    fn only_an_idmapped_layer_is_blamed_on_the_kernel() {
        let error = CallError::new("mount(overlay)", Errno::NOSPC);
        assert_eq!(explained(error.clone(), true), error);
    }
}
