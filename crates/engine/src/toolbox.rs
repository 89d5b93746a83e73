//! An image's files as the root folder of tools, for who looks into a container ([`Files::Apart`]).

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use soute_runtime::mounts::overlay;
use soute_runtime::plan::{Layers, Upper};
#[cfg(doc)]
use soute_runtime::process::Files;
use soute_sys::mount::{MountAttr, NOSUID, mount_setattr};

use crate::Engine;
use crate::error::Error;

/// An image's files, and its environment.
#[derive(Debug)]
pub struct Toolbox {
    /// A detached mount. What is changed there is in memory, and ends with it.
    pub root: OwnedFd,
    /// `NAME=VALUE`
    pub env: Vec<String>,
}

impl Engine {
    /// The files of `image` with the ids of the user namespace `userns`, whose root is `root` (user and group of the machine);
    /// `None`: with those that they have. The caller may have one thread only.
    ///
    /// Removing the image meanwhile removes the files.
    ///
    /// # Errors
    /// There is no such image; the kernel's refusal.
    pub fn toolbox(
        &self,
        image: &str,
        userns: Option<BorrowedFd<'_>>,
        root: (u32, u32),
    ) -> Result<Toolbox, Error> {
        let pin = self.store.pin()?;
        let image = self.image(image)?;
        let below = std::iter::once(self.places.mount_points());
        let layers = Layers {
            lower: below.chain(image.layers).collect(),
            upper: Upper::Memory,
        };
        let umask = rustix::process::umask(Mode::empty());
        let built = overlay::build(&layers, userns, root);
        rustix::process::umask(umask);
        drop(pin);
        let root = built?.mount;
        let no_more_rights = MountAttr {
            set: NOSUID,
            ..MountAttr::default()
        };
        mount_setattr(&root, false, &no_more_rights)?;
        Ok(Toolbox {
            root,
            env: image.config.env,
        })
    }
}
