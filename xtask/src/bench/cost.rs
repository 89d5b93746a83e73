//! What one run takes of the machine besides time: system calls, and memory at its height.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::bed::Bed;
use super::left_out::LeftOut;
use super::limit::LIMIT;
use super::measure::Subject;
use crate::shell::step;

/// As the report calls it.
pub const TITLE: &str = "What a run takes";

/// Counts for each of `subjects`, by its name.
pub fn measure(bed: &Bed, subjects: &[Subject<'_>], left_out: &mut LeftOut) -> Result<Value> {
    step(TITLE);
    let mut costs = json!({});
    for subject in subjects {
        let cost = || {
            Ok(json!({
                "calls": calls(bed, subject)?,
                "kib": peak(bed, subject)?,
            }))
        };
        if let Some(cost) = left_out.attempt(subject.name, TITLE, cost)? {
            costs[subject.name] = cost;
        }
    }
    Ok(costs)
}

/// How many system calls all its processes make, the program in the container included.
fn calls(bed: &Bed, subject: &Subject<'_>) -> Result<usize> {
    let log = bed.path("calls");
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--signal=none", "--quiet=all", "--output"]);
    strace.arg(&log);
    run_under(strace, subject)?;
    let text = std::fs::read_to_string(&log).context("strace left no log")?;
    // A call that another process interrupts has two lines.
    Ok(text.lines().filter(|l| !l.contains("resumed>")).count())
}

/// The most memory that any one of its processes had in use (`ru_maxrss`), KiB; the least of five runs.
pub fn peak(bed: &Bed, subject: &Subject<'_>) -> Result<u64> {
    let log = bed.path("peak");
    let mut least = u64::MAX;
    for _ in 0..5 {
        let mut time = Command::new("/usr/bin/time");
        time.args(["--format=%M", "--output"]);
        time.arg(&log);
        run_under(time, subject)?;
        let text = std::fs::read_to_string(&log).context("time left no log")?;
        let kib: u64 = text.trim().parse().context("time wrote no number")?;
        least = least.min(kib);
    }
    Ok(least)
}

/// What follows the first command only clears up.
fn run_under(mut outer: Command, subject: &Subject<'_>) -> Result<()> {
    let mut commands = (subject.commands)();
    let first = commands.first_mut().context("no command")?;
    outer.arg(first.get_program()).args(first.get_args());
    *first = outer;
    subject.time_as(&mut commands, LIMIT).map(drop)
}
