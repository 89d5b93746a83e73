//! `linux.resources`

use oci_spec::runtime as oci;

use super::SpecError;
use crate::cgroups::{DeviceRule, Resources, Throttle};

/// Limits, and the rules for devices in their order.
///
/// # Errors
/// A value that no limit has.
pub fn resources(wanted: &oci::LinuxResources) -> Result<(Resources, Vec<DeviceRule>), SpecError> {
    let mut limits = Resources::default();
    if let Some(memory) = wanted.memory() {
        limits.memory = memory.limit().and_then(|n| u64::try_from(n).ok());
        limits.memory_reservation = memory.reservation().and_then(|n| u64::try_from(n).ok());
        limits.memory_swap = memory.swap();
        limits.memory_swappiness = memory.swappiness();
        limits.oom_kill_disable = memory.disable_oom_killer().unwrap_or(false);
    }
    if let Some(cpu) = wanted.cpu() {
        limits.cpu_shares = cpu.shares().filter(|n| *n != 0);
        limits.cpu_quota = cpu.quota();
        limits.cpu_period = cpu.period().filter(|n| *n != 0);
        limits.cpuset_cpus = cpu.cpus().clone().filter(|list| !list.is_empty());
        limits.cpuset_mems = cpu.mems().clone().filter(|list| !list.is_empty());
    }
    if let Some(pids) = wanted.pids() {
        limits.pids_limit = Some(pids.limit()).filter(|n| *n != 0);
    }
    if let Some(block) = wanted.block_io() {
        limits.blkio_weight = block.weight().filter(|n| *n != 0);
        limits.device_read_bps = throttles(block.throttle_read_bps_device())?;
        limits.device_write_bps = throttles(block.throttle_write_bps_device())?;
        limits.device_read_iops = throttles(block.throttle_read_iops_device())?;
        limits.device_write_iops = throttles(block.throttle_write_iops_device())?;
    }
    let rules = wanted.devices().iter().flatten().enumerate();
    let rules = rules.map(|(index, rule)| device_rule(index, rule));
    Ok((limits, rules.collect::<Result<_, _>>()?))
}

fn throttles(wanted: &Option<Vec<oci::LinuxThrottleDevice>>) -> Result<Vec<Throttle>, SpecError> {
    let number = |n: i64| {
        u32::try_from(n).map_err(|_| {
            SpecError::new(
                "linux.resources.blockIO",
                format!("{n} is no device number"),
            )
        })
    };
    wanted
        .iter()
        .flatten()
        .map(|device| {
            Ok(Throttle {
                major: number(device.major())?,
                minor: number(device.minor())?,
                rate: device.rate(),
            })
        })
        .collect()
}

fn device_rule(index: usize, rule: &oci::LinuxDeviceCgroup) -> Result<DeviceRule, SpecError> {
    let at = format!("linux.resources.devices[{index}]");
    let kind = match rule.typ() {
        None | Some(oci::LinuxDeviceType::A) => 'a',
        Some(oci::LinuxDeviceType::B) => 'b',
        Some(oci::LinuxDeviceType::C | oci::LinuxDeviceType::U) => 'c',
        Some(oci::LinuxDeviceType::P) => {
            return Err(SpecError::new(at + ".type", "\"p\" is no kind of device"));
        }
    };
    // -1 is "any", as is none.
    let number = |name: &str, n: Option<i64>| match n {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n)
            .map(Some)
            .map_err(|_| SpecError::new(format!("{at}.{name}"), n)),
    };
    Ok(DeviceRule {
        allow: rule.allow(),
        kind,
        major: number("major", rule.major())?,
        minor: number("minor", rule.minor())?,
        access: rule
            .access()
            .clone()
            .filter(|access| !access.is_empty())
            .unwrap_or_else(|| "rwm".to_owned()),
    })
}
