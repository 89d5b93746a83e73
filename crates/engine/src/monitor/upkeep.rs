//! Whoever flushes the machine's rules flushes soute's as well: a monitor whose container is in networks hears of it. And
//! whoever changes the machine's firewall changes who reaches published ports: that of a container that has some does, too.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, waitid};
use soute_network::nft::Listener;
use soute_network::ruleset::Ruleset;
use soute_sys::process::{Cloned, exit_now, fork};

use super::Source;
use crate::networks::{self, Kept};
use crate::places::Places;

/// A firewall's reload is several changes: it is over when nothing has been heard for so long.
const CALM: Duration = Duration::from_millis(100);
/// Whoever changes rules all the time is not waited for.
const LONGEST: Duration = Duration::from_millis(500);
/// When another monitor is at it, this one looks again.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Upkeep {
    listener: Option<Listener>,
    /// Other tables are heeded as well: by what they say of ports.
    heeds_firewall: bool,
    /// When it was first told of what is due.
    since: Instant,
    due: Option<Instant>,
    /// The process that puts the rules back.
    keeper: Option<OwnedFd>,
}

/// What a keeper ends with where another one is at it.
const BUSY: i32 = 1;

impl Upkeep {
    /// Hears of changes from now on, if there are networks to be kept. A kernel that tells of none leaves it to the next
    /// command.
    pub(super) fn new(on_networks: bool, heeds_firewall: bool) -> Self {
        Self {
            listener: on_networks.then(|| Ruleset::listen().ok()).flatten(),
            heeds_firewall,
            since: Instant::now(),
            due: None,
            keeper: None,
        }
    }

    /// From now on other tables are heeded as well, or no longer.
    pub(super) fn heed_firewall(&mut self, heeds: bool) {
        self.heeds_firewall = heeds;
    }

    /// It hears of nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.listener.is_none()
    }

    /// Every descriptor that it has.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let listener = self.listener.iter().map(|one| one.as_fd().as_raw_fd());
        listener.chain(self.keeper.iter().map(AsRawFd::as_raw_fd))
    }

    pub(super) fn poll<'a>(&'a self, wanted: &mut Vec<(Source, PollFd<'a>)>) {
        let listener = self.listener.iter();
        wanted.extend(listener.map(|one| (Source::Rules, PollFd::new(one, PollFlags::IN))));
        let keeper = self.keeper.iter();
        wanted.extend(keeper.map(|one| (Source::Keeper, PollFd::new(one, PollFlags::IN))));
    }

    /// Something was told.
    pub(super) fn ready(&mut self) {
        let others = self.heeds_firewall;
        match self.listener.as_mut().map(|one| one.lost(others)) {
            Some(Ok(true)) => {
                let now = Instant::now();
                if self.due.is_none() {
                    self.since = now;
                }
                self.due = Some((now + CALM).min(self.since + LONGEST));
            }
            // It would be told without end.
            Some(Err(_)) => self.listener = None,
            _ => {}
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.keeper.is_none())
    }

    /// Has the rules put back, if it is time: by a process of its own, since thousands of elements take time, and the
    /// user's hook may, and output, names and the container's end are not to wait for that.
    pub(super) fn act(&mut self, places: &Places) {
        if self.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.due = None;
        match fork() {
            Ok(Cloned::Child) => keep(places),
            Ok(Cloned::Parent { pidfd, .. }) => self.keeper = Some(pidfd),
            // The next command does it, and tells.
            Err(_) => {}
        }
    }

    /// The keeper has ended.
    pub(super) fn kept(&mut self) {
        let Some(keeper) = self.keeper.take() else {
            return;
        };
        let ended = waitid(WaitId::PidFd(keeper.as_fd()), WaitIdOptions::EXITED);
        let status = ended.ok().flatten();
        if status.and_then(|status: WaitIdStatus| status.exit_status()) == Some(BUSY) {
            self.due = Some(Instant::now() + AGAIN);
        }
    }
}

/// In a process of its own, which ends with its monitor, and of which nobody can tell from the outside that one lives.
fn keep(places: &Places) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = soute_sys::process::close_all_but(&mut []);
    exit_now(match networks::keep(places) {
        Ok(Kept::Busy) => BUSY,
        // What cannot be put back now, the next command tries, and tells.
        Ok(Kept::Whole) | Err(_) => 0,
    })
}
