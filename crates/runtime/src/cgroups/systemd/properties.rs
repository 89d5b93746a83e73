//! Limits as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)).
//!
//! A property says what the setting of the kernel beside it says; so both come from [`Resources`], and the kernel's
//! files are written after systemd's. What systemd knows no property of is in the kernel's files alone.

use zbus::Variant;

use super::Unit;
use crate::cgroups::devices::{self, Allowed};
use crate::cgroups::settings::{cpu_weight, io_weight, swap_max};
use crate::cgroups::{CgroupError, DeviceRule, Layout, Resources, validate};

/// Name and value.
pub(super) type Property = (&'static str, Variant<'static>);

/// systemd's word for no limit.
const INFINITY: u64 = u64::MAX;

/// The kernel's own period, in microseconds.
const PERIOD: u64 = 100_000;

/// What every scope of a container has.
pub(super) fn of_scope(unit: &Unit) -> Vec<Property> {
    let mut properties = vec![
        ("Description", format!("soute: {}", unit.name()).into()),
        ("Slice", unit.slice().to_owned().into()),
        // The cgroups below are the container's; systemd leaves them alone, and all controllers to them.
        ("Delegate", true.into()),
        // Not stopped and not waited for when the machine goes down or another target comes: its caller does that.
        ("DefaultDependencies", false.into()),
    ];
    for controller in [
        "MemoryAccounting",
        "CPUAccounting",
        "IOAccounting",
        "TasksAccounting",
    ] {
        properties.push((controller, true.into()));
    }
    properties
}

/// Those of the limits that systemd knows.
pub(super) fn of_resources(layout: &Layout, r: &Resources) -> Result<Vec<Property>, CgroupError> {
    let mut all: Vec<Property> = Vec::new();
    let v2 = |controller| layout.v2().is_some_and(|h| h.has(controller));
    let v1 = |controller| layout.carrier(controller).is_some_and(|h| !h.v2);
    if let Some(bytes) = r.memory.filter(|&m| m != 0) {
        if v2("memory") {
            all.push(("MemoryMax", limit(bytes).into()));
        } else if v1("memory") {
            all.push(("MemoryLimit", limit(bytes).into()));
        }
    }
    if v2("memory") {
        if let Some(bytes) = r.memory_reservation.filter(|&m| m != 0) {
            all.push(("MemoryLow", limit(bytes).into()));
        }
        let memory = r.memory.filter(|&m| m != 0);
        let swap = match r.memory_swap.filter(|&s| s != 0) {
            None if memory.is_some_and(|m| m < 0) => Some(-1),
            swap => swap,
        };
        if let Some(total) = swap {
            let swap = swap_max(total, memory)?.parse().unwrap_or(INFINITY);
            all.push(("MemorySwapMax", swap.into()));
        }
    }
    if let Some(shares) = r.cpu_shares.filter(|&s| s != 0) {
        if v2("cpu") && r.cpu_idle != Some(1) {
            all.push(("CPUWeight", cpu_weight(shares).into()));
        } else if v1("cpu") {
            all.push(("CPUShares", shares.into()));
        }
    }
    if v2("cpu") && r.cpu_idle == Some(1) {
        // systemd's word for cpu.idle (since 252).
        all.push(("CPUWeight", 0u64.into()));
    }
    let (quota, period) = (r.cpu_quota.unwrap_or(0), r.cpu_period.unwrap_or(0));
    if period != 0 {
        all.push(("CPUQuotaPeriodUSec", period.into()));
    }
    if quota != 0 || period != 0 {
        let period = if period == 0 { PERIOD } else { period };
        all.push(("CPUQuotaPerSecUSec", per_second(quota, period).into()));
    }
    if let Some(max) = r.pids_limit {
        let max = u64::try_from(max).ok().filter(|&max| max != 0);
        all.push(("TasksMax", max.unwrap_or(INFINITY).into()));
    }
    if v2("cpuset") {
        for (name, list) in [
            ("AllowedCPUs", &r.cpuset_cpus),
            ("AllowedMemoryNodes", &r.cpuset_mems),
        ] {
            if let Some(bits) = list.as_deref().and_then(some_bits) {
                all.push((name, bits.into()));
            }
        }
    }
    if let Some(weight) = r.blkio_weight.filter(|&w| w != 0) {
        if v2("io") {
            all.push(("IOWeight", io_weight(weight).into()));
        } else if v1("blkio") {
            all.push(("BlockIOWeight", u64::from(weight).into()));
        }
    }
    of_unified(r, &mut all);
    Ok(all)
}

/// The files of `unified` that systemd has a property for; they come after what was converted, and replace it.
fn of_unified(r: &Resources, all: &mut Vec<Property>) {
    for (file, text) in &r.unified {
        let text = text.trim();
        let number = || match text {
            "max" => Some(INFINITY),
            text => text.parse().ok(),
        };
        let property: Option<Property> = match file.as_str() {
            "memory.max" => number().map(|n| ("MemoryMax", n.into())),
            "memory.high" => number().map(|n| ("MemoryHigh", n.into())),
            "memory.low" => number().map(|n| ("MemoryLow", n.into())),
            "memory.min" => number().map(|n| ("MemoryMin", n.into())),
            "memory.swap.max" => number().map(|n| ("MemorySwapMax", n.into())),
            "pids.max" => number().map(|n| ("TasksMax", n.max(1).into())),
            "cpu.weight" => number().map(|n| ("CPUWeight", n.into())),
            "cpuset.cpus" => some_bits(text).map(|bits| ("AllowedCPUs", bits.into())),
            "cpuset.mems" => some_bits(text).map(|bits| ("AllowedMemoryNodes", bits.into())),
            "cpu.max" => {
                let mut words = text.split_whitespace();
                let quota = words.next().and_then(|w| w.parse().ok()).unwrap_or(-1);
                let period = words.next().and_then(|w| w.parse().ok()).unwrap_or(PERIOD);
                all.retain(|(name, _)| *name != "CPUQuotaPeriodUSec");
                all.push(("CPUQuotaPeriodUSec", period.into()));
                Some(("CPUQuotaPerSecUSec", per_second(quota, period).into()))
            }
            _ => None,
        };
        if let Some(property) = property {
            all.retain(|(name, _)| *name != property.0);
            all.push(property);
        }
    }
}

