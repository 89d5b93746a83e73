//! Limits on the container as a whole: memory, CPU, processes, block devices.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use soute_engine::request::Request;
use soute_runtime::cgroups::{Resources, Throttle};

use super::numbers;
use super::outside::Outside;

/// Limits that can be changed while the container runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Memory
    #[arg(short, long, value_name = "BYTES", value_parser = numbers::bytes)]
    memory: Option<u64>,

    /// Memory and swap together (-1: swap without limit)
    #[arg(long, value_name = "BYTES", value_parser = numbers::bytes_or_unlimited)]
    memory_swap: Option<i64>,

    /// Memory that is left to the container when the machine runs short
    #[arg(long, value_name = "BYTES", value_parser = numbers::bytes)]
    memory_reservation: Option<u64>,

    /// CPUs, as a decimal fraction
    #[arg(long, value_name = "NUMBER", value_parser = numbers::cpus)]
    cpus: Option<u64>,

    /// Weight among those who want CPU time (1024)
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,

    /// Microseconds of CPU time per period (-1: no limit)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_quota: Option<i64>,

    /// Microseconds in a period (100000)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,

    /// The CPUs to run on, such as 0-2,4
    #[arg(long, value_name = "LIST", value_parser = numbers::set_list)]
    cpuset_cpus: Option<String>,

    /// The memory nodes to use, such as 0,1
    #[arg(long, value_name = "LIST", value_parser = numbers::set_list)]
    cpuset_mems: Option<String>,

    /// Processes and threads (-1: no limit)
    #[arg(long, value_name = "NUMBER")]
    pids_limit: Option<i64>,

    /// Weight among those who want block devices, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
}

/// Limits of the container's cgroup.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct ResourceArgs {
    #[command(flatten)]
    limits: LimitArgs,

    /// Tendency to swap, 0 to 100 (-1: the machine's)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(-1..=100))]
    memory_swappiness: Option<i64>,

    /// Let processes wait for memory instead of killing one
    #[arg(long)]
    oom_kill_disable: bool,

    /// Bytes read from a device a second
    #[arg(long, value_name = "DEVICE:BYTES", value_parser = bytes_a_second)]
    device_read_bps: Vec<(String, u64)>,

    /// Bytes written to a device a second
    #[arg(long, value_name = "DEVICE:BYTES", value_parser = bytes_a_second)]
    device_write_bps: Vec<(String, u64)>,

    /// Reads from a device a second
    #[arg(long, value_name = "DEVICE:NUMBER", value_parser = operations_a_second)]
    device_read_iops: Vec<(String, u64)>,

    /// Writes to a device a second
    #[arg(long, value_name = "DEVICE:NUMBER", value_parser = operations_a_second)]
    device_write_iops: Vec<(String, u64)>,

    /// The cgroup to make the container's in
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

/// Docker's least memory limit: below it, nothing starts.
const LEAST_MEMORY: i64 = 6 << 20;

/// The period that `--cpus` is reckoned over, microseconds.
const PERIOD: u64 = 100_000;

impl LimitArgs {
    /// The limits that were given. For every limit, Docker's default value means that none was.
    pub fn resources(self, outside: &dyn Outside) -> Result<Resources> {
        let given = |limit: Option<u64>| limit.filter(|limit| *limit > 0);
        // More than the kernel can count is more than any machine has.
        let bytes = |limit| given(limit).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut resources = Resources {
            memory: bytes(self.memory),
            memory_reservation: bytes(self.memory_reservation),
            memory_swap: self.memory_swap.filter(|swap| *swap != 0),
            cpu_shares: given(self.cpu_shares),
            cpu_quota: self.cpu_quota.filter(|quota| *quota != 0),
            cpu_period: given(self.cpu_period),
            cpuset_cpus: self.cpuset_cpus,
            cpuset_mems: self.cpuset_mems,
            pids_limit: self
                .pids_limit
                .map(|limit| if limit > 0 { limit } else { -1 }),
            blkio_weight: self.blkio_weight.filter(|weight| *weight > 0),
            ..Resources::default()
        };
        check_memory(&resources)?;
        check_cpu(&resources)?;
        if let Some(nano) = given(self.cpus) {
            set_cpus(&mut resources, nano, outside.cpus())?;
        }
        if let Some(weight) = resources.blkio_weight {
            ensure!(
                (10..=1000).contains(&weight),
                "--blkio-weight {weight}: 10 to 1000 is expected"
            );
        }
        Ok(resources)
    }
}

