//! The plan: all that one container is made of, as data.
//!
//! Making a plan needs no privilege and touches nothing; applying it
//! ([`crate::process::spawn`]) is one linear recipe.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::capabilities::{CapSet, Capabilities};
use crate::hooks::{self, Hook, HookError, HookState, Status, Tree};
use crate::idmap::IdMaps;
use crate::netdev::NetDevice;
use crate::process::attributes;
use crate::process::time::Time;
use crate::seccomp::Filter;

/// One container.
#[derive(Debug)]
pub struct Plan {
    /// Which namespaces are its own.
    pub namespaces: Namespaces,
    /// `hostname` in its own UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain name in its own UTS namespace.
    pub domain_name: Option<String>,
    /// The root file system.
    pub rootfs: Rootfs,
    /// The root file system is mounted read-only in the end.
    pub read_only: bool,
    /// Propagation of the root in the end, once nothing of the machine's is in sight.
    pub root_propagation: Option<Propagation>,
    /// What is mounted below the root, in this order.
    pub mounts: Vec<Mount>,
    /// The mount namespace that [`MountSource::Neighbours`] is of.
    pub neighbour: Option<OwnedFd>,
    /// Device nodes. Those below a [`MountSource::Dev`] are made by the parent (a user namespace may not).
    pub devices: Vec<Device>,
    /// Hidden: a folder under an empty read-only tmpfs, a file under /dev/null. Missing ones are skipped, as in runc.
    pub masked_paths: Vec<String>,
    /// Made read-only. Missing ones are skipped, as in runc.
    pub readonly_paths: Vec<String>,
    /// Interfaces of the machine that move into the container's network namespace.
    pub net_devices: Vec<NetDevice>,
    /// The caller connects that namespace ([`Caller::connect`](crate::process::Caller)).
    pub connected: bool,
    /// Written below /proc/sys: name with dots or slashes, value.
    pub sysctls: Vec<(String, String)>,
    /// The program and what it may do.
    pub process: Process,
    /// A reaper as PID 1, with the program as its child.
    pub init: bool,
    /// The machine's programs that take part in the set-up.
    pub hooks: Hooks,
}

impl Plan {
    /// Whether its network namespace gets more than what is in every one.
    pub(crate) fn has_interfaces(&self) -> bool {
        self.connected || !self.net_devices.is_empty()
    }
}

/// Programs of the machine that run while a container is set up (runtime-spec, config.md, "POSIX-platform Hooks"), each
/// list in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// In the caller's namespaces, before the root is changed: `prestart`, then `createRuntime`.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before the root is changed.
    pub create_container: Vec<Hook>,
    /// In the container, right before its program.
    pub start_container: Vec<Hook>,
    /// What they read: the container's state, but for its status and process.
    pub state: HookState,
}

impl Hooks {
    /// Runs each of `list`; the first that fails is the last.
    pub(crate) fn run(
        &self,
        list: &[Hook],
        status: Status,
        first: rustix::process::Pid,
        tree: Tree,
    ) -> Result<(), HookError> {
        if list.is_empty() {
            return Ok(());
        }
        let state = self.state.json(status, Some(first.as_raw_nonzero().get()));
        list.iter()
            .try_for_each(|hook| hooks::run(hook, &state, tree))
    }

    /// Whether any wants the machine's root still in sight when all is mounted.
    pub(crate) fn before_pivot(&self) -> bool {
        !self.create_runtime.is_empty() || !self.create_container.is_empty()
    }
}

/// How a namespace is had.
#[derive(Debug, Default)]
pub enum Namespace {
    /// A new one.
    #[default]
    New,
    /// The machine's (that of the caller).
    Host,
    /// An existing one, open.
    Join(OwnedFd),
}

impl Namespace {
    /// Whether it is made with the container.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }

    /// Whether it is the caller's.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Host)
    }
}

/// The namespaces of a container. The mount namespace is always its own.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// user_namespaces(7).
    pub user: UserNamespace,
    /// pid_namespaces(7).
    pub pid: Namespace,
    /// network_namespaces(7).
    pub net: Namespace,
    /// ipc_namespaces(7).
    pub ipc: Namespace,
    /// uts_namespaces(7).
    pub uts: Namespace,
    /// cgroup_namespaces(7); entered once the process sits in its cgroup.
    pub cgroup: Namespace,
    /// time_namespaces(7), if it is not the caller's.
    pub time: Option<Time>,
}

