//! The page on a terminal.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::stdio::{stdin, stdout};
use soute_lens::Scope;
use soute_lens::view::Survey;
use soute_sys::signals::suffer;

use super::keys::{Key, Keys, REST};
use super::looker::{Looker, Request};
use super::page::{Page, Wish};
use super::{Watch, clock, next_look, wait};
use crate::relay::{Signals, WINCH, write_all};
use crate::terminal::{RawMode, own_size};

/// A terminal that does not say how large it is.
const SIZE: (u16, u16) = (24, 80);

const INT: i32 = Signal::INT.as_raw();
const TSTP: i32 = Signal::TSTP.as_raw();
const CONT: i32 = Signal::CONT.as_raw();

pub(super) fn run(watch: &Watch<'_>) -> Result<()> {
    let signals = Signals::take_with_job_control()?;
    let mut screen = Screen {
        looker: Looker::start(watch.args.clone())?,
        page: Page::new(watch.args.interval),
        keys: Keys::default(),
        next: Instant::now(),
        wanted: false,
        raw: enter()?,
        watch,
    };
    while screen.round(&signals)? {}
    Ok(())
}

/// Takes the terminal, which stops whoever is in the background (SIGTTOU).
fn enter() -> Result<Option<RawMode>> {
    Ok(RawMode::page(stdin(), stdout())?)
}

struct Screen<'s, 'a> {
    watch: &'s Watch<'a>,
    looker: Looker,
    page: Page,
    keys: Keys,
    /// When all is to be looked at, unless it pauses.
    next: Instant,
    /// The chosen one is to be looked at, whatever the time.
    wanted: bool,
    raw: Option<RawMode>,
}

impl Screen<'_, '_> {
    /// Draws, waits, and does what there is to do; false at the end.
    fn round(&mut self, signals: &Signals) -> Result<bool> {
        let (rows, columns) = own_size().unwrap_or(SIZE);
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let text = self.page.draw(rows, columns, &clock(Timestamp::now()));
        if !write_all(stdout(), text.as_bytes())? {
            return Ok(false);
        }
        self.ask()?;
        let look = (!self.looker.is_busy() && !self.page.paused).then_some(self.next);
        let rest = self.keys.has_begun().then(|| Instant::now() + REST);
        let stdin = stdin();
        let fds = [
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(&self.looker, PollFlags::IN),
        ];
        let [signalled, typed, seen] = wait(fds, look.into_iter().chain(rest).min())?;
        if signalled && !self.heed(signals)? {
            return Ok(false);
        }
        if seen {
            self.take()?;
        }
        let keys = match typed {
            true => match self.read()? {
                Some(keys) => keys,
                None => return Ok(false),
            },
            false if rest.is_some_and(|end| end <= Instant::now()) => {
                self.keys.end().into_iter().collect()
            }
            false => Vec::new(),
        };
        for key in keys {
            match self.page.press(key, rows) {
                Wish::Leave => return Ok(false),
                Wish::Look => self.wanted = true,
                Wish::Draw => {}
            }
            self.next = self.next.min(Instant::now() + self.page.interval);
        }
        Ok(true)
    }

    /// Has the looker look, if it is time and it does not yet.
    fn ask(&mut self) -> Result<()> {
        let all = !self.page.paused && self.next <= Instant::now();
        if self.looker.is_busy() || !(all || self.wanted) {
            return Ok(());
        }
        self.wanted = false;
        let one = self.page.looked_at();
        self.looker.ask(Request { all, one })
    }

    /// What the looker has seen.
    fn take(&mut self) -> Result<()> {
        let seen = self.looker.answer()?;
        if let Some(mut list) = seen.list {
            self.watch.complete(&mut list);
            self.page.take(list, seen.began);
            self.next = next_look(seen.began, self.page.interval);
        }
        if let Some((inode, lines)) = seen.one {
            self.page.show(inode, lines);
        }
        Ok(())
    }

    /// What was typed; `None`: the terminal has hung up.
    fn read(&mut self) -> Result<Option<Vec<Key>>> {
        let mut bytes = [0; 1024];
        match rustix::io::read(stdin(), &mut bytes) {
            Ok(0) | Err(Errno::IO) => Ok(None),
            Ok(length) => Ok(Some(
                self.keys.feed(bytes.get(..length).unwrap_or_default()),
            )),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Some(Vec::new())),
            Err(e) => Err(e).context("read(standard input)"),
        }
    }

    /// Does what the signals that have come are for; false: it is to leave.
    fn heed(&mut self, signals: &Signals) -> Result<bool> {
        while let Some(signal) = signals.next()? {
            match signal {
                WINCH => {}
                // As top(1) and htop(1) are left by it: it is a key of the page.
                INT => return Ok(false),
                // It was stopped by SIGSTOP perhaps, and whoever had the terminal meanwhile has left it otherwise.
                CONT => self.raw.iter().try_for_each(RawMode::renew)?,
                TSTP => {
                    self.raw = None;
                    suffer(TSTP)?;
                    self.raw = enter()?;
                }
                ends => {
                    self.raw = None;
                    suffer(ends)?;
                    bail!("signal {ends} was to end it");
                }
            }
        }
        Ok(true)
    }
}

/// What is known of a namespace, in lines.
pub(super) fn closely(inode: u64) -> Result<Vec<String>> {
    let survey = Survey::new(Scope::ALL)?;
    let one = survey.open(inode).and_then(|found| survey.one(found));
    Ok(match one {
        Ok(one) => {
            let facts = one.facts().into_iter();
            let facts = facts.map(|(label, text)| format!("{label:<10}  {text}"));
            let table = one.table().render(None);
            let table = table.lines().map(str::to_owned);
            facts.chain([String::new()]).chain(table).collect()
        }
        Err(gone) => vec![gone.to_string()],
    })
}
