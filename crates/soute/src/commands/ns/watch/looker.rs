//! Who looks, while the page hears keys: a look at tens of thousands of processes takes long.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use soute_lens::view::List;

use super::WatchArgs;
use super::screen::closely;

/// What is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// All namespaces.
    pub all: bool,
    /// This one, closely: its inode.
    pub one: Option<u64>,
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    pub began: Instant,
    pub list: Option<List>,
    /// An inode, and what is known of it, in lines.
    pub one: Option<(u64, Vec<String>)>,
}

/// A thread that looks when it is asked to, at one request at a time. Its descriptor can be read when it has an answer.
#[derive(Debug)]
pub struct Looker {
    requests: Sender<Request>,
    answers: Receiver<Result<Seen>>,
    bell: OwnedFd,
    busy: bool,
}

impl Looker {
    /// Signals are blocked already: those that a thread blocks are what the thread had blocked that started it.
    pub fn start(args: WatchArgs) -> Result<Self> {
        let (requests, asked) = channel();
        let (answer, answers) = channel();
        // That the thread has gone is told by its end of the pipe, too.
        let (bell, ring) = pipe_with(PipeFlags::CLOEXEC).context("pipe2()")?;
        let looking = std::thread::Builder::new().name("look".to_owned());
        looking
            .spawn(move || {
                for request in asked {
                    let seen = look(&args, request);
                    if answer.send(seen).is_err() || rustix::io::write(&ring, b"!").is_err() {
                        return;
                    }
                }
            })
            .context("a thread to look")?;
        Ok(Self {
            requests,
            answers,
            bell,
            busy: false,
        })
    }

    /// Whether an answer is to come.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Asks, when it is not busy.
    pub fn ask(&mut self, request: Request) -> Result<()> {
        self.busy = true;
        self.requests.send(request).context("nobody looks any more")
    }

    /// The answer, which has come.
    pub fn answer(&mut self) -> Result<Seen> {
        let _ = rustix::io::read(&self.bell, &mut [0; 1]).context("read(pipe)")?;
        self.busy = false;
        self.answers.recv().context("nobody looks any more")?
    }
}

impl AsFd for Looker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn look(args: &WatchArgs, request: Request) -> Result<Seen> {
    let began = Instant::now();
    Ok(Seen {
        list: request.all.then(|| args.look()).transpose()?,
        one: match request.one {
            Some(inode) => Some((inode, closely(inode)?)),
            None => None,
        },
        began,
    })
}