/// The user namespace, which owns all the others that are new.
#[derive(Debug, Default)]
pub enum UserNamespace {
    /// A new one with these maps.
    New(IdMaps),
    /// The machine's.
    #[default]
    Host,
    /// An existing one, open, with the maps it has.
    Join(OwnedFd, IdMaps),
}

impl UserNamespace {
    /// The maps, unless it is the machine's.
    pub fn maps(&self) -> Option<&IdMaps> {
        match self {
            Self::New(maps) | Self::Join(_, maps) => Some(maps),
            Self::Host => None,
        }
    }
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rootfs {
    /// Copy-on-write over layers.
    Layers(Layers),
    /// A folder of the machine, as it is and with what is mounted below it.
    Folder {
        /// Absolute.
        path: PathBuf,
        /// The machine's mounts below it go on appearing in the container.
        slave: bool,
    },
}

/// Layers and where changes to them go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// Read-only layers, lowest first; folders of the machine with raw (unmapped) owners.
    pub lower: Vec<PathBuf>,
    /// The folder that holds `upper` and `work`, both owned by the container's root.
    pub upper: Upper,
}

/// Where the changes of a container go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// `DIR/upper` and `DIR/work`; `volatile`: no sync on the way, since nobody will look after a crash.
    Folder {
        /// The folder that holds both.
        path: PathBuf,
        /// The overlay option of that name.
        volatile: bool,
    },
    /// Memory, gone with the container: for a lower layer that contains the engine's own folder.
    Memory,
}

/// One mount below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute, in the container; resolved inside its root.
    pub target: String,
    /// What is mounted.
    pub source: MountSource,
    /// Attributes of this mount alone.
    pub attributes: Attributes,
    /// Attributes of this mount and of all that comes mounted below it.
    pub all: Attributes,
    /// Propagation events.
    pub propagation: Propagation,
}

/// `MOUNT_ATTR_*` (mount_setattr(2)) that a mount is to have, and that it is not to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Those to set.
    pub set: u64,
    /// Those to clear. The field of the access times goes as a whole ([`soute_sys::mount::ATIME_MASK`]).
    pub clear: u64,
}

