//! `linux.resources` of the OCI runtime specification 1.3 (config-linux.md) → [`Resources`] and device rules.
//!
//! Where the specification leaves room, it is used as runc 1.3 does: callers were written against that.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxResources,
    LinuxThrottleDevice,
};

use super::{
    CgroupError, DeviceRule, DeviceWeight, HugepageLimit, InterfacePriority, RdmaLimit,
    ResourceError, Resources, Throttle, default_device_rules,
};

/// What a bundle asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecResources {
    /// The limits.
    pub resources: Resources,
    /// The rules in the bundle's order, then those for the devices that every container has.
    pub device_rules: Vec<DeviceRule>,
    /// Fields that have no effect any more, and that no caller expects one of.
    pub ignored: Vec<&'static str>,
}

impl SpecResources {
    /// Checks and converts `spec`. A number that the kernel's types cannot hold is an error; what the machine
    /// has, [`Resources::check`] finds out.
    pub fn new(spec: &LinuxResources) -> Result<Self, CgroupError> {
        let mut resources = Resources::default();
        let mut ignored = Vec::new();
        if let Some(memory) = spec.memory() {
            set_memory(&mut resources, memory, &mut ignored);
        }
        if let Some(cpu) = spec.cpu() {
            set_cpu(&mut resources, cpu);
        }
        // 0 is what a caller sends that has no opinion. (A later draft makes a limit of it.)
        if let Some(pids) = spec.pids().filter(|pids| pids.limit() != 0) {
            resources.pids_limit = Some(pids.limit().max(-1));
        }
        if let Some(io) = spec.block_io() {
            set_block_io(&mut resources, io)?;
        }
        for limit in spec.hugepage_limits().iter().flatten() {
            resources.hugepage_limits.push(HugepageLimit {
                page_size: limit.page_size().clone(),
                limit: u64::try_from(limit.limit()).unwrap_or(u64::MAX),
            });
        }
        if let Some(network) = spec.network() {
            resources.net_class_id = network.class_id();
            for interface in network.priorities().iter().flatten() {
                resources.net_priorities.push(InterfacePriority {
                    name: interface.name().clone(),
                    priority: interface.priority(),
                });
            }
        }
        resources.rdma = spec
            .rdma()
            .iter()
            .flatten()
            .map(|(device, limit)| {
                let limit = RdmaLimit {
                    handles: limit.hca_handles(),
                    objects: limit.hca_objects(),
                };
                (device.clone(), limit)
            })
            .collect();
        resources.unified = spec
            .unified()
            .iter()
            .flatten()
            .map(|(file, text)| (file.clone(), text.clone()))
            .collect::<BTreeMap<_, _>>();
        let mut device_rules = spec
            .devices()
            .iter()
            .flatten()
            .map(device_rule)
            .collect::<Result<Vec<_>, _>>()?;
        device_rules.extend(always_allowed());
        Ok(Self {
            resources,
            device_rules,
            ignored,
        })
    }
}

/// What runc allows after all the bundle's rules, which therefore cannot take it away: [`default_device_rules`],
/// and the device of tunnels, which many callers have relied on.
pub fn always_allowed() -> Vec<DeviceRule> {
    let mut rules = default_device_rules();
    rules.push(DeviceRule {
        allow: true,
        kind: 'c',
        major: Some(10),
        minor: Some(200),
        access: "rwm".to_owned(),
    });
    rules
}

fn set_memory(to: &mut Resources, memory: &LinuxMemory, ignored: &mut Vec<&'static str>) {
    to.memory = memory.limit();
    to.memory_reservation = memory.reservation();
    to.memory_swap = memory.swap();
    // No kernel since 5.16 takes a limit on its own memory, and those before have no use for one.
    #[allow(deprecated)]
    if memory.kernel().is_some() {
        ignored.push("memory.kernel");
    }
    if memory.kernel_tcp().is_some() {
        ignored.push("memory.kernelTCP");
    }
    // -1, by callers that count in 64 bits with a sign.
    to.memory_swappiness = memory.swappiness().filter(|&n| n != u64::MAX);
    to.oom_kill_disable = memory.disable_oom_killer().unwrap_or(false);
    to.memory_hierarchy = memory.use_hierarchy();
    to.memory_check_before_update = memory.check_before_update().unwrap_or(false);
}

