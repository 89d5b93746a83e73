//! Where soute keeps things.
//!
//! `root` is on disk and survives a reboot: images, and each container's
//! record, changes and log. `run` is in memory: what lives only as long as
//! the machine is up, and two indices (names, id ranges) that are made anew
//! from the records after a boot.

use std::path::{Path, PathBuf};

use rustix::fs::IFlags;

use crate::error::{Error, io};

/// The folders and the settings file of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Persistent: `/var/lib/soute`.
    pub root: PathBuf,
    /// Until the next boot: `/run/soute`.
    pub run: PathBuf,
    /// The settings: `/etc/soute/config.toml`.
    pub config: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            root: "/var/lib/soute".into(),
            run: "/run/soute".into(),
            config: "/etc/soute/config.toml".into(),
        }
    }
}

impl Places {
    /// The persistent folder of a container: `upper`, `work`, log, and (unless `--rm`) its record.
    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// The folder of a container while it runs: state, socket, /etc files; with `--rm` also its record.
    pub fn running(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }

    /// Links from names to ids.
    pub fn names(&self) -> PathBuf {
        self.run.join("names")
    }

    /// Links from numbered id ranges to the containers that hold them.
    pub fn ranges(&self) -> PathBuf {
        self.run.join("ranges")
    }

    /// What is known of each network.
    pub fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// Links from the addresses of each network to the containers that have them.
    pub(crate) fn leases(&self) -> PathBuf {
        self.run.join("networks")
    }

    /// Says of containers that they are about to be joined to a network, or taken out of one.
    pub(crate) fn rewiring(&self) -> PathBuf {
        self.run.join("rewiring")
    }

    /// Which interfaces were carried into a container that runs, and from where.
    pub(crate) fn carried(&self, id: &str) -> PathBuf {
        self.running(id).join("carried.json")
    }

    /// Says that a container is to outlive its end although it was made to be removed then.
    pub(crate) fn kept(&self, id: &str) -> PathBuf {
        self.running(id).join("kept")
    }

    /// Volumes.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The layer below all images ([`crate::mount_points`]).
    pub(crate) fn mount_points(&self) -> PathBuf {
        self.root.join("mount-points")
    }

    /// Says that names and ranges have been put back since the machine started.
    pub(crate) fn indexed(&self) -> PathBuf {
        self.run.join("indexed")
    }

    /// Makes the folders, all of them root's alone: a user of the machine who got in would find root's setuid programs
    /// in layers and volumes, some perhaps put there by a container (CVE-2021-41091), and read containers' files.
    pub(crate) fn make(&self) -> Result<(), Error> {
        // The last thing that the first command after a boot makes (reconcile), and the last one below: all else is
        // there, too.
        if self.indexed().exists() && self.mount_points().exists() {
            return Ok(());
        }
        for (folder, mode) in [
            (self.root.clone(), 0o700),
            (self.root.join("containers"), 0o700),
            (self.run.clone(), 0o700),
            (self.run.join("containers"), 0o700),
            (self.names(), 0o700),
            (self.ranges(), 0o700),
        ] {
            make_folder(&folder, mode)?;
        }
        spread(&self.root.join("containers"))?;
        crate::mount_points::make(&self.mount_points())
    }
}

/// Has ext4 keep what is in `folder` apart (`chattr +T`): containers have nothing to do with each other.
///
/// Else it makes each new file in the same block group, where, without a journal, it passes over all that were removed in
/// the last minutes, one by one: a thousand containers later, a container's few files take longer than all the rest.
fn spread(folder: &Path) -> Result<(), Error> {
    let opened = io("opening", folder, std::fs::File::open(folder))?;
    // Other file systems have no such flag, and no need of it.
    if let Ok(flags) = rustix::fs::ioctl_getflags(&opened) {
        let _ = rustix::fs::ioctl_setflags(&opened, flags | IFlags::TOPDIR);
    }
    Ok(())
}

/// Makes `folder` and its parents; one that is there keeps its mode.
pub(crate) fn make_folder(folder: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = folder.parent().filter(|p| *p != folder) {
                make_folder(parent, 0o755)?;
            }
            match std::fs::DirBuilder::new().mode(mode).create(folder) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    io("making the folder", folder, Err(e))
                }
                _ => Ok(()),
            }
        }
        Err(e) => io("making the folder", folder, Err(e)),
    }
}

/// What is in a folder, each with its path: nothing, if there is no such folder.
pub(crate) fn entries(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<PathBuf, Error>>, Error> {
    let found = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        other => Some(io("reading the folder", folder, other)?),
    };
    let found = found.into_iter().flatten();
    Ok(found.map(move |entry| Ok(io("reading the folder", folder, entry)?.path())))
}

/// Removes a file that may be gone already; `what` is done by that, if it fails.
pub(crate) fn remove_if_there(what: &'static str, file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => io(what, file, Err(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_kept_apart_where_there_is_a_flag_for_it() {
        // On a disk: /tmp may be memory.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let flags = |path: &Path| rustix::fs::ioctl_getflags(std::fs::File::open(path).unwrap());
        spread(folder.path()).unwrap();
        let probe = std::fs::File::open(folder.path()).unwrap();
        let takes_it = rustix::fs::ioctl_setflags(&probe, IFlags::TOPDIR).is_ok();
        let places = Places {
            root: folder.path().join("root"),
            run: folder.path().join("run"),
            config: folder.path().join("config"),
        };
        places.make().unwrap();
        let containers = flags(&places.root.join("containers")).unwrap_or(IFlags::empty());
        assert_eq!(containers.contains(IFlags::TOPDIR), takes_it);
    }
}
