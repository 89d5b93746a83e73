//! What a user asks for, validated and resolved as far as that is possible
//! without an image, a kernel or a state folder.
//!
//! The command line (and later the API) makes a [`Request`]; the engine keeps
//! it with the container, since `start` must do again what `create` was told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use soute_network::Mac;
use soute_network::plan::ports::Wanted;
use soute_runtime::cgroups::Resources;

/// One container, as asked for by `soute run` or `soute create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// What the root file system is made of.
    pub source: Source,
    /// The command after the image; empty: the image's own.
    pub command: Vec<String>,
    /// `--entrypoint`; `Some(vec![])` clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `--name`; otherwise one is invented.
    pub name: Option<String>,
    /// `--label` and `--label-file`.
    pub labels: BTreeMap<String, String>,
    /// `--rm`: the container goes when its process ends.
    pub remove: bool,
    /// `-i`: standard input is kept open.
    pub interactive: bool,
    /// `-t`: the process gets a terminal.
    pub terminal: bool,
    /// `--env` and `--env-file`, in order, each `NAME=VALUE`; a bare `NAME` (no `=`) removes the image's.
    pub environment: Vec<String>,
    /// `--workdir`, absolute.
    pub working_directory: Option<String>,
    /// `--user`, as written: `name|uid[:group|gid]`; resolved in the image.
    pub user: Option<String>,
    /// `--group-add`, names or numbers, resolved in the image.
    pub additional_groups: Vec<String>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `--domainname`.
    pub domain_name: Option<String>,
    /// `--volume`, `--mount` and `--tmpfs`; one per target, parents before children.
    pub mounts: Vec<MountRequest>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--ipc none`: no /dev/shm.
    pub no_shm: bool,
    /// `--shm-size`, bytes.
    pub shm_size: Option<u64>,
    /// `--device`.
    pub devices: Vec<DeviceRequest>,
    /// `--cap-add`, in the canonical form `CAP_…`, or `ALL`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, likewise.
    pub cap_drop: Vec<String>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--security-opt`.
    pub security: Security,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--sysctl`.
    pub sysctls: BTreeMap<String, String>,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
    /// `--pid`.
    pub pid: Share,
    /// `--ipc`.
    pub ipc: Share,
    /// `--uts`.
    pub uts: Share,
    /// `--cgroupns`.
    pub cgroupns: Share,
    /// `--network`.
    pub network: Network,
    /// Ports of the machine's that lead to it.
    #[serde(default)]
    pub published: Vec<Wanted>,
    /// All ports that the image names lead to it, from ones that are free.
    #[serde(default)]
    pub publish_all: bool,
    /// `--publish-open`: whatever the machine's firewall says of what comes in.
    #[serde(default)]
    pub publish_open: bool,
    /// `--userns`; `None`: the engine's default.
    pub userns: Option<UserNamespace>,
    /// `--add-host`.
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// `--dns`.
    pub dns: Vec<IpAddr>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_options: Vec<String>,
    /// `--init`: a reaper is PID 1.
    pub init: bool,
    /// `--stop-signal`, a signal number; `None`: the image's, or SIGTERM.
    pub stop_signal: Option<i32>,
    /// `--stop-timeout`, seconds; -1: without end.
    pub stop_timeout: Option<i64>,
    /// `--cgroup-parent`.
    pub cgroup_parent: Option<String>,
    /// `--memory`, `--cpus`, `--pids-limit` and their kin.
    pub resources: Resources,
    /// `--platform`, as written: `os[/arch[/variant]]`.
    pub platform: Option<String>,
}

/// What the root file system is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// An image, by reference or id, as written by the user.
    Image(String),
    /// `--rootfs DIR`: copy-on-write over a directory of the machine.
    Directory(PathBuf),
}

impl Default for Source {
    fn default() -> Self {
        Self::Image(String::new())
    }
}

/// How a namespace is had: `--pid`, `--ipc`, `--uts`, `--cgroupns`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// The container's own.
    #[default]
    Private,
    /// The machine's.
    Host,
    /// That of another container, by name or id.
    Container(String),
}

/// `--network`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A namespace of its own with nothing but loopback.
    #[default]
    None,
    /// The machine's.
    Host,
    /// That of another container, by name or id.
    Container(String),
    /// Any, by a file that leads to it, absolute: /run/netns/NAME, /proc/PID/ns/net.
    Namespace(PathBuf),
    /// A namespace of its own, joined to networks of the engine's.
    Networks(Vec<Endpoint>),
}

impl std::fmt::Display for Network {
    /// As `--network` has it; of several networks the first.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Namespace(path) => write!(f, "ns:{}", path.display()),
            Self::Networks(all) => f.write_str(all.first().map_or("none", |one| &one.network)),
        }
    }
}

/// A container's part of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network, by name or id.
    pub network: String,
    /// The address that it wants, instead of one that is free.
    pub address: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub address6: Option<Ipv6Addr>,
    /// The Ethernet address that it wants, instead of a random one.
    pub mac: Option<Mac>,
    /// What its neighbours there find it by, besides its name.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// What `--add-host` has a name lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostAddress {
    /// This address.
    Address(IpAddr),
    /// The machine, as the container sees it.
    HostGateway,
}

/// Text that is not a [`HostAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an IP address")]
pub struct NoHostAddress(String);

impl FromStr for HostAddress {
    type Err = NoHostAddress;

