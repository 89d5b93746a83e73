//! From a container's record to a plan for the runtime: pure data in, pure data out.

mod limits;
mod mounts;
mod sysctls;

use std::net::IpAddr;
use std::path::PathBuf;

use soute_runtime::capabilities::{self, Cap, CapSet};
use soute_runtime::cgroups::{DeviceRule, Layout, default_device_rules};
use soute_runtime::plan::{
    Device, Grant, Hooks, Layers, Namespace, Namespaces, Plan, Process, Rootfs, Upper, User,
    UserNamespace,
};
use soute_runtime::process::attributes::Attributes;
use soute_runtime::seccomp::profile::Profile;
use soute_runtime::seccomp::{Filter, KernelVersion};

use crate::error::Error;
use crate::etc_files::MachineFiles;
use crate::networks::Wire;
use crate::places::Places;
use crate::record::Record;
use crate::request::{HostAddress, Network, Request, SeccompChoice, Share};

pub(crate) use limits::{check_limits, rlimits as limits_of};

/// What planning must know of the machine and of other containers.
pub(crate) struct Machine {
    pub(crate) layout: Layout,
    pub(crate) kernel: KernelVersion,
    pub(crate) last_capability: u8,
    /// Namespaces of others that this one joins, open.
    pub(crate) joins: Joins,
    pub(crate) files: MachineFiles,
    /// What it is joined to.
    pub(crate) networks: crate::networks::Wires,
}

/// Namespaces of other containers; the network's may be any.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    pub(crate) user: Option<(std::os::fd::OwnedFd, Option<soute_runtime::idmap::IdMaps>)>,
    pub(crate) pid: Option<Joined>,
    pub(crate) ipc: Option<Joined>,
    pub(crate) net: Option<Joined>,
    /// The mount namespace of the container whose IPC or network namespace is joined, and files with it.
    pub(crate) mnt: Option<std::os::fd::OwnedFd>,
}

/// A namespace of another container.
#[derive(Debug)]
pub(crate) enum Joined {
    /// Its own, open.
    Own(std::os::fd::OwnedFd),
    /// The machine's, which it shares. Once in that container's user namespace nobody may enter it, and need not.
    Machines,
}

impl From<Joined> for Namespace {
    fn from(joined: Joined) -> Self {
        match joined {
            Joined::Own(fd) => Self::Join(fd),
            Joined::Machines => Self::Host,
        }
    }
}

/// /proc and /sys below which a container sees nothing: Docker's list.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What a container may read and not write: Docker's list.
const READ_ONLY: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// As after a login; Docker's.
pub(crate) const UMASK: u32 = 0o022;

/// The plan for one start of `record`; `terminal_size` in rows and columns.
pub(crate) fn plan(
    places: &Places,
    record: &Record,
    machine: &mut Machine,
    terminal_size: (u16, u16),
) -> Result<(Plan, Vec<DeviceRule>), Error> {
    let request = &record.request;
    let capabilities = capabilities(record, machine.last_capability)?;
    let seccomp = filter(record, capabilities, machine.kernel)?;
    let wires = machine.networks.wires();
    let gateways = host_gateways(places, request, &wires)?;
    let etc_files = crate::etc_files::files(record, &machine.files, &wires, &gateways);
    let mut mounts = mounts::mounts(places, record, &machine.layout, etc_files)?;
    if let (Network::Namespace(_), Some(Joined::Own(_)), Some(_)) =
        (&request.network, &machine.joins.net, &record.id_maps)
    {
        mounts::show_joined_network(&mut mounts);
    }
    let (devices, rules) = devices(record, capabilities)?;
    let open = request.privileged || request.security.unconfined_system_paths;
    let list = |paths: &[&str]| -> Vec<String> {
        if open {
            Vec::new()
        } else {
            paths.iter().map(|p| (*p).to_owned()).collect()
        }
    };
    let mut joins = std::mem::take(&mut machine.joins);
    let neighbour = joins.mnt.take();
    let namespaces = namespaces(record, joins);
    let plan = Plan {
        hostname: record.hostname.clone(),
        domain_name: request.domain_name.clone(),
        rootfs: rootfs(places, record),
        read_only: request.read_only,
        root_propagation: None,
        mounts,
        neighbour,
        devices,
        masked_paths: list(MASKED),
        readonly_paths: list(READ_ONLY),
        net_devices: Vec::new(),
        connected: !machine.networks.is_empty(),
        sysctls: sysctls::check(request, &namespaces)?,
        process: Process {
            args: record.args.clone(),
            env: record.env.clone(),
            working_directory: record.working_directory.clone(),
            user: User::Named {
                spec: record.user.clone(),
                additional_groups: request.additional_groups.clone(),
            },
            umask: UMASK,
            grant: Grant::AtMost(capabilities),
            no_new_privileges: request.security.no_new_privileges,
            seccomp,
            rlimits: limits::rlimits(request)?,
            oom_score_adj: request.oom_score_adj,
            terminal: request.terminal.then_some(terminal_size),
            attributes: Attributes::default(),
            preserved_descriptors: 0,
        },
        init: request.init,
        hooks: Hooks::default(),
        namespaces,
    };
    Ok((plan, rules))
}

/// The addresses that a name of `--add-host` has which is to lead to the machine, if there is one.
///
/// # Errors
/// The machine has none that the container sees.
fn host_gateways(places: &Places, request: &Request, wires: &[Wire]) -> Result<Vec<IpAddr>, Error> {
    let mut hosts = request.extra_hosts.iter();
    let Some((name, asked)) = hosts.find(|(_, address)| *address == HostAddress::HostGateway)
    else {
        return Ok(Vec::new());
    };
    let gateways = crate::networks::gateways(places, wires)?;
    match gateways.is_empty() {
        false => Ok(gateways),
        true => Err(Error::Impossible(format!(
            "--add-host {name}:{asked}: the machine has an address in networks of bridges, and the container is in none of \
             them now"
        ))),
    }
}

