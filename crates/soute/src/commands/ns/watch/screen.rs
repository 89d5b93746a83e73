//! The page on a terminal.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use soute_lens::Scope;
use soute_lens::view::Survey;

use super::keys::keys;
use super::page::{Page, Wish};
use super::{Watch, clock, ends, next_look, wait};
use crate::relay::Signals;
use crate::terminal::{RawMode, own_size};

/// A terminal that does not say how large it is.
const SIZE: (u16, u16) = (24, 80);

pub(super) fn run(watch: &mut Watch<'_>) -> Result<()> {
    let signals = Signals::take()?;
    // Before the page covers what is said of it if it fails.
    let first = watch.look()?;
    let mut page = Page::new(watch.args.interval);
    page.take(first, Instant::now());
    let stdin = rustix::stdio::stdin();
    let _raw = RawMode::enter(stdin)?;
    let _screen = Screen::enter()?;
    let mut next = Some(Instant::now() + page.interval);
    loop {
        let (rows, columns) = own_size().unwrap_or(SIZE);
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let time = clock(Timestamp::now());
        write(&page.draw(rows, columns, &time))?;
        let fds = [
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(&stdin, PollFlags::IN),
        ];
        let [signalled, typed] = wait(fds, next)?;
        if signalled && ends(&signals)? {
            return Ok(());
        }
        let mut now = false;
        if typed {
            let mut bytes = [0; 1024];
            let typed = match rustix::io::read(stdin, &mut bytes) {
                // The terminal has hung up.
                Ok(0) | Err(Errno::IO) => return Ok(()),
                Ok(length) => keys(bytes.get(..length).unwrap_or_default()),
                Err(Errno::INTR | Errno::AGAIN) => Vec::new(),
                Err(e) => return Err(e).context("read(standard input)"),
            };
            for key in typed {
                match page.press(key, rows) {
                    Wish::Leave => return Ok(()),
                    Wish::Look => now = true,
                    Wish::Draw => {}
                }
            }
        }
        let due = next.is_none_or(|next| next <= Instant::now());
        let began = Instant::now();
        if due && !page.paused {
            page.take(watch.look()?, began);
        }
        if (due && !page.paused) || now {
            look_closely(&mut page)?;
        }
        next = match page.paused {
            true => None,
            false if due => Some(next_look(began, page.interval)),
            false => next.map(|next| next.min(began + page.interval)),
        };
    }
}

/// Into the namespace that is chosen, if it is to be looked at.
fn look_closely(page: &mut Page) -> Result<()> {
    let Some(inode) = page.looked_at() else {
        return Ok(());
    };
    let survey = Survey::new(Scope::ALL)?;
    let one = survey.open(inode).and_then(|found| survey.one(found));
    page.show(match one {
        Ok(one) => {
            let facts = one.facts().into_iter();
            let facts = facts.map(|(label, text)| format!("  {label:<10}  {text}"));
            let table = one.table().render(None);
            let table = table.lines().map(|line| format!("  {line}"));
            facts.chain([String::new()]).chain(table).collect()
        }
        Err(gone) => vec![format!("  {gone}")],
    });
    Ok(())
}

/// The terminal's other screen, as long as this lives.
struct Screen;

impl Screen {
    fn enter() -> Result<Self> {
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing back.
        let _ = write("\x1b[?25h\x1b[?1049l");
    }
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("standard output")
}
