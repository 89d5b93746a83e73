//! A line for each namespace that comes or goes.

use std::io::{ErrorKind, Write as _};
use std::time::Instant;

use anyhow::{Result, bail};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags};
use serde::Serialize;
use soute_lens::view::{Column, List, Row};

use super::super::notes;
use super::{Watch, clock, ends, next_look, wait};
use crate::output::json_line;
use crate::relay::Signals;

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

pub(super) fn run(watch: &mut Watch<'_>) -> Result<()> {
    let signals = Signals::take()?;
    let stdout = std::io::stdout();
    let mut began = Instant::now();
    let mut before = watch.look()?;
    notes(&before.notes);
    loop {
        let next = next_look(began, watch.args.interval);
        while Instant::now() < next {
            let fds = [
                PollFd::new(&signals, PollFlags::IN),
                // Nothing is asked: that nobody reads is always told.
                PollFd::new(&stdout, PollFlags::empty()),
            ];
            let [signalled, unread] = wait(fds, Some(next))?;
            if unread || (signalled && ends(&signals)?) {
                return Ok(());
            }
        }
        began = Instant::now();
        let now = watch.look()?;
        let text = told(&before, &now, watch.args.json)?;
        match stdout.lock().write_all(text.as_bytes()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(e) => bail!("standard output: {e}"),
            Ok(()) => {}
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