pub(crate) fn capabilities(record: &Record, last: u8) -> Result<CapSet, Error> {
    let request = &record.request;
    let set = capabilities::resolve(
        &request.cap_add,
        &request.cap_drop,
        request.privileged,
        last,
    )?;
    if record.id_maps.is_some() {
        // Whoever makes a user namespace has them all in it.
        return Ok(set);
    }
    let own = CapSet::own_permitted()?;
    // One that is named is wanted; of all of them, or of the default ones, those that there are.
    match set
        .without(own)
        .iter()
        .find(|cap| is_named(&request.cap_add, *cap))
    {
        Some(missing) => Err(Error::Impossible(format!(
            "--cap-add {missing}: in the machine's user namespace nobody can give what he has not, and soute was not \
             given it"
        ))),
        None => Ok(set.intersection(own)),
    }
}

fn is_named(words: &[String], cap: Cap) -> bool {
    words
        .iter()
        .any(|word| word.parse::<Cap>().is_ok_and(|named| named == cap))
}

pub(crate) fn filter(
    record: &Record,
    capabilities: CapSet,
    kernel: KernelVersion,
) -> Result<Option<Filter>, Error> {
    let request = &record.request;
    match &request.security.seccomp {
        SeccompChoice::Default if request.privileged => Ok(None),
        SeccompChoice::Default => Ok(Some(Filter::docker_default(capabilities, kernel)?)),
        SeccompChoice::Unconfined => Ok(None),
        SeccompChoice::Profile(text) => {
            let profile: Profile = serde_json::from_str(text)
                .map_err(|e| Error::Impossible(format!("the seccomp profile: {e}")))?;
            let filter = Filter::compile(&profile, capabilities, kernel)?;
            if filter.listener().is_some() {
                return Err(Error::Impossible(
                    "the seccomp profile: SCMP_ACT_NOTIFY asks a listener, and soute cannot hand it its descriptor yet"
                        .to_owned(),
                ));
            }
            Ok(Some(filter))
        }
    }
}

fn namespaces(record: &Record, joins: Joins) -> Namespaces {
    let request = &record.request;
    let shared = |share: &Share, join: Option<Joined>| match (share, join) {
        (_, Some(joined)) => joined.into(),
        (Share::Host, None) => Namespace::Host,
        _ => Namespace::New,
    };
    let user = match (joins.user, &record.id_maps) {
        (Some((fd, Some(maps))), _) => UserNamespace::Join(fd, maps),
        (Some((_, None)), _) | (None, None) => UserNamespace::Host,
        (None, Some(maps)) => UserNamespace::New(maps.clone()),
    };
    Namespaces {
        user,
        pid: shared(&request.pid, joins.pid),
        ipc: shared(&request.ipc, joins.ipc),
        uts: shared(&request.uts, None),
        cgroup: shared(&request.cgroupns, None),
        time: None,
        net: match (&request.network, joins.net) {
            (_, Some(joined)) => joined.into(),
            (Network::Host, None) => Namespace::Host,
            _ => Namespace::New,
        },
    }
}

/// overlayfs refuses an upper folder inside a lower one.
pub(crate) fn keeps_changes_in_memory(places: &Places, record: &Record) -> bool {
    let folder = places.container(&record.id);
    record.layers.iter().any(|layer| folder.starts_with(layer))
}

fn rootfs(places: &Places, record: &Record) -> Rootfs {
    let folder: PathBuf = places.container(&record.id);
    // Not below a folder of the machine, in which it may be itself: nor does overlayfs take one layer inside another.
    let below = record.image.as_ref().map(|_| places.mount_points());
    Rootfs::Layers(Layers {
        lower: below.into_iter().chain(record.layers.clone()).collect(),
        upper: if keeps_changes_in_memory(places, record) {
            Upper::Memory
        } else {
            Upper::Folder {
                path: folder,
                volatile: record.ephemeral,
            }
        },
    })
}

/// Nodes below /dev and what the device cgroup allows.
fn devices(record: &Record, capabilities: CapSet) -> Result<(Vec<Device>, Vec<DeviceRule>), Error> {
    let (mut nodes, mut rules) = wanted_devices(&record.request)?;
    if record.request.privileged {
        crate::devices::add_all(&mut nodes)?;
        rules = Vec::new();
    }
    // In a user namespace the kernel itself refuses to make device nodes, and without CAP_SYS_ADMIN nodev cannot be
    // taken off a mount: there are no devices but those above, and a rule for each is a rule too many.
    let kernel_denies = record.id_maps.is_some()
        && record.request.devices.is_empty()
        && !capabilities.contains(Cap::SYS_ADMIN);
    if kernel_denies {
        rules = Vec::new();
    }
    Ok((nodes, rules))
}

/// What the device cgroup allows a container that is not privileged.
pub(crate) fn device_rules(request: &Request) -> Result<Vec<DeviceRule>, Error> {
    Ok(wanted_devices(request)?.1)
}

fn wanted_devices(request: &Request) -> Result<(Vec<Device>, Vec<DeviceRule>), Error> {
    let mut nodes = Device::of_every_container();
    let mut rules = default_device_rules();
    for wanted in &request.devices {
        crate::devices::add(wanted, &mut nodes, &mut rules)?;
    }
    Ok((nodes, rules))
}
