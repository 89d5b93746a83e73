//! The plan: all that one container is made of, as data.
//!
//! Making a plan needs no privilege and touches nothing; applying it
//! ([`crate::process::spawn`]) is one linear recipe.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::capabilities::CapSet;
use crate::idmap::IdMaps;
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
    /// What is mounted below the root, in this order.
    pub mounts: Vec<Mount>,
    /// The mount namespace that [`MountSource::Neighbours`] is of.
    pub neighbour: Option<OwnedFd>,
    /// Device nodes below `/dev`, made by the parent (a user namespace may not).
    pub devices: Vec<Device>,
    /// Hidden: a folder under an empty read-only tmpfs, a file under /dev/null. Missing ones are skipped, as in runc.
    pub masked_paths: Vec<String>,
    /// Made read-only. Missing ones are skipped, as in runc.
    pub readonly_paths: Vec<String>,
    /// Written below /proc/sys: name with dots or slashes, value.
    pub sysctls: Vec<(String, String)>,
    /// The program and what it may do.
    pub process: Process,
    /// A reaper as PID 1, with the program as its child.
    pub init: bool,
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

/// The root file system: always copy-on-write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
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
    /// `MOUNT_ATTR_*` to set.
    pub attributes: u64,
    /// Propagation of the mount: one of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`; 0: as it comes (private).
    pub propagation: u64,
    /// Attributes and propagation go for everything below, too.
    pub recursive: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// proc(5) of the container's PID namespace, or the machine's where that is shared.
    Proc,
    /// sysfs of the container's network namespace, or the machine's where that is shared.
    Sysfs,
    /// mqueue of the container's IPC namespace, or the machine's where that is shared.
    Mqueue,
    /// The tmpfs with the container's devices.
    Dev,
    /// A devpts instance of its own.
    Devpts,
    /// The cgroups, as the container's cgroup namespace shows them: one unified hierarchy at the target itself, or
    /// (with a folder name each) several on a tmpfs.
    Cgroup {
        /// What is mounted where.
        hierarchies: Vec<Hierarchy>,
    },
    /// Memory; `options` as in tmpfs(5), `size=…` and so on.
    Tmpfs {
        /// Option and value.
        options: Vec<(String, String)>,
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
    /// A file or folder of the machine.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
        /// Its ids are mapped as the container's user namespace maps them.
        idmap: bool,
    },
}

impl MountSource {
    /// Whether the parent makes it and hands it over as a descriptor.
    pub(crate) fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Bind { .. } | Self::Neighbours { .. })
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
    /// Absolute, below /dev.
    pub path: String,
    /// A character device; otherwise a block device.
    pub character: bool,
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
    /// What it may do at most.
    pub capabilities: CapSet,
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
}

/// Who runs the program: names are looked up in the container's own /etc/passwd and /etc/group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// `user[:group]`, names or numbers; empty: root.
    pub spec: String,
    /// Further groups, names or numbers.
    pub additional_groups: Vec<String>,
}
