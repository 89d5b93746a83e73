//! Folders and files of the machine that a container gets to see.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::thread::LinkNameSpaceType;
use soute_sys::mount::{MountAttr, mount_setattr};
use soute_sys::process::{Cloned, exit_now, fork};
use soute_sys::{CallError, Called};

use super::mask;
use super::root::Links;
use crate::plan::{Idmap, Mount, MountSource};
use crate::process::channel::Channel;
use crate::process::wait::reap;

/// Clones the source of a bind as a detached mount; done by the parent, on the machine's side.
pub(crate) fn open(mount: &Mount, neighbour: Option<&OwnedFd>) -> Result<OwnedFd, CallError> {
    if let MountSource::Neighbours { path } = &mount.source {
        let neighbour = neighbour
            .ok_or_else(|| CallError::new("the other container's mount namespace", Errno::NOENT))?;
        return clone_in(neighbour.as_fd(), path);
    }
    let MountSource::Bind {
        path, recursive, ..
    } = &mount.source
    else {
        return Err(CallError::new(
            "a mount that is none of the machine's",
            Errno::INVAL,
        ));
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if *recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(CWD, path, flags)
        .called(|| format!("open_tree(\"{}\", {flags:?})", path.display()))
}

/// Gives the clone its attributes, its propagation and its id mapping; `userns` is the container's, if it has its own.
pub(crate) fn configure(
    mount: &Mount,
    tree: &OwnedFd,
    userns: Option<BorrowedFd<'_>>,
) -> Result<(), CallError> {
    let propagation = mount.propagation;
    let (idmap, recursive_idmap) = match &mount.source {
        MountSource::Bind { idmap, .. } => idmapping(idmap, userns)?,
        _ => (None, false),
    };
    // Without anything below there is but one mount.
    if matches!(
        &mount.source,
        MountSource::Bind {
            recursive: false,
            ..
        } | MountSource::Neighbours { .. }
    ) {
        return mount_setattr(
            tree,
            false,
            &MountAttr {
                set: (mount.all.set & !mount.attributes.clear) | mount.attributes.set,
                clear: (mount.all.clear & !mount.attributes.set) | mount.attributes.clear,
                propagation: propagation.kind,
                idmap: idmap.as_ref().map(Mapping::fd),
            },
        );
    }
    // One call does what has the same reach.
    for recursive in [true, false] {
        let attributes = if recursive {
            mount.all
        } else {
            mount.attributes
        };
        let change = MountAttr {
            set: attributes.set,
            clear: attributes.clear,
            propagation: if propagation.recursive == recursive {
                propagation.kind
            } else {
                0
            },
            idmap: idmap
                .as_ref()
                .filter(|_| recursive_idmap == recursive)
                .map(Mapping::fd),
        };
        if !attributes.is_empty() || change.propagation != 0 || change.idmap.is_some() {
            mount_setattr(tree, recursive, &change)?;
        }
    }
    Ok(())
}

/// A user namespace whose maps a mount applies.
enum Mapping<'fd> {
    Containers(BorrowedFd<'fd>),
    Own(OwnedFd),
}

impl Mapping<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Containers(fd) => *fd,
            Self::Own(fd) => fd.as_fd(),
        }
    }
}

/// The mapping, and whether it is for all that is mounted below, too.
fn idmapping<'fd>(
    idmap: &Idmap,
    userns: Option<BorrowedFd<'fd>>,
) -> Result<(Option<Mapping<'fd>>, bool), CallError> {
    Ok(match idmap {
        Idmap::None => (None, false),
        Idmap::Container { recursive } => (userns.map(Mapping::Containers), *recursive),
        Idmap::Maps { maps, recursive } => {
            let fd = crate::idmap::user_namespace(maps)?;
            (Some(Mapping::Own(fd)), *recursive)
        }
    })
}

/// Clones what is mounted at `path` in another mount namespace: a mount can be cloned only by a process that is there.
fn clone_in(namespace: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, CallError> {
    let (ours, theirs) = Channel::pair()?;
    match fork()? {
        Cloned::Child => {
            drop(ours);
            // A failure is told by the end of the channel.
            let sent = enter_and_clone(namespace, path)
                .and_then(|tree| theirs.send(b"M", &[tree.as_fd()]));
            exit_now(i32::from(sent.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            drop(theirs);
            let answer = ours.receive();
            reap(pidfd);
            answer?
                .and_then(|message| message.descriptors.into_iter().next())
                .ok_or_else(|| {
                    CallError::new(
                        format!("cloning {path} of the other container"),
                        Errno::NOENT,
                    )
                })
        }
    }
}

fn enter_and_clone(namespace: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, CallError> {
    rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::Mount))
        .called(|| "setns(mnt)".to_owned())?;
    let place = mask::open_root()?.open(path, Links::Follow)?;
    rustix::mount::open_tree(
        &place,
        "",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .called(|| format!("open_tree(\"{path}\", CLONE)"))
}
