//! `update`

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::{Context, Operation};
use crate::args::numbers;

/// Change the limits of a container.
#[derive(Debug, Args)]
pub struct Update {
    /// Read them from this file, as `linux.resources` has them; -: from standard input
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,

    /// Weight of its input and output, 10 to 1000
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,

    /// Microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<u64>,

    /// Microseconds a period; -1: no limit
    #[arg(long, value_name = "N")]
    cpu_quota: Option<i64>,

    /// Microseconds that may be saved up
    #[arg(long, value_name = "N")]
    cpu_burst: Option<u64>,

    /// Weight of its CPU time, 2 to 262144
    #[arg(long, value_name = "N")]
    cpu_share: Option<u64>,

    /// Microseconds
    #[arg(long, value_name = "N")]
    cpu_rt_period: Option<u64>,

    /// Microseconds a period of real-time scheduling
    #[arg(long, value_name = "N")]
    cpu_rt_runtime: Option<i64>,

    /// CPUs, as 0-2,4
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,

    /// Memory nodes, as 0-1
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,

    /// 1: only what nobody else wants
    #[arg(long, value_name = "N")]
    cpu_idle: Option<i64>,

    /// Bytes; -1: no limit
    #[arg(long, value_name = "BYTES", value_parser = numbers::bytes_or_unlimited)]
    memory: Option<i64>,

    /// Bytes that are left to it when memory is short
    #[arg(long, value_name = "BYTES", value_parser = numbers::bytes_or_unlimited)]
    memory_reservation: Option<i64>,

    /// Bytes of memory and swap together; -1: no limit
    #[arg(long, value_name = "BYTES", value_parser = numbers::bytes_or_unlimited)]
    memory_swap: Option<i64>,

    /// Nothing any more: the kernel has no such limit
    #[arg(long, value_name = "BYTES", hide = true)]
    kernel_memory: Option<String>,

    /// Nothing any more: the kernel has no such limit
    #[arg(long, value_name = "BYTES", hide = true)]
    kernel_memory_tcp: Option<String>,

    /// Processes and threads; -1: no limit
    #[arg(long, value_name = "N")]
    pids_limit: Option<i64>,

    /// Cache of Intel's RDT
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,

    /// Memory bandwidth of Intel's RDT
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Update {
    /// What is asked for, in the words of the specification.
    fn document(&self) -> Result<Value> {
        if let Some(file) = &self.resources {
            let mut text = String::new();
            let read = match file.as_path() == Path::new("-") {
                true => std::io::stdin().read_to_string(&mut text),
                false => {
                    std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
                }
            };
            read.with_context(|| format!("--resources {}", file.display()))?;
            return serde_json::from_str(&text)
                .with_context(|| format!("--resources {}", file.display()));
        }
        let part = |fields: Vec<(&str, Option<Value>)>| -> Option<Value> {
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        };
        let cpu = part(vec![
            ("period", self.cpu_period.map(Value::from)),
            ("quota", self.cpu_quota.map(Value::from)),
            ("burst", self.cpu_burst.map(Value::from)),
            ("shares", self.cpu_share.map(Value::from)),
            ("realtimePeriod", self.cpu_rt_period.map(Value::from)),
            ("realtimeRuntime", self.cpu_rt_runtime.map(Value::from)),
            ("cpus", self.cpuset_cpus.clone().map(Value::from)),
            ("mems", self.cpuset_mems.clone().map(Value::from)),
            ("idle", self.cpu_idle.map(Value::from)),
        ]);
        let memory = part(vec![
            ("limit", self.memory.map(Value::from)),
            ("reservation", self.memory_reservation.map(Value::from)),
            ("swap", self.memory_swap.map(Value::from)),
        ]);
        let all = part(vec![
            ("cpu", cpu),
            ("memory", memory),
            (
                "pids",
                self.pids_limit.map(|limit| json!({ "limit": limit })),
            ),
            (
                "blockIO",
                self.blkio_weight.map(|weight| json!({ "weight": weight })),
            ),
        ]);
        Ok(all.unwrap_or_else(|| json!({})))
    }
}

impl Operation for Update {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        if self.l3_cache_schema.is_some() || self.mem_bw_schema.is_some() {
            anyhow::bail!("--l3-cache-schema, --mem-bw-schema: Intel's RDT is not supported");
        }
        let wanted: LinuxResources = serde_json::from_value(self.document()?)
            .context("not resources as the specification has them")?;
        context.containers.update(&self.id, &wanted)?;
        Ok(ExitCode::SUCCESS)
    }
}