fn set_cpu(to: &mut Resources, cpu: &LinuxCpu) {
    to.cpu_shares = cpu.shares();
    to.cpu_quota = cpu.quota();
    to.cpu_burst = cpu.burst();
    to.cpu_period = cpu.period();
    to.cpu_rt_runtime = cpu.realtime_runtime();
    to.cpu_rt_period = cpu.realtime_period();
    to.cpu_idle = cpu.idle();
    to.cpuset_cpus = cpu.cpus().clone();
    to.cpuset_mems = cpu.mems().clone();
}

fn set_block_io(to: &mut Resources, io: &LinuxBlockIo) -> Result<(), CgroupError> {
    to.blkio_weight = io.weight();
    to.blkio_leaf_weight = io.leaf_weight();
    for device in io.weight_device().iter().flatten() {
        let (major, minor) = numbers("blockIO.weightDevice", device.major(), device.minor())?;
        to.blkio_weight_device.push(DeviceWeight {
            major,
            minor,
            weight: device.weight(),
            leaf_weight: device.leaf_weight(),
        });
    }
    let throttles = |limit, devices: &Option<Vec<LinuxThrottleDevice>>| {
        let devices = devices.iter().flatten();
        devices
            .map(|device| {
                let (major, minor) = numbers(limit, device.major(), device.minor())?;
                let rate = device.rate();
                Ok(Throttle { major, minor, rate })
            })
            .collect::<Result<Vec<_>, CgroupError>>()
    };
    to.device_read_bps = throttles(
        "blockIO.throttleReadBpsDevice",
        io.throttle_read_bps_device(),
    )?;
    to.device_write_bps = throttles(
        "blockIO.throttleWriteBpsDevice",
        io.throttle_write_bps_device(),
    )?;
    to.device_read_iops = throttles(
        "blockIO.throttleReadIOPSDevice",
        io.throttle_read_iops_device(),
    )?;
    to.device_write_iops = throttles(
        "blockIO.throttleWriteIOPSDevice",
        io.throttle_write_iops_device(),
    )?;
    Ok(())
}

fn numbers(limit: &'static str, major: i64, minor: i64) -> Result<(u32, u32), CgroupError> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        _ => Err(ResourceError::Range {
            limit,
            value: format!("{major}:{minor}"),
            range: "a device's two numbers".to_owned(),
        }
        .into()),
    }
}

fn device_rule(rule: &LinuxDeviceCgroup) -> Result<DeviceRule, CgroupError> {
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => 'a',
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::C) => 'c',
        Some(LinuxDeviceType::U) => 'u',
        Some(LinuxDeviceType::P) => 'p',
    };
    let access = rule.access().clone().unwrap_or_default();
    let number = |number: Option<i64>| match number {
        // "All", in the words of those who count with a sign.
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| CgroupError::Device {
                rule: format!("{kind} {number} {access}"),
                why: "no device has such a number",
            }),
    };
    Ok(DeviceRule {
        allow: rule.allow(),
        kind,
        major: number(rule.major())?,
        minor: number(rule.minor())?,
        access: access.clone(),
    })
}

/// The names of the fields that limits with a flag of their own have in a bundle.
const FIELDS: [(&str, &str); 15] = [
    // Longer names before those that they begin with.
    ("--memory-reservation", "memory.reservation"),
    ("--memory-swappiness", "memory.swappiness"),
    ("--memory-swap", "memory.swap"),
    ("--memory", "memory.limit"),
    ("--oom-kill-disable", "memory.disableOOMKiller"),
    ("--cpu-shares", "cpu.shares"),
    ("--cpu-quota (--cpus)", "cpu.quota"),
    ("--cpu-period", "cpu.period"),
    ("--cpuset-cpus", "cpu.cpus"),
    ("--cpuset-mems", "cpu.mems"),
    ("--pids-limit", "pids.limit"),
    ("--blkio-weight", "blockIO.weight"),
    ("--device-read", "blockIO.throttleRead"),
    ("--device-write", "blockIO.throttleWrite"),
    ("--cpu-quota", "cpu.quota"),
];

