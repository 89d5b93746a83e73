//! Standard input, output and error of a container's process.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Uid};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use soute_sys::{CallError, Called};

use super::failure::{Failure, Step};
use super::spawn::Stdio;
use super::user::Identity;

const STEP: &str = "standard input and output";

/// What a process that enters gets for one of its standard files.
#[derive(Debug)]
pub enum Standard {
    /// This one, which stays whose it is.
    Given(OwnedFd),
    /// A pipe, the other end of which is the caller's.
    Pipe,
}

/// A pipe with our end non-blocking: (read end, write end). `ours` is the read end if `read`.
pub fn pipe(read: bool) -> Result<(OwnedFd, OwnedFd), CallError> {
    let ends = pipe_with(PipeFlags::CLOEXEC).called(|| "pipe2()".to_owned())?;
    let ours = if read { &ends.0 } else { &ends.1 };
    rustix::io::ioctl_fionbio(ours, true).called(|| "ioctl(FIONBIO)".to_owned())?;
    Ok(ends)
}

/// What becomes of three [`Standard`]s.
#[derive(Debug)]
pub(super) struct Made {
    /// The process's.
    pub(super) theirs: Stdio,
    /// Which of them are the engine's to give away.
    pub(super) pipes: [bool; 3],
    /// The caller's ends of the pipes.
    pub(super) ours: [Option<OwnedFd>; 3],
}

/// Makes the pipes. `root`: user and group that the container has for root, who owns them.
pub(super) fn make(wanted: [Standard; 3], root: Option<(u32, u32)>) -> Result<Made, Failure> {
    let [stdin, stdout, stderr] = wanted;
    let one = |standard, read| {
        let (ours, theirs) = match standard {
            Standard::Given(fd) => return Ok((fd, None)),
            Standard::Pipe if read => pipe(read)?,
            Standard::Pipe => {
                let (theirs, ours) = pipe(read)?;
                (ours, theirs)
            }
        };
        if let Some((uid, gid)) = root {
            rustix::fs::fchown(&theirs, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .called(|| "fchown(stdio)".to_owned())?;
        }
        Ok::<_, CallError>((theirs, Some(ours)))
    };
    let (their_stdin, stdin) = one(stdin, false).step(STEP)?;
    let (their_stdout, stdout) = one(stdout, true).step(STEP)?;
    let (their_stderr, stderr) = one(stderr, true).step(STEP)?;
    Ok(Made {
        theirs: [their_stdin, their_stdout, their_stderr],
        pipes: [stdin.is_some(), stdout.is_some(), stderr.is_some()],
        ours: [stdin, stdout, stderr],
    })
}

/// Puts them where a program expects them.
pub(super) fn place([stdin, stdout, stderr]: &Stdio) -> Result<(), Failure> {
    rustix::stdio::dup2_stdin(stdin)
        .called(|| format!("dup2({}, 0)", stdin.as_raw_fd()))
        .step(STEP)?;
    rustix::stdio::dup2_stdout(stdout)
        .called(|| format!("dup2({}, 1)", stdout.as_raw_fd()))
        .step(STEP)?;
    rustix::stdio::dup2_stderr(stderr)
        .called(|| format!("dup2({}, 2)", stderr.as_raw_fd()))
        .step(STEP)
}

/// The user may reopen its own standard files (`/dev/stdout`).
///
/// `made`: which of them the engine made. No other is ours to give on: a container with the machine's users would have
/// the caller's own terminal or pipe.
pub(super) fn own(identity: &Identity, made: [bool; 3]) -> Result<(), Failure> {
    let files = [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ];
    let mut made = files.into_iter().zip(made).filter(|(_, made)| *made);
    made.try_for_each(|(fd, _)| own_one(fd, identity))
}

fn own_one(fd: BorrowedFd<'_>, identity: &Identity) -> Result<(), Failure> {
    let Ok(stat) = rustix::fs::fstat(fd) else {
        return Ok(());
    };
    // What is not the container's root's (the machine's /dev/null) is not for this user.
    let pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
    if stat.st_uid != 0 || !(pipe || rustix::termios::isatty(fd)) {
        return Ok(());
    }
    match rustix::fs::fchown(fd, Some(Uid::from_raw(identity.uid)), None) {
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => Ok(()),
        Err(e) => Err(Failure::setup("owning standard input and output", e)),
    }
}
