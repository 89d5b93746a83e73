//! A line for each namespace that comes or goes.

use std::time::Instant;

use anyhow::{Result, bail};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags};
use serde::Serialize;
use soute_lens::view::{Column, List, Row};

use super::super::notes;
use super::{Watch, clock, next_look, wait};
use crate::output::json_line;
use crate::relay::write_all;

/// What is told of a namespace, beside its kind.
const TOLD: [Column; 5] = [
    Column::Nprocs,
    Column::Pid,
    Column::User,
    Column::Container,
    Column::Command,
];

/// `--json`
#[derive(Debug, Serialize)]
struct Event<'l> {
    /// When it was seen, RFC 3339.
    time: String,
    event: &'static str,
    namespace: &'l Row,
}

/// Until nobody reads, or a signal ends it: there is nothing to be put in order.
pub(super) fn run(watch: &Watch<'_>) -> Result<()> {
    if soute_sys::start::stdout_was_closed() {
        bail!("standard output is closed");
    }
    let stdout = rustix::stdio::stdout();
    let mut began = Instant::now();
    let mut before = watch.look()?;
    notes(&before.notes);
    loop {
        let next = next_look(began, watch.args.interval);
        while Instant::now() < next {
            // Nothing is asked: that nobody reads is always told.
            let fds = [PollFd::new(&stdout, PollFlags::empty())];
            if wait(fds, Some(next))? == [true] {
                return Ok(());
            }
        }
        began = Instant::now();
        let now = watch.look()?;
        let text = told(&before, &now, watch.args.json)?;
        if !write_all(stdout, text.as_bytes())? {
            return Ok(());
        }
        before = now;
    }
}

/// The lines from one look to the next: what has gone, then what has come.
fn told(before: &List, now: &List, json: bool) -> Result<String> {
    let changes = now.since(before);
    let mut text = String::new();
    let time = Timestamp::now();
    let gone = changes.gone.into_iter().map(|row| ("gone", row));
    let appeared = changes.appeared.into_iter().map(|row| ("appeared", row));
    for (event, row) in gone.chain(appeared) {
        text += &match json {
            true => json_line(&Event {
                time: time.to_string(),
                event,
                namespace: row,
            })?,
            false => line(event, row, time),
        };
    }
    Ok(text)
}

fn line(event: &str, row: &Row, time: Timestamp) -> String {
    let sign = match event {
        "gone" => '-',
        _ => '+',
    };
    let told = TOLD.map(|column| column.cell(row)).join("  ");
    let time = clock(time);
    format!("{time} {sign} {:<6} {}  {told}\n", row.kind, row.ns)
}
