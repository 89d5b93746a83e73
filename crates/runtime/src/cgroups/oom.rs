//! Hearing of processes that the kernel kills for want of memory, when it happens.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::inotify;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::cgroup::Cgroup;
use super::{CgroupError, files};

/// What [`OomWatch::wait`] has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomEvent {
    /// The limit was hit, and nothing could be reclaimed.
    Oom,
    /// The cgroup is empty (v2) or removed (v1): nothing will come any more.
    Gone,
    /// Not within the time given.
    Nothing,
}

/// A cgroup's memory under watch. Dropping it ends the watch.
#[derive(Debug)]
pub struct OomWatch {
    /// v1: an eventfd; v2: an inotify descriptor.
    fd: OwnedFd,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    V1 {
        /// The kernel tells by the same descriptor when the cgroup is removed: gone then.
        control: PathBuf,
    },
    V2 {
        events: PathBuf,
        populated: PathBuf,
        /// Kills heard of already.
        known: u64,
    },
}

impl Cgroup {
    /// Begins to watch. [`CgroupError::MissingController`] without a memory controller.
    pub fn watch_oom(&self) -> Result<OomWatch, CgroupError> {
        let Some(node) = self.carrier("memory") else {
            return Err(self.layout.missing("events", "memory"));
        };
        if !node.hierarchy.v2 {
            return watch_v1(
                node.file("memory.oom_control"),
                node.file("cgroup.event_control"),
            );
        }
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .called(|| "inotify_init1(IN_CLOEXEC | IN_NONBLOCK)".to_owned())?;
        let (events, populated) = (node.file("memory.events"), node.file("cgroup.events"));
        for file in [&events, &populated] {
            inotify::add_watch(&fd, file, inotify::WatchFlags::MODIFY)
                .called(|| format!("inotify_add_watch(\"{}\", IN_MODIFY)", file.display()))?;
        }
        // Read after the watch has begun: a kill in between is told twice rather than never.
        let known = oom_kills(&events)?.unwrap_or(0);
        let kind = Kind::V2 {
            events,
            populated,
            known,
        };
        Ok(OomWatch { fd, kind })
    }
}

/// cgroup-v1/memory.rst, "OOM Control": two descriptors are named to `cgroup.event_control`.
fn watch_v1(oom_control: PathBuf, control: PathBuf) -> Result<OomWatch, CgroupError> {
    use std::os::fd::AsRawFd as _;
    let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .called(|| "eventfd2(0, EFD_CLOEXEC | EFD_NONBLOCK)".to_owned())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let watched = rustix::fs::open(&oom_control, flags, Mode::empty())
        .called(|| format!("open(\"{}\", O_RDONLY)", oom_control.display()))?;
    let text = format!("{} {}", fd.as_raw_fd(), watched.as_raw_fd());
    files::write(&control, &text)?;
    let kind = Kind::V1 { control };
    Ok(OomWatch { fd, kind })
}

impl OomWatch {
    /// Waits until something has happened, at most for `patience` (without: for ever).
    pub fn wait(&mut self, patience: Option<Duration>) -> Result<OomEvent, CgroupError> {
        let start = Instant::now();
        loop {
            // An event that came before the watch began is found here.
            let event = self.heard()?;
            if event != OomEvent::Nothing {
                return Ok(event);
            }
            let left = patience.map(|patience| patience.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(OomEvent::Nothing);
            }
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match rustix::event::poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(CallError::new("poll(memory events)", errno).into()),
            }
        }
    }

    /// What has happened since the last call, without waiting. For callers that poll [`OomWatch::as_fd`] themselves.
    pub fn heard(&mut self) -> Result<OomEvent, CgroupError> {
        let something = self.drain()?;
        match &mut self.kind {
            Kind::V1 { control } => Ok(match (something, control.exists()) {
                (_, false) => OomEvent::Gone,
                (true, true) => OomEvent::Oom,
                (false, true) => OomEvent::Nothing,
            }),
            Kind::V2 {
                events,
                populated,
                known,
            } => {
                let kills = oom_kills(events)?;
                if let Some(kills) = kills.filter(|&kills| kills > *known) {
                    *known = kills;
                    return Ok(OomEvent::Oom);
                }
                let lives = files::read_if_any(populated)?
                    .and_then(|text| files::keyed(&text, "populated"));
                Ok(match lives {
                    Some(1) => OomEvent::Nothing,
                    _ => OomEvent::Gone,
                })
            }
        }
    }

    /// Takes what the descriptor has to say; whether it had anything.
    fn drain(&self) -> Result<bool, CgroupError> {
        let mut buffer = [0u8; 4096];
        let mut something = false;
        loop {
            match rustix::io::read(&self.fd, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(something),
                Ok(_) => something = true,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(CallError::new("read(memory events)", errno).into()),
            }
        }
    }
}

impl AsFd for OomWatch {
    /// Readable when there is something for [`OomWatch::heard`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn oom_kills(events: &std::path::Path) -> Result<Option<u64>, CgroupError> {
    Ok(files::read_if_any(events)?.and_then(|text| files::keyed(&text, "oom_kill")))
}