impl Attributes {
    /// These are set, and none is cleared but the access time's where another is set.
    pub fn set(set: u64) -> Self {
        let atime = soute_sys::mount::NOATIME | soute_sys::mount::STRICTATIME;
        Self {
            set,
            clear: if set & atime != 0 {
                soute_sys::mount::ATIME_MASK
            } else {
                0
            },
        }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How mount events spread (mount_namespaces(7), "Shared subtrees").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED` or `MS_UNBINDABLE`.
    pub kind: u64,
    /// For all that is mounted below, too.
    pub recursive: bool,
}

impl Default for Propagation {
    /// Private, with all below.
    fn default() -> Self {
        Self {
            kind: soute_sys::mount::PRIVATE,
            recursive: true,
        }
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A new file system of this type, made by the container in its own namespaces. `proc`, `sysfs` and `mqueue` are
    /// the machine's where the namespace that they show is shared and the user namespace is not.
    Filesystem {
        /// As in /proc/filesystems.
        kind: String,
        /// Option and value, as fsconfig(2) takes them; an empty value: a flag.
        options: Vec<(String, String)>,
        /// A tmpfs begins with a copy of what it covers.
        copy_up: bool,
    },
    /// The tmpfs with the container's devices.
    Dev {
        /// As tmpfs(5) takes them: option and value.
        options: Vec<(String, String)>,
    },
    /// The cgroups, as the container's cgroup namespace shows them: one unified hierarchy at the target itself, or
    /// (with a folder name each) several on a tmpfs.
    Cgroup {
        /// What is mounted where.
        hierarchies: Vec<Hierarchy>,
    },
    /// A file of the container's own with this content. It is kept in memory with the devices, so that what the
    /// container writes to it takes no room of the machine's.
    File {
        /// What it holds at first.
        content: String,
    },
    /// What is at `path` in the container of which namespaces are joined ([`Plan::neighbour`]).
    Neighbours {
        /// Absolute, in that container; resolved inside its root.
        path: String,
    },
    /// A sysfs that shows the network namespace that is joined ([`Namespaces::net`]), where the container's user namespace
    /// is not that one's owner and may not mount it.
    JoinedSysfs,
    /// A file or folder of the machine.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
        /// Whether its ids are mapped, and how.
        idmap: Idmap,
    },
}

/// Whose ids a bind mount shows (mount_setattr(2), "ID-mapped mounts").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Idmap {
    /// Those on the disk.
    #[default]
    None,
    /// As the container's user namespace maps them.
    Container {
        /// For all that is mounted below, too.
        recursive: bool,
    },
    /// As these maps do.
    Maps {
        /// The maps.
        maps: IdMaps,
        /// For all that is mounted below, too.
        recursive: bool,
    },
}

impl MountSource {
    /// Whether the parent makes it and hands it over as a descriptor.
    pub(crate) fn is_of_the_machine(&self) -> bool {
        matches!(
            self,
            Self::Dev { .. } | Self::Bind { .. } | Self::Neighbours { .. } | Self::JoinedSysfs
        )
    }
}

/// A cgroup hierarchy as it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Folder below the target; empty: the target itself.
    pub folder: String,
    /// `cgroup` or `cgroup2`.
    pub filesystem: String,
    /// Controllers or `name=…`, each a mount option.
    pub options: Vec<String>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Absolute, in the container.
    pub path: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner in the container.
    pub uid: u32,
    /// Group in the container.
    pub gid: u32,
}

impl Device {
    /// Those that every container has (runtime-spec, config-linux.md, "Default Devices").
    pub fn of_every_container() -> Vec<Self> {
        [
            ("/dev/null", 1, 3),
            ("/dev/zero", 1, 5),
            ("/dev/full", 1, 7),
            ("/dev/random", 1, 8),
            ("/dev/urandom", 1, 9),
            ("/dev/tty", 5, 0),
        ]
        .into_iter()
        .map(|(path, major, minor)| Self {
            path: path.to_owned(),
            kind: DeviceKind::Character,
            major,
            minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
        .collect()
    }
}

/// What a [`Device`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe, which has no numbers.
    Fifo,
}

/// The program and what it may do.
#[derive(Debug, Clone)]
pub struct Process {
    /// The program and its arguments; the first is looked up in the container's PATH.
    pub args: Vec<String>,
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// Absolute, in the container; made if missing.
    pub working_directory: String,
    /// Who runs it.
    pub user: User,
    /// umask(2)
    pub umask: u32,
    /// What it may do at most.
    pub grant: Grant,
    /// `no_new_privs` (prctl(2)).
    pub no_new_privileges: bool,
    /// The system-call filter.
    pub seccomp: Option<Filter>,
    /// Resource, soft limit, hard limit ([`u64::MAX`]: none).
    pub rlimits: Vec<(rustix::process::Resource, u64, u64)>,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// The program gets a terminal; its size in rows and columns.
    pub terminal: Option<(u16, u16)>,
    /// Scheduling, memory policy, labels.
    pub attributes: attributes::Attributes,
    /// How many of the caller's descriptors, from 3 on, the program keeps.
    pub preserved_descriptors: u32,
}

/// The capabilities of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// As its user has them where the container has at most these ([`Capabilities::for_user`]).
    AtMost(CapSet),
    /// Exactly these five sets, whoever the user is.
    Exactly(Capabilities),
}

impl Grant {
    /// The sets of a program of this user.
    pub fn for_user(self, uid: u32) -> Capabilities {
        match self {
            Self::AtMost(set) => Capabilities::for_user(set, uid),
            Self::Exactly(sets) => sets,
        }
    }
}

/// Who runs the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// Names are looked up in the container's own /etc/passwd and /etc/group.
    Named {
        /// `user[:group]`, names or numbers; empty: root.
        spec: String,
        /// Further groups, names or numbers.
        additional_groups: Vec<String>,
    },
    /// Ids in the container.
    Ids {
        /// User.
        uid: u32,
        /// Primary group.
        gid: u32,
        /// Supplementary groups.
        groups: Vec<u32>,
    },
}
