//! Which of many doors somebody stands at: one descriptor to wait for, however many doors there are.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

/// Doors that are looked at in one round.
const MOST_AT_ONCE: usize = 16;

/// An epoll(7), from the first door on.
#[derive(Debug, Default)]
pub(super) struct Bell(Option<OwnedFd>);

impl Bell {
    /// It rings for `door` until that is closed.
    pub(super) fn hang(&mut self, door: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(door, true)?;
        let bell = match &mut self.0 {
            Some(bell) => bell,
            none => none.insert(epoll::create(CreateFlags::CLOEXEC)?),
        };
        // A descriptor's number is its door's as long as that is open.
        let number = EventData::new_u64(door.as_raw_fd() as u64);
        epoll::add(bell, door, number, EventFlags::IN)
    }

    /// What is waited for.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(OwnedFd::as_fd)
    }

    /// The numbers of doors that somebody stands at.
    pub(super) fn rung(&self) -> impl Iterator<Item = RawFd> + use<> {
        let mut rung = Vec::new();
        if let Some(bell) = &self.0 {
            rung.reserve(MOST_AT_ONCE);
            // What fails here is seen at the next ring.
            let _ = epoll::wait(bell, spare_capacity(&mut rung), Some(&Timespec::default()));
        }
        rung.into_iter().map(|event| event.data.u64() as RawFd)
    }
}
