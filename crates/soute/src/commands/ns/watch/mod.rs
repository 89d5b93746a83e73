//! `soute ns watch`: namespaces as they come and go, as a page on a terminal or as lines.
//!
//! The kernel tells nobody of namespaces: they are looked for again and again.

mod keys;
mod lines;
mod looker;
mod page;
mod screen;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;
use soute_lens::view::{List, Survey};
use soute_lens::{Kind, Scope};

use super::NameOf;

/// `soute ns watch [TYPE…]`
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// Only these kinds: mnt, uts, ipc, pid, net, user, cgroup, time
    #[arg(value_name = "TYPE")]
    kinds: Vec<Kind>,

    /// From one look to the next, seconds, or as long as a look takes if that is longer: what lives shorter may not be seen
    #[arg(short = 'n', long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,

    /// Print an object in a line of its own for each namespace that comes or goes
    #[arg(long)]
    json: bool,

    /// Look at the open descriptors of all processes too
    #[arg(short, long)]
    all: bool,
}

pub fn run(args: &WatchArgs, name_of: NameOf<'_>) -> Result<()> {
    let watch = Watch { args, name_of };
    let at_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    match at_terminal && !is_dumb && !args.json {
        true => screen::run(&watch),
        false => lines::run(&watch),
    }
}

/// What is looked at.
struct Watch<'a> {
    args: &'a WatchArgs,
    name_of: NameOf<'a>,
}

impl Watch<'_> {
    /// All that is there now.
    fn look(&self) -> Result<List> {
        let mut list = self.args.look()?;
        self.complete(&mut list);
        Ok(list)
    }

    /// Names the containers.
    fn complete(&self, list: &mut List) {
        super::complete(list, self.name_of);
    }
}

impl WatchArgs {
    /// [`Watch::look`], without the names that the engine knows.
    fn look(&self) -> Result<List> {
        let scope = Scope {
            bound: true,
            descriptors: self.all,
            sockets: false,
        };
        Ok(Survey::new(scope)?.list(&self.kinds)?)
    }
}

/// When to look again, so that looking takes no more than half of the time.
fn next_look(began: Instant, interval: Duration) -> Instant {
    let now = Instant::now();
    now + interval.saturating_sub(now - began).max(now - began)
}

/// Waits until `end`, if there is one, or until something is to be said of one of `fds`: of which.
fn wait<const N: usize>(mut fds: [PollFd<'_>; N], end: Option<Instant>) -> Result<[bool; N]> {
    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
    let left = left.map(Timespec::try_from).transpose()?;
    match poll(&mut fds, left.as_ref()) {
        Ok(_) => Ok(fds.map(|fd| !fd.revents().is_empty())),
        Err(Errno::INTR) => Ok([false; N]),
        Err(e) => Err(e).context("poll()"),
    }
}

/// The time of day here.
fn clock(time: Timestamp) -> String {
    let here = TimeZone::system().to_datetime(time);
    here.strftime("%H:%M:%S").to_string()
}

fn interval(word: &str) -> Result<Duration> {
    let seconds: f64 = word.parse().context("a number of seconds is needed")?;
    ensure!(
        (0.1..=86_400.0).contains(&seconds),
        "from 0.1 to 86400 seconds"
    );
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_of_seconds_within_reason() {
        assert_eq!(interval("0.5").unwrap(), Duration::from_millis(500));
        for word in ["0", "0.05", "-1", "nan", "inf", "1s", "100000"] {
            assert!(interval(word).is_err(), "{word}");
        }
    }

    #[test]
    fn looking_takes_at_most_half_of_the_time() {
        let interval = Duration::from_secs(1);
        let quick = Instant::now() - Duration::from_millis(100);
        let left = next_look(quick, interval) - Instant::now();
        assert!(left > Duration::from_millis(800) && left <= Duration::from_millis(900));
        let slow = Instant::now() - Duration::from_secs(4);
        assert!(next_look(slow, interval) - Instant::now() > Duration::from_millis(3900));
    }
}
