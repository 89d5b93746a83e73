//! What a root folder of tools has of the machine's beside programs: devices, and some of /etc.
//!
//! A container's own /dev is its to fill: a FIFO in place of /dev/null would stall a shell, a link would be written through.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::mount::{MountAttr, NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, mount_setattr};
use soute_sys::{CallError, Called};

use super::{Owner, attach, make_own_folder, put, read};
use crate::mounts::root::Root;
use crate::mounts::{dev, new_filesystem, place};
use crate::plan::Device;

/// What the machine's programs read, which tells nothing of the machine but its time zone.
const SETTINGS: [&str; 5] = [
    "/etc/localtime",
    "/etc/man_db.conf",
    "/etc/manpath.config",
    "/etc/protocols",
    "/etc/services",
];

/// Names of terminals are this instance's alone.
const TERMINALS: [(&str, &str); 3] = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];

/// Things of the machine's, taken along.
#[derive(Debug)]
pub(crate) struct Kit {
    /// Each with a clone of the machine's mount of it: in a user namespace no device can be made.
    devices: Vec<(Device, OwnedFd)>,
    settings: Vec<(&'static str, OwnedFd)>,
}

impl Kit {
    /// To be called where the machine's files are in sight. `settings`: with those of its programs.
    pub(crate) fn take(settings: bool) -> Result<Self, CallError> {
        // It can be read and written to even so, but it is the machine's own: its mode and owner stay.
        let unchangeable = MountAttr {
            set: RDONLY | NOSUID | NOEXEC,
            propagation: PRIVATE,
            ..MountAttr::default()
        };
        let devices = Device::of_every_container().into_iter().map(|device| {
            let tree = dev::of_the_machine(&device)?;
            mount_setattr(&tree, false, &unchangeable)?;
            Ok((device, tree))
        });
        let wanted = SETTINGS.iter().filter(|_| settings);
        let settings = wanted.filter_map(|&path| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(file) => Some(Ok((path, file))),
                Err(Errno::NOENT) => None,
                Err(e) => Some(Err(CallError::new(format!("open({path:?})"), e))),
            }
        });
        Ok(Self {
            devices: devices.collect::<Result<_, _>>()?,
            settings: settings.collect::<Result<_, _>>()?,
        })
    }

    /// Of what was taken.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let devices = self.devices.iter().map(|(_, tree)| tree.as_raw_fd());
        let settings = self.settings.iter().map(|(_, file)| file.as_raw_fd());
        devices.chain(settings)
    }

    /// Writes copies of the settings.
    pub(super) fn lay_settings(&self, root: &Root, owner: Owner) -> Result<(), CallError> {
        self.settings.iter().try_for_each(|(path, file)| {
            let file = file.try_clone();
            let file = file.called(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned())?;
            match read(file) {
                Some(text) => put(root, path, &text, owner),
                None => Ok(()),
            }
        })
    }

    /// Puts a /dev with devices and terminals into `root`, which is the working directory.
    pub(super) fn lay_devices(&self, root: &Root, owner: Owner) -> Result<(), CallError> {
        let (uid, gid) = (owner.0.to_string(), owner.1.to_string());
        let options = [("mode", "0755"), ("uid", &*uid), ("gid", &*gid)];
        let folder = new_filesystem("tmpfs", &options, NOSUID | NOEXEC | NODEV)?;
        attach(root, &folder, "/dev")?;
        for (device, tree) in &self.devices {
            place::place_device(root, device, tree)?;
        }
        make_own_folder("dev/shm", 0o1777, owner)?;
        dev::complete(&folder)?;
        let terminals = new_filesystem("devpts", &TERMINALS, NOSUID | NOEXEC)?;
        attach(root, &terminals, "/dev/pts")
    }
}
