//! What the kernel tells of a namespace by its descriptor (ioctl_nsfs(2)).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called, nsfs};

use crate::proc::namespace_id;
use crate::{Error, Kind, NamespaceId, Relation};

/// A namespace that was asked for, with a descriptor of it where there is one.
#[derive(Debug)]
pub enum Related {
    /// There is such a namespace, in sight.
    Is(NamespaceId, OwnedFd),
    /// See [`Relation`].
    None,
    /// See [`Relation`].
    OutOfSight,
    /// The kernel cannot be asked (before Linux 4.9).
    Unknown,
}

impl Related {
    /// Without the descriptor.
    pub fn relation(&self) -> Relation {
        match self {
            Self::Is(id, _) => Relation::Is(*id),
            Self::None => Relation::None,
            Self::OutOfSight => Relation::OutOfSight,
            Self::Unknown => Relation::Unknown,
        }
    }
}

/// The identity of the namespace behind a descriptor.
pub fn identity(namespace: impl AsFd) -> Result<NamespaceId, Error> {
    let stat = rustix::fs::fstat(&namespace).called(|| "fstat(namespace)".to_owned())?;
    Ok(namespace_id(&stat))
}

/// The user namespace that owns the namespace `id` of `kind`; of a user namespace, its parent.
pub fn owner(namespace: impl AsFd, kind: Kind, id: NamespaceId) -> Result<Related, Error> {
    related(nsfs::owner(namespace), kind == Kind::User, kind, id)
}

/// The parent of the namespace `id` of `kind`.
pub fn parent(namespace: impl AsFd, kind: Kind, id: NamespaceId) -> Result<Related, Error> {
    if !kind.is_hierarchical() {
        return Ok(Related::None);
    }
    related(nsfs::parent(namespace), true, kind, id)
}

fn related(
    answer: Result<OwnedFd, CallError>,
    initial_has_none: bool,
    kind: Kind,
    id: NamespaceId,
) -> Result<Related, Error> {
    match answer {
        Ok(fd) => Ok(Related::Is(identity(&fd)?, fd)),
        Err(error) => match error.errno() {
            // The initial namespace and one whose parent is out of sight get the same answer.
            Errno::PERM if initial_has_none && id.inode == kind.initial_inode() => {
                Ok(Related::None)
            }
            Errno::PERM => Ok(Related::OutOfSight),
            Errno::NOTTY => Ok(Related::Unknown),
            _ => Err(Error::Call(error)),
        },
    }
}

/// Who made a user namespace, as numbered here; `None` on kernels before 4.11.
pub fn owner_uid(namespace: impl AsFd) -> Result<Option<u32>, Error> {
    match nsfs::owner_uid(namespace) {
        Ok(uid) => Ok(Some(uid)),
        Err(error) if error.errno() == Errno::NOTTY => Ok(None),
        Err(error) => Err(Error::Call(error)),
    }
}

/// Opens the namespace's file at `path`: a link in /proc/PID/ns, or a bind mount of one.
///
/// # Errors
/// [`Error::NotANamespace`], [`Error::UnknownKind`], or what open(2) said.
pub fn open(path: &Path) -> Result<(Kind, NamespaceId, OwnedFd), Error> {
    // A path descriptor first: opening whatever is there could block (a FIFO) or act (a device).
    let call = || format!("open({path:?}, O_PATH)");
    let found =
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).called(call)?;
    let namespace = reopen(&found)?.ok_or_else(|| Error::NotANamespace(path.to_owned()))?;
    let flag = nsfs::clone_flag(&namespace)?;
    let kind = Kind::of_clone_flag(flag).ok_or_else(|| Error::UnknownKind {
        path: path.to_owned(),
        flag,
    })?;
    let id = identity(&namespace)?;
    Ok((kind, id, namespace))
}

/// Opens the namespace's file that `found`, a path descriptor, is of; `None`: it is no namespace's.
pub(crate) fn reopen(found: &OwnedFd) -> Result<Option<OwnedFd>, Error> {
    use std::os::fd::AsRawFd;
    let kind = rustix::fs::fstatfs(found).called(|| "fstatfs(namespace)".to_owned())?;
    if i128::from(kind.f_type) != i128::from(nsfs::MAGIC) {
        return Ok(None);
    }
    let own = format!("/proc/self/fd/{}", found.as_raw_fd());
    let opened = rustix::fs::open(&own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(Some(opened.called(|| format!("open({own})"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo\n");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RWXU).unwrap();
        // Would block for ever if it were opened.
        let error = open(&fifo).unwrap_err();
        assert!(matches!(error, Error::NotANamespace(_)), "{error}");
        assert!(
            error.to_string().ends_with("fifo\\n is not a namespace"),
            "{error}"
        );
        let error = open(&folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn own_namespaces_are_opened_and_related() {
        let (kind, user, _) = open(Path::new("/proc/self/ns/user")).unwrap();
        assert_eq!(kind, Kind::User);
        let (kind, id, net) = open(Path::new("/proc/self/ns/net")).unwrap();
        assert_eq!(kind, Kind::Net);
        assert_eq!(parent(&net, kind, id).unwrap().relation(), Relation::None);
        // Where the network namespace is shared with the machine and the user namespace is not, its owner is out of sight.
        let owner = owner(&net, kind, id).unwrap().relation();
        assert!(
            owner == Relation::Is(user) || owner == Relation::OutOfSight,
            "{owner:?}"
        );
    }
}