/// Device rules, where systemd can say the same: a list of what is allowed. No rules, no property.
pub(super) fn of_devices(rules: &[DeviceRule]) -> Result<Vec<Property>, CgroupError> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let Allowed::These(list) = devices::allowed(rules)? else {
        // Everything, or everything but some, which systemd has no word for: the kernel alone knows.
        return Ok(vec![("DevicePolicy", "auto".to_owned().into())]);
    };
    let list: Vec<(String, String)> = list
        .into_iter()
        .map(|device| {
            let kind = if device.block { "block" } else { "char" };
            let name = match (device.major, device.minor) {
                (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
                // Since systemd 240.
                (Some(major), None) => format!("{kind}-{major}"),
                (None, _) => format!("{kind}-*"),
            };
            (name, device.access)
        })
        .collect();
    Ok(vec![
        ("DevicePolicy", "strict".to_owned().into()),
        ("DeviceAllow", list.into()),
    ])
}

fn limit(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(INFINITY)
}

/// Microseconds of CPU time per second.
fn per_second(quota: i64, period: u64) -> u64 {
    match u64::try_from(quota) {
        Ok(quota) if quota > 0 && period > 0 => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period);
            u64::try_from(exact).unwrap_or(INFINITY)
        }
        _ => INFINITY,
    }
}

/// A list of CPUs or nodes as a bit field, the first in the lowest bit of the first byte. None: it has none.
fn some_bits(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for number in validate::parse_list(list)? {
        let at = number as usize / 8;
        if bits.len() <= at {
            bits.resize(at + 1, 0);
        }
        bits[at] |= 1 << (number % 8);
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{Hierarchy, default_device_rules};

    fn unified() -> Layout {
        let names = ["cpu", "cpuset", "memory", "pids", "io"];
        Layout::from_parts(vec![Hierarchy {
            v2: true,
            controllers: names.map(str::to_owned).to_vec(),
            mount: "/x".into(),
            root: "/".into(),
            own: "/".into(),
        }])
    }

    fn of(r: &Resources) -> Vec<(&'static str, Variant<'static>)> {
        of_resources(&unified(), r).unwrap()
    }

    #[test]
    fn limits_are_told_to_systemd() {
        let r = Resources {
            memory: Some(200),
            memory_swap: Some(500),
            memory_reservation: Some(-1),
            cpu_shares: Some(1024),
            cpu_quota: Some(50_000),
            cpu_period: Some(200_000),
            cpuset_cpus: Some("0-1,9".into()),
            pids_limit: Some(64),
            blkio_weight: Some(1000),
            ..Resources::default()
        };
        let expected: Vec<Property> = vec![
            ("MemoryMax", 200u64.into()),
            ("MemoryLow", INFINITY.into()),
            ("MemorySwapMax", 300u64.into()),
            ("CPUWeight", 100u64.into()),
            ("CPUQuotaPeriodUSec", 200_000u64.into()),
            ("CPUQuotaPerSecUSec", 250_000u64.into()),
            ("TasksMax", 64u64.into()),
            ("AllowedCPUs", vec![3u8, 2].into()),
            ("IOWeight", 10_000u64.into()),
        ];
        assert_eq!(of(&r), expected);
        assert!(of(&Resources::default()).is_empty());
    }

    #[test]
    fn no_limit_and_files_by_name() {
        let r = Resources {
            memory: Some(-1),
            cpu_idle: Some(1),
            cpu_shares: Some(2),
            cpu_quota: Some(-1),
            pids_limit: Some(-1),
            unified: [
                ("memory.high", "max"),
                ("memory.max", "4096"),
                ("cpu.max", "5000 10000"),
                ("io.max", "8:0 rbps=1"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            ..Resources::default()
        };
        let expected: Vec<Property> = vec![
            ("MemorySwapMax", INFINITY.into()),
            ("CPUWeight", 0u64.into()),
            ("TasksMax", INFINITY.into()),
            ("CPUQuotaPeriodUSec", 10_000u64.into()),
            ("CPUQuotaPerSecUSec", 500_000u64.into()),
            ("MemoryHigh", INFINITY.into()),
            ("MemoryMax", 4096u64.into()),
        ];
        assert_eq!(of(&r), expected);
    }

    #[test]
    fn devices_are_a_list_of_what_is_allowed() {
        let rules = of_devices(&default_device_rules()).unwrap();
        assert_eq!(rules[0], ("DevicePolicy", "strict".to_owned().into()));
        let list: Vec<(String, String)> = rules[1].1.try_clone().unwrap().downcast().unwrap();
        let has = |name: &str, access: &str| list.contains(&(name.to_owned(), access.to_owned()));
        assert!(has("/dev/char/1:3", "rwm") && has("char-136", "rwm"));
        assert!(has("block-*", "m") && has("char-*", "m"), "{list:?}");
        let all = DeviceRule {
            allow: true,
            kind: 'a',
            major: None,
            minor: None,
            access: "rwm".into(),
        };
        let policy = of_devices(&[all]).unwrap();
        assert_eq!(policy, [("DevicePolicy", "auto".to_owned().into())]);
        assert!(of_devices(&[]).unwrap().is_empty());
    }
}
