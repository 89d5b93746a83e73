//! `events`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use soute_runtime::cgroups::OomEvent;

use super::{Context, Operation};
use crate::output::print;

/// Print what a container uses, and what befalls it, an object a line.
#[derive(Debug, Args)]
pub struct Events {
    /// Time between two looks
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = interval)]
    interval: Duration,

    /// Look once
    #[arg(long)]
    stats: bool,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

/// A duration as Go writes it, of at least a millisecond.
fn interval(text: &str) -> Result<Duration, String> {
    let invalid =
        || format!("invalid duration {text:?}: one such as 500ms, 5s or 1m30s is expected");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit = &rest[digits..];
        let letters = unit
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(unit.len());
        let one = match &unit[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(invalid()),
        };
        let part = u32::try_from(number).ok().and_then(|n| one.checked_mul(n));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(invalid)?;
        rest = &unit[letters..];
    }
    match total.is_zero() {
        true => Err(invalid()),
        false => Ok(total),
    }
}

impl Operation for Events {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        let look = || -> Result<()> {
            let report = context.containers.report(&self.id)?;
            self.print("stats", Some(serde_json::to_value(report)?))
        };
        look()?;
        if self.stats {
            return Ok(ExitCode::SUCCESS);
        }
        let mut watch = context.containers.watch(&self.id)?;
        let mut next = Instant::now() + self.interval;
        loop {
            let patience = next.saturating_duration_since(Instant::now());
            match watch.wait(Some(patience))? {
                OomEvent::Oom => self.print("oom", None)?,
                OomEvent::Gone => return Ok(ExitCode::SUCCESS),
                OomEvent::Nothing => {
                    if context.containers.container(&self.id)?.pid.is_none() {
                        return Ok(ExitCode::SUCCESS);
                    }
                    look()?;
                    next += self.interval;
                }
            }
        }
    }
}

impl Events {
    fn print(&self, kind: &str, data: Option<Value>) -> Result<()> {
        let mut line = json!({ "type": kind, "id": self.id });
        if let Some(data) = data {
            line["data"] = data;
        }
        Ok(print(&(line.to_string() + "\n"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_durations() {
        assert_eq!(interval("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "5", "0s", "-1s", "5x", "s"] {
            interval(bad).unwrap_err();
        }
    }
}