impl ResourceArgs {
    /// Files the limits under `request`.
    pub fn apply(self, request: &mut Request, outside: &dyn Outside) -> Result<()> {
        let limits = self.limits.resources(outside)?;
        if let (None, Some(1..)) = (limits.memory, limits.memory_swap) {
            bail!("--memory-swap counts memory and swap together: it needs --memory");
        }
        request.resources = Resources {
            memory_swappiness: self.memory_swappiness.and_then(|n| u64::try_from(n).ok()),
            oom_kill_disable: self.oom_kill_disable,
            device_read_bps: throttles(self.device_read_bps, "--device-read-bps", outside)?,
            device_write_bps: throttles(self.device_write_bps, "--device-write-bps", outside)?,
            device_read_iops: throttles(self.device_read_iops, "--device-read-iops", outside)?,
            device_write_iops: throttles(self.device_write_iops, "--device-write-iops", outside)?,
            ..limits
        };
        request.cgroup_parent = self.cgroup_parent.filter(|parent| !parent.is_empty());
        Ok(())
    }
}

fn check_memory(resources: &Resources) -> Result<()> {
    let at_least = |flag: &str, bytes: Option<i64>| match bytes {
        Some(bytes) if bytes < LEAST_MEMORY => bail!("{flag} {bytes}: 6m is the least"),
        _ => Ok(()),
    };
    at_least("--memory", resources.memory)?;
    at_least("--memory-reservation", resources.memory_reservation)?;
    match (resources.memory, resources.memory_swap) {
        (Some(memory), Some(swap @ 1..)) if swap < memory => {
            bail!("--memory-swap counts memory and swap together: it cannot be less than --memory")
        }
        _ => {}
    }
    if let (Some(memory), Some(reservation)) = (resources.memory, resources.memory_reservation) {
        ensure!(
            reservation <= memory,
            "--memory-reservation cannot be more than --memory"
        );
    }
    Ok(())
}

fn check_cpu(resources: &Resources) -> Result<()> {
    if let Some(shares) = resources.cpu_shares {
        ensure!(
            (2..=262_144).contains(&shares),
            "--cpu-shares {shares}: 2 to 262144 is expected"
        );
    }
    if let Some(period) = resources.cpu_period {
        ensure!(
            (1_000..=1_000_000).contains(&period),
            "--cpu-period {period}: 1000 to 1000000 (a millisecond to a second) is expected"
        );
    }
    match resources.cpu_quota {
        Some(-1) | None => Ok(()),
        Some(1000..) => Ok(()),
        Some(quota) => {
            bail!("--cpu-quota {quota}: 1000 (a millisecond) is the least, and -1 is no limit")
        }
    }
}

fn set_cpus(resources: &mut Resources, nano: u64, available: u64) -> Result<()> {
    if resources.cpu_quota.is_some() || resources.cpu_period.is_some() {
        bail!("--cpus cannot be given with --cpu-quota or --cpu-period: it sets both");
    }
    // A hundredth of a CPU is a millisecond per period, the kernel's least quota.
    ensure!(nano >= 10_000_000, "--cpus: 0.01 is the least");
    ensure!(
        nano <= available.saturating_mul(1_000_000_000),
        "--cpus: there are {available} CPUs"
    );
    resources.cpu_period = Some(PERIOD);
    resources.cpu_quota = Some((u128::from(nano) * u128::from(PERIOD) / 1_000_000_000) as i64);
    Ok(())
}

fn split_rate(text: &str) -> Result<(&str, &str), String> {
    let (device, rate) = text.split_once(':').ok_or("DEVICE:RATE is expected")?;
    if !device.starts_with("/dev/") {
        return Err(format!("'{device}' is not a path below /dev"));
    }
    Ok((device, rate))
}

fn bytes_a_second(text: &str) -> Result<(String, u64), String> {
    let (device, rate) = split_rate(text)?;
    Ok((device.to_owned(), numbers::bytes(rate)?))
}

