//! The fields of `process` and `linux` that are neither limits nor rights: scheduling, affinity, memory policy,
//! personality, labels, clocks, network devices.
//!
//! They are read by types of our own. Those of `oci-spec` 0.10 know two flags of a scheduler under other names than the
//! specification's (`SCHED_FLAG_RESET_ON_FORK`, `SCHED_FLAG_DL_OVERRUN`), and take a required field that is missing for
//! a default. [`readable`] keeps such a scheduler from them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::SpecError;
use crate::netdev::NetDevice;
use crate::process::Failure;
use crate::process::attributes::{
    Affinity, Attributes, BadNumbers, IoPriority, MemoryPolicy, Numbers, Scheduler,
};
use crate::process::time::Offset;

/// What a configuration says of all that.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Of its process; the affinity is for `exec` alone.
    pub attributes: Attributes,
    /// `linux.timeOffsets`, by the clocks' names.
    pub time_offsets: Vec<Offset>,
    /// `linux.netDevices`, by their names on the machine.
    pub net_devices: Vec<NetDevice>,
}

#[derive(Deserialize)]
struct ConfigPart {
    process: Option<ProcessPart>,
    linux: Option<LinuxPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessPart {
    scheduler: Option<SchedulerPart>,
    io_priority: Option<IoPriorityPart>,
    #[serde(rename = "execCPUAffinity")]
    exec_cpu_affinity: Option<AffinityPart>,
    apparmor_profile: Option<String>,
    selinux_label: Option<String>,
}

#[derive(Deserialize)]
struct SchedulerPart {
    policy: String,
    nice: Option<i32>,
    priority: Option<i32>,
    flags: Option<Vec<String>>,
    runtime: Option<u64>,
    deadline: Option<u64>,
    period: Option<u64>,
}

#[derive(Deserialize)]
struct IoPriorityPart {
    class: String,
    priority: i64,
}

#[derive(Deserialize)]
struct AffinityPart {
    initial: Option<String>,
    #[serde(rename = "final")]
    last: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinuxPart {
    personality: Option<PersonalityPart>,
    memory_policy: Option<MemoryPolicyPart>,
    mount_label: Option<String>,
    time_offsets: Option<BTreeMap<String, OffsetPart>>,
    net_devices: Option<BTreeMap<String, NetDevicePart>>,
}

#[derive(Deserialize)]
struct PersonalityPart {
    domain: String,
    flags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct MemoryPolicyPart {
    mode: String,
    nodes: Option<String>,
    flags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct OffsetPart {
    secs: Option<i64>,
    nanosecs: Option<u32>,
}

#[derive(Deserialize)]
struct NetDevicePart {
    name: Option<String>,
}

/// What the `config.json` of this text says.
///
/// # Errors
/// The first field that is no such field, or that cannot be had on any machine.
pub fn of_config(text: &[u8]) -> Result<Extras, SpecError> {
    let config: ConfigPart =
        serde_json::from_slice(text).map_err(|e| SpecError::new("not a configuration", e))?;
    let mut extras = Extras::default();
    if let Some(part) = config.process {
        extras.attributes = attributes(part, "process.")?;
    }
    if let Some(part) = config.linux {
        part.add_to(&mut extras)?;
    }
    Ok(extras)
}

/// What the process file of `exec` says: a configuration's `process` by itself.
///
/// # Errors
/// As [`of_config`].
pub fn of_process(text: &[u8]) -> Result<Attributes, SpecError> {
    let part: ProcessPart =
        serde_json::from_slice(text).map_err(|e| SpecError::new("not a process", e))?;
    attributes(part, "")
}

/// The text of a `config.json` or of a process file such that `oci-spec` can read it: without a scheduler that has
/// flags, which is all that it is changed in. Text that is no JSON is left to be refused there.
pub fn readable(text: &[u8]) -> Cow<'_, [u8]> {
    const FLAG: &[u8] = b"SCHED_FLAG_";
    if !text.windows(FLAG.len()).any(|window| window == FLAG) {
        return Cow::Borrowed(text);
    }
    let Ok(mut document) = serde_json::from_slice::<serde_json::Value>(text) else {
        return Cow::Borrowed(text);
    };
    if let Some(object) = document.as_object_mut() {
        object.remove("scheduler");
        if let Some(process) = object.get_mut("process").and_then(|p| p.as_object_mut()) {
            process.remove("scheduler");
        }
    }
    serde_json::to_vec(&document).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn attributes(part: ProcessPart, within: &str) -> Result<Attributes, SpecError> {
    let at = |field: &str| format!("{within}{field}");
    let scheduler = part.scheduler.map(scheduler).transpose();
    let io_priority = part.io_priority.map(|part| {
        Ok::<_, Failure>(IoPriority {
            class: part.class.parse()?,
            level: part.priority,
        })
    });
    let affinity = part
        .exec_cpu_affinity
        .map_or(Ok(Affinity::default()), |part| {
            Ok::<_, BadNumbers>(Affinity {
                initial: numbers(part.initial)?,
                last: numbers(part.last)?,
            })
        });
    Ok(Attributes {
        scheduler: scheduler.map_err(|e| SpecError::new(at("scheduler"), e))?,
        io_priority: io_priority
            .transpose()
            .map_err(|e| SpecError::new(at("ioPriority"), e))?,
        affinity: affinity.map_err(|e| SpecError::new(at("execCPUAffinity"), e))?,
        apparmor_profile: part.apparmor_profile.unwrap_or_default(),
        selinux_label: part.selinux_label.unwrap_or_default(),
        ..Attributes::default()
    })
}

fn scheduler(part: SchedulerPart) -> Result<Scheduler, Failure> {
    Ok(Scheduler {
        policy: part.policy.parse()?,
        nice: part.nice.unwrap_or_default(),
        priority: part.priority.unwrap_or_default(),
        flags: parse_all(part.flags)?,
        runtime: part.runtime.unwrap_or_default(),
        deadline: part.deadline.unwrap_or_default(),
        period: part.period.unwrap_or_default(),
    })
}

fn parse_all<T: std::str::FromStr>(words: Option<Vec<String>>) -> Result<Vec<T>, T::Err> {
    let words = words.unwrap_or_default();
    words.iter().map(|word| word.parse()).collect()
}

/// Empty is as good as missing.
fn numbers(text: Option<String>) -> Result<Option<Numbers>, BadNumbers> {
    text.filter(|text| !text.is_empty())
        .map(|text| text.parse())
        .transpose()
}

impl LinuxPart {
    fn add_to(self, extras: &mut Extras) -> Result<(), SpecError> {
        let attributes = &mut extras.attributes;
        attributes.mount_label = self.mount_label.unwrap_or_default();
        if let Some(part) = self.personality {
            let at = "linux.personality";
            if let Some(flag) = part.flags.iter().flatten().next() {
                return Err(SpecError::new(
                    format!("{at}.flags"),
                    format!("there is no {flag:?}"),
                ));
            }
            let domain = part.domain.parse();
            attributes.personality = Some(domain.map_err(|e| SpecError::new(at, e))?);
        }
        if let Some(part) = self.memory_policy {
            let at = "linux.memoryPolicy";
            let failed = |e: Failure| SpecError::new(at, e);
            attributes.memory_policy = Some(MemoryPolicy {
                mode: part.mode.parse().map_err(failed)?,
                nodes: numbers(part.nodes).map_err(|e| SpecError::new(format!("{at}.nodes"), e))?,
                flags: parse_all(part.flags).map_err(failed)?,
            });
        }
        for (clock, part) in self.time_offsets.unwrap_or_default() {
            let clock = clock
                .parse()
                .map_err(|e| SpecError::new("linux.timeOffsets", e))?;
            extras.time_offsets.push(Offset {
                clock,
                secs: part.secs.unwrap_or_default(),
                nanosecs: part.nanosecs.unwrap_or_default(),
            });
        }
        for (name, part) in self.net_devices.unwrap_or_default() {
            let device = NetDevice {
                name,
                new_name: part.name,
            };
            device
                .check()
                .map_err(|e| SpecError::new("linux.netDevices", e))?;
            extras.net_devices.push(device);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