    /// An address, or Docker's word for the machine.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "host-gateway" => Ok(Self::HostGateway),
            text => {
                let address = text.parse().map_err(|_| NoHostAddress(text.to_owned()));
                address.map(Self::Address)
            }
        }
    }
}

impl TryFrom<String> for HostAddress {
    type Error = NoHostAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> Self {
        address.to_string()
    }
}

impl std::fmt::Display for HostAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::HostGateway => f.write_str("host-gateway"),
        }
    }
}

/// `--userns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserNamespace {
    /// A range of ids of the container's own.
    Auto,
    /// The machine's user namespace: root is root.
    Host,
    /// The subordinate ids of USER (and GROUP) from /etc/subuid and /etc/subgid.
    Remap {
        /// A user name or number.
        user: String,
        /// A group name or number; `None`: as the user.
        group: Option<String>,
    },
}

/// Text that is not a [`UserNamespace`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: auto, host or remap:USER[:GROUP] is expected")]
pub struct UnknownUserNamespace(String);

impl FromStr for UserNamespace {
    type Err = UnknownUserNamespace;

    /// `auto`, `host` or `remap:USER[:GROUP]`, as `--userns` and the settings file have it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownUserNamespace(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "host" => Ok(Self::Host),
            text => {
                let names = text.strip_prefix("remap:").ok_or_else(unknown)?;
                let (user, group) = match names.split_once(':') {
                    Some((user, group)) => (user, Some(group)),
                    None => (names, None),
                };
                // A colon or a line's end would be looked for in /etc/subuid as part of a name.
                let named = |name: &str| !name.is_empty() && !name.contains([':', '\n', '\0']);
                if !named(user) || !group.is_none_or(named) {
                    return Err(unknown());
                }
                Ok(Self::Remap {
                    user: user.to_owned(),
                    group: group.map(str::to_owned),
                })
            }
        }
    }
}

/// `--security-opt`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// `no-new-privileges`.
    pub no_new_privileges: bool,
    /// `seccomp=…`.
    pub seccomp: SeccompChoice,
    /// `systempaths=unconfined`: nothing masked or read-only below /proc and /sys.
    pub unconfined_system_paths: bool,
    /// `apparmor=PROFILE`.
    pub apparmor: Option<String>,
    /// `label=…` (SELinux).
    pub label: Vec<String>,
}

/// `--security-opt seccomp=…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompChoice {
    /// Docker's default profile, for the container's capabilities.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// The text of a profile in Docker's or OCI's JSON, read when the command was given.
    Profile(String),
}

/// `--ulimit NAME=SOFT[:HARD]`; -1 or `unlimited` is [`u64::MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `core`, …, lower case, without `RLIMIT_`.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// `--device HOST[:CONTAINER[:rwm]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The device (or folder of devices) on the machine.
    pub host: PathBuf,
    /// Where it shows up in the container.
    pub container: PathBuf,
    /// A subset of `rwm`.
    pub permissions: String,
}

/// One of `--volume`, `--mount`, `--tmpfs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRequest {
    /// Where it shows up in the container, absolute.
    pub target: String,
    /// What is mounted.
    pub source: MountKind,
    /// Read-only.
    pub read_only: bool,
    /// The image's content at the target is not copied into a new, empty volume.
    pub no_copy: bool,
}

/// What a `--volume`, `--mount` or `--tmpfs` mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A path of the machine.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// Made if missing (`-v` does, `--mount` does not).
        create: bool,
        /// Submounts too (the default, as in Docker).
        recursive: bool,
        /// `shared`, `slave`, `private` and their `r` forms; `None`: `rprivate`.
        propagation: Option<String>,
        /// `idmap`: the container's ids are mapped on the way, so that its root owns what root owns.
        idmap: bool,
    },
    /// A volume that the engine keeps; `None`: an anonymous one.
    Volume {
        /// Its name.
        name: Option<String>,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; `None`: the kernel's default (half of the memory).
        size: Option<u64>,
        /// Octal mode; `None`: 1777.
        mode: Option<u32>,
        /// `exec` was asked for (Docker's default is noexec).
        exec: bool,
        /// `suid` was asked for.
        suid: bool,
        /// `dev` was asked for.
        dev: bool,
        /// `nr_inodes`.
        inodes: Option<u64>,
        /// Owner in the container.
        uid: Option<u32>,
        /// Group in the container.
        gid: Option<u32>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_addresses_are_kept_as_they_are_written() {
        for text in ["10.0.0.1", "fd00::1", "host-gateway"] {
            let address: HostAddress = text.parse().unwrap();
            let kept = serde_json::to_string(&address).unwrap();
            assert_eq!(kept, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<HostAddress>(&kept).unwrap(), address);
        }
        assert!("gateway".parse::<HostAddress>().is_err());
    }

    #[test]
    fn user_namespaces() {
        let remap = |user: &str, group: Option<&str>| UserNamespace::Remap {
            user: user.into(),
            group: group.map(str::to_owned),
        };
        for (text, expected) in [
            ("auto", UserNamespace::Auto),
            ("host", UserNamespace::Host),
            ("remap:bob", remap("bob", None)),
            ("remap:bob:1000", remap("bob", Some("1000"))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "private",
            "remap",
            "remap:",
            "remap::g",
            "remap:u:",
            "remap:a:b:c",
            "remap:a\nb",
        ] {
            assert!(text.parse::<UserNamespace>().is_err(), "{text}");
        }
    }
}
