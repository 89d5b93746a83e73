//! Programs that may take only so long, since some peers now and then wait for ever.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use rustix::time::Timespec;

use crate::shell;

/// For one command of whoever is measured. The slowest takes some tenths of a second, and ten times that on a machine
/// that is busy: what has not ended by then waits for something that does not come.
pub const LIMIT: Duration = Duration::from_secs(20);

/// For a command that removes many containers, or those that do not heed SIGTERM: Podman gives each ten seconds, and
/// not all of them at once.
pub const REMOVAL: Duration = Duration::from_secs(600);

/// A program in a process group of its own, which is killed if it has not ended when this goes.
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", shell::line(command)))?;
        // Nobody else waits for our child: the number is still its own.
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .inspect_err(|_| kill(&mut child))
            .context("pidfd_open(2)")?;
        Ok(Self { child, pidfd })
    }

    /// Its process, and its process group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it ends within `limit`. Asleep until then: whoever is measured has the machine alone.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).context("a limit of centuries")?;
            let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut ends, Some(&left)) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(self.child.wait()?)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("poll(2) of a pidfd"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it has been waited for, its number may be another's, and its group may hold a container that is to stay.
        if matches!(self.child.try_wait(), Ok(None)) {
            kill(&mut self.child);
        }
    }
}

/// Kills the group that `leader` leads.
fn kill(leader: &mut Child) {
    let _ = kill_process_group(Pid::from_child(leader), Signal::KILL);
    let _ = leader.wait();
}

/// Runs `command` to its end, as its standard streams are; an error if it does not exit with 0 within `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let status = Running::start(command)?.wait(limit)?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{} ended with {status}", shell::line(command)),
        None => bail!(
            "{} did not end within {} s",
            shell::line(command),
            limit.as_secs_f64()
        ),
    }
}

/// What `command` prints; an error, with its standard error, if it does not exit with 0 within `limit`.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    // No pipes: a container that is made and left holds those of its creator, and their end does not come.
    let (mut printed, mut complained) = (memory()?, memory()?);
    command
        .stdin(Stdio::null())
        .stdout(printed.try_clone()?)
        .stderr(complained.try_clone()?);
    if let Err(error) = run(command, limit) {
        bail!("{error:#}\n{}", text(&mut complained)?.trim_end());
    }
    text(&mut printed)
}

/// A file that has no name.
fn memory() -> Result<File> {
    let file = memfd_create("output", MemfdFlags::CLOEXEC).context("memfd_create(2)")?;
    Ok(file.into())
}

fn text(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::command;

    const SHORT: Duration = Duration::from_millis(100);

    #[test]
    fn what_hangs_is_ended_with_its_children() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut hangs = command("sh", ["-c", "sleep 1000 & wait"]);
        let start = Instant::now();
        let error = run(hangs.stdout(writer), SHORT).unwrap_err().to_string();
        assert!(error.ends_with("did not end within 0.1 s"), "{error}");
        // Our own end of it.
        drop(hangs);
        // It ends when the last process that could write is gone.
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert!(start.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn what_ends_leaves_its_children_alone() {
        let mut leaves = command("sh", ["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
        let child = output(&mut leaves, LIMIT).unwrap();
        shell::kill("KILL", child.trim()).unwrap();
    }

    #[test]
    fn a_failure_brings_what_was_complained_of() {
        let mut fails = command("sh", ["-c", "echo why >&2; exit 3"]);
        let error = output(&mut fails, LIMIT).unwrap_err().to_string();
        assert!(error.ends_with("ended with exit status: 3\nwhy"), "{error}");
        let mut hangs = command("sh", ["-c", "echo where >&2; sleep 1000"]);
        let error = output(&mut hangs, SHORT).unwrap_err().to_string();
        assert!(
            error.ends_with("did not end within 0.1 s\nwhere"),
            "{error}"
        );
    }
}
