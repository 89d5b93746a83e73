//! `process.scheduler` and its kin, `linux.personality`, `linux.memoryPolicy`, labels.

use std::str::FromStr;

use oci_spec::runtime as oci;
use serde::Serialize;

use super::{Config, SpecError};
use crate::netdev::NetDevice;
use crate::plan::Namespaces;
use crate::process::attributes::{
    Affinity, Attributes, IoClass, IoPriority, MemoryPolicy, Numbers, Personality, Policy,
    Scheduler,
};
use crate::process::time::{Offset, Time};

/// Of a process in the container of `config`. `exec`: not of the container's own process.
pub(super) fn attributes(
    config: &Config,
    process: &oci::Process,
    exec: bool,
) -> Result<Attributes, SpecError> {
    let linux = config.spec.linux().as_ref();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let attributes = Attributes {
        scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
        io_priority: process.io_priority().map(io_priority).transpose()?,
        affinity: match process.exec_cpu_affinity() {
            Some(wanted) if exec => affinity(wanted)?,
            _ => Affinity::default(),
        },
        personality: match linux.and_then(|linux| linux.personality().as_ref()) {
            Some(wanted) => Some(personality(wanted)?),
            None => None,
        },
        memory_policy: match linux.and_then(|linux| linux.memory_policy().as_ref()) {
            Some(wanted) => Some(memory_policy(wanted)?),
            None => None,
        },
        apparmor_profile: text(process.apparmor_profile()),
        selinux_label: text(process.selinux_label()),
        mount_label: linux
            .map(|linux| text(linux.mount_label()))
            .unwrap_or_default(),
    };
    attributes
        .check()
        .map_err(|e| SpecError::new("process, linux", e))?;
    Ok(attributes)
}

/// The word that a value is in the document; this house knows it by that name.
fn word<T: FromStr>(at: &str, value: impl Serialize) -> Result<T, SpecError>
where
    T::Err: std::fmt::Display,
{
    let word = serde_json::to_value(value).map_err(|e| SpecError::new(at, e))?;
    let word = word.as_str().unwrap_or_default();
    word.parse().map_err(|e| SpecError::new(at, e))
}

fn scheduler(wanted: &oci::Scheduler) -> Result<Scheduler, SpecError> {
    let flags = wanted.flags().iter().flatten();
    Ok(Scheduler {
        policy: word::<Policy>("process.scheduler.policy", wanted.policy())?,
        nice: wanted.nice().unwrap_or(0),
        priority: wanted.priority().unwrap_or(0),
        flags: flags.map(|flag| super::flags::known(*flag)).collect(),
        runtime: wanted.runtime().unwrap_or(0),
        deadline: wanted.deadline().unwrap_or(0),
        period: wanted.period().unwrap_or(0),
    })
}

fn io_priority(wanted: oci::LinuxIOPriority) -> Result<IoPriority, SpecError> {
    Ok(IoPriority {
        class: word::<IoClass>("process.ioPriority.class", wanted.class())?,
        level: wanted.priority(),
    })
}

fn affinity(wanted: &oci::ExecCPUAffinity) -> Result<Affinity, SpecError> {
    let list = |at: &str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse::<Numbers>()
            .map(Some)
            .map_err(|e| SpecError::new(at, e)),
    };
    Ok(Affinity {
        initial: list("process.execCPUAffinity.initial", wanted.initial())?,
        last: list("process.execCPUAffinity.final", wanted.cpu_affinity_final())?,
    })
}

fn personality(wanted: &oci::LinuxPersonality) -> Result<Personality, SpecError> {
    if wanted.flags().iter().flatten().next().is_some() {
        let why = "the specification defines none";
        return Err(SpecError::new("linux.personality.flags", why));
    }
    word("linux.personality.domain", wanted.domain())
}

fn memory_policy(wanted: &oci::LinuxMemoryPolicy) -> Result<MemoryPolicy, SpecError> {
    let flags = wanted.flags().iter().flatten();
    Ok(MemoryPolicy {
        mode: word("linux.memoryPolicy.mode", wanted.mode())?,
        nodes: match wanted.nodes().as_deref() {
            None | Some("") => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|e| SpecError::new("linux.memoryPolicy.nodes", e))?,
            ),
        },
        flags: flags
            .map(|flag| word("linux.memoryPolicy.flags", flag))
            .collect::<Result<_, _>>()?,
    })
}

/// `linux.timeOffsets` for the time namespace that is listed; `joined`: one that there was.
pub(super) fn time(
    spec: &oci::Spec,
    joined: Option<std::os::fd::OwnedFd>,
) -> Result<Time, SpecError> {
    let offsets = offsets(spec)?;
    match joined {
        Some(_) if !offsets.is_empty() => Err(SpecError::new(
            "linux.timeOffsets",
            "the clocks of a time namespace that is joined are as they are",
        )),
        Some(fd) => Ok(Time::Join(fd)),
        None => {
            let time = Time::New(offsets);
            time.check()
                .map_err(|e| SpecError::new("linux.timeOffsets", e))?;
            Ok(time)
        }
    }
}

pub(super) fn offsets(spec: &oci::Spec) -> Result<Vec<Offset>, SpecError> {
    let linux = spec.linux().as_ref();
    let wanted = linux.and_then(|linux| linux.time_offsets().as_ref());
    wanted
        .into_iter()
        .flatten()
        .map(|(clock, offset)| {
            Ok(Offset {
                clock: clock
                    .parse()
                    .map_err(|e| SpecError::new("linux.timeOffsets", e))?,
                secs: offset.secs().unwrap_or(0),
                nanosecs: offset.nanosecs().unwrap_or(0),
            })
        })
        .collect()
}

/// `linux.netDevices`, in an order of our own, since the document has none.
pub(super) fn net_devices(
    spec: &oci::Spec,
    namespaces: &Namespaces,
) -> Result<Vec<NetDevice>, SpecError> {
    let linux = spec.linux().as_ref();
    let wanted = linux.and_then(|linux| linux.net_devices().as_ref());
    let mut devices: Vec<NetDevice> = wanted
        .into_iter()
        .flatten()
        .map(|(name, device)| NetDevice {
            name: name.clone(),
            new_name: device.name().clone(),
        })
        .collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    if !devices.is_empty() && namespaces.net.is_host() {
        return Err(SpecError::new(
            "linux.netDevices",
            "the container has no network namespace that they could move to",
        ));
    }
    for device in &devices {
        device
            .check()
            .map_err(|e| SpecError::new("linux.netDevices", e))?;
    }
    Ok(devices)
}