fn operations_a_second(text: &str) -> Result<(String, u64), String> {
    let (device, rate) = split_rate(text)?;
    let digits = rate.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| rate.parse().ok()).flatten();
    let number =
        number.ok_or_else(|| format!("'{rate}' is not a number of operations a second"))?;
    Ok((device.to_owned(), number))
}

fn throttles(
    rates: Vec<(String, u64)>,
    flag: &str,
    outside: &dyn Outside,
) -> Result<Vec<Throttle>> {
    let throttle = |(device, rate): (String, u64)| {
        let numbers = outside
            .block_device(Path::new(&device))
            .with_context(|| format!("{flag} {device}"))?;
        let (major, minor) =
            numbers.with_context(|| format!("{flag} {device}: not a block device"))?;
        Ok(Throttle { major, minor, rate })
    };
    rates.into_iter().map(throttle).collect()
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::super::outside::tests::Pretended;
    use super::*;

    fn apply(line: &str) -> Result<Resources> {
        let command = Command::new("run").no_binary_name(true);
        let command = crate::cli::as_docker_parses(ResourceArgs::augment_args(command));
        let arguments = ResourceArgs::from_arg_matches(
            &command.try_get_matches_from(line.split_whitespace())?,
        )?;
        let outside = Pretended {
            block_devices: [("/dev/sda", (8, 0))].into(),
            ..Pretended::default()
        };
        let mut request = Request::default();
        arguments.apply(&mut request, &outside)?;
        Ok(request.resources)
    }

    #[test]
    fn limits_are_taken() {
        let none = Resources::default();
        for (line, expected) in [
            ("", none.clone()),
            (
                "-m 64m --memory-swap -1 --memory-reservation 32m",
                Resources {
                    memory: Some(64 << 20),
                    memory_swap: Some(-1),
                    memory_reservation: Some(32 << 20),
                    ..none.clone()
                },
            ),
            ("-m 0 --memory-swap 0 --memory-swappiness -1", none.clone()),
            (
                "--memory-swappiness 0",
                Resources {
                    memory_swappiness: Some(0),
                    ..none.clone()
                },
            ),
            (
                "--cpus 1.5",
                Resources {
                    cpu_period: Some(100_000),
                    cpu_quota: Some(150_000),
                    ..none.clone()
                },
            ),
            (
                "-c 512 --cpu-quota 20000 --cpu-period 50000 --cpuset-cpus 0-1",
                Resources {
                    cpu_shares: Some(512),
                    cpu_quota: Some(20_000),
                    cpu_period: Some(50_000),
                    cpuset_cpus: Some("0-1".into()),
                    ..none.clone()
                },
            ),
            (
                "--pids-limit 20",
                Resources {
                    pids_limit: Some(20),
                    ..none.clone()
                },
            ),
            (
                "--pids-limit 0",
                Resources {
                    pids_limit: Some(-1),
                    ..none.clone()
                },
            ),
            (
                "--device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:10",
                Resources {
                    device_read_bps: vec![Throttle {
                        major: 8,
                        minor: 0,
                        rate: 1 << 20,
                    }],
                    device_write_iops: vec![Throttle {
                        major: 8,
                        minor: 0,
                        rate: 10,
                    }],
                    ..none.clone()
                },
            ),
        ] {
            assert_eq!(apply(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn impossible_limits_are_refused() {
        for line in [
            "-m 1m",
            "--memory-swap 64m",
            "-m 64m --memory-swap 32m",
            "-m 64m --memory-reservation 65m",
            "--memory-reservation 1m",
            "--memory-swappiness 101",
            "--cpus 5",
            "--cpus 0.001",
            "--cpus 1 --cpu-quota 10000",
            "--cpus 1 --cpu-period 10000",
            "--cpu-shares 1",
            "--cpu-shares -3",
            "--cpu-quota 10",
            "--cpu-quota -2",
            "--cpu-period 10",
            "--cpuset-cpus a",
            "--blkio-weight 5",
            "--blkio-weight 1001",
            "--device-read-bps /x:1mb",
            "--device-read-bps /dev/sdb:1mb",
            "--device-read-bps /dev/sda",
            "--device-read-bps /dev/sda:1q",
            "--device-read-iops /dev/sda:1mb",
        ] {
            assert!(apply(line).is_err(), "{line}");
        }
    }
}