impl CgroupError {
    /// The error in the words of a bundle, which has fields where Docker's command line has flags.
    pub fn in_spec_words(&self) -> String {
        let mut message = self.to_string();
        for (flag, field) in FIELDS {
            message = message.replace(flag, field);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(json: &str) -> SpecResources {
        SpecResources::new(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn every_field() {
        let spec = convert(
            r#"{
            "devices": [{"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
                {"allow": true, "type": "b", "major": 8, "minor": -1, "access": "r"}],
            "memory": {"limit": 536870912, "reservation": -1, "swap": -1, "kernel": -1, "kernelTCP": 5,
                "swappiness": 0, "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true},
            "cpu": {"shares": 1024, "quota": 1000000, "burst": 900000, "period": 500000, "realtimeRuntime": 950000,
                "realtimePeriod": 1000000, "cpus": "2-3", "mems": "0-7", "idle": 1},
            "blockIO": {"weight": 10, "leafWeight": 11,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 600}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 2, "rate": 601}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 3, "rate": 602}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "pids": {"limit": 32771},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "rxe3": {"hcaObjects": 7}},
            "unified": {"io.max": "259:0 rbps=2097152\n253:0 wiops=120"}}"#,
        );
        assert_eq!(spec.ignored, ["memory.kernel", "memory.kernelTCP"]);
        let rules: Vec<_> = spec.device_rules[..3]
            .iter()
            .map(|r| (r.allow, r.kind, r.major, r.minor, r.access.as_str()))
            .collect();
        assert_eq!(
            rules,
            [
                (false, 'a', None, None, "rwm"),
                (true, 'c', Some(10), Some(229), "rw"),
                (true, 'b', Some(8), None, "r"),
            ]
        );
        assert_eq!(spec.device_rules[3..], always_allowed());
        let throttle = |minor, rate| {
            vec![Throttle {
                major: 8,
                minor,
                rate,
            }]
        };
        let expected = Resources {
            memory: Some(536_870_912),
            memory_reservation: Some(-1),
            memory_swap: Some(-1),
            memory_swap_where_accounted: false,
            memory_swappiness: Some(0),
            oom_kill_disable: true,
            memory_hierarchy: Some(true),
            memory_check_before_update: true,
            cpu_shares: Some(1024),
            cpu_quota: Some(1_000_000),
            cpu_burst: Some(900_000),
            cpu_period: Some(500_000),
            cpu_rt_runtime: Some(950_000),
            cpu_rt_period: Some(1_000_000),
            cpu_idle: Some(1),
            cpuset_cpus: Some("2-3".into()),
            cpuset_mems: Some("0-7".into()),
            pids_limit: Some(32_771),
            blkio_weight: Some(10),
            blkio_leaf_weight: Some(11),
            blkio_weight_device: vec![DeviceWeight {
                major: 8,
                minor: 0,
                weight: Some(500),
                leaf_weight: Some(300),
            }],
            device_read_bps: throttle(1, 600),
            device_write_bps: throttle(2, 601),
            device_read_iops: throttle(3, 602),
            device_write_iops: throttle(16, 300),
            hugepage_limits: vec![HugepageLimit {
                page_size: "2MB".into(),
                limit: 209_715_200,
            }],
            net_class_id: Some(1_048_577),
            net_priorities: vec![InterfacePriority {
                name: "eth0".into(),
                priority: 500,
            }],
            rdma: [("mlx5_1", Some(3), 10_000), ("rxe3", None, 7)]
                .map(|(device, handles, objects)| {
                    let objects = Some(objects);
                    (device.to_owned(), RdmaLimit { handles, objects })
                })
                .into(),
            unified: [(
                "io.max".into(),
                "259:0 rbps=2097152\n253:0 wiops=120".into(),
            )]
            .into(),
        };
        assert_eq!(spec.resources, expected);
    }

    #[test]
    fn nothing_asked_but_the_devices_of_every_container() {
        let spec = convert("{}");
        assert_eq!(spec.resources, Resources::default());
        assert_eq!(spec.device_rules, always_allowed());
        assert_eq!(
            convert(r#"{"pids": {"limit": 0}}"#).resources.pids_limit,
            None
        );
        assert_eq!(
            convert(r#"{"pids": {"limit": -5}}"#).resources.pids_limit,
            Some(-1)
        );
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for bad in [
            r#"{"devices": [{"allow": true, "type": "c", "major": -2, "access": "r"}]}"#,
            r#"{"blockIO": {"throttleReadBpsDevice": [{"major": -1, "minor": 0, "rate": 1}]}}"#,
        ] {
            let spec = serde_json::from_str(bad).unwrap();
            assert!(SpecResources::new(&spec).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_name_the_bundles_fields() {
        let error = CgroupError::OnlyV1 {
            limit: "--memory-swappiness",
            controller: "memory".into(),
        };
        assert!(
            error
                .in_spec_words()
                .starts_with("memory.swappiness exists in cgroup v1 only")
        );
    }
}
