//! Hooks: programs that the configuration names for points in a container's life (runtime-spec 1.3, config.md,
//! "POSIX-platform Hooks").
//!
//! A hook is waited for through its pidfd, together with what it writes: one that floods, that never reads its standard
//! input, or that leaves a process behind with its output open holds nobody up. The state comes as a file in memory, not
//! by a pipe: it needs no feeding, and nobody can be killed by SIGPIPE over it.

mod output;
mod state;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use soute_sys::process::{Cloned, exit_now, fork};
use soute_sys::{CallError, Called};

use output::Output;
pub use state::{HookState, Status};

/// One program to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    /// Absolute.
    pub path: String,
    /// All of its arguments, the name by which it is called first; none: that name is the path.
    pub args: Vec<String>,
    /// Its whole environment; nothing of the caller's is added.
    pub env: Vec<String>,
    /// Seconds after which it is killed, at least 1; without, it may take as long as it likes.
    pub timeout: Option<i64>,
}

/// Whose tree the path of a hook is looked up in, which is the tree that the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// The machine's: all hooks but `startContainer`. A path through /proc/PID/exe is one like others (dockerd names
    /// itself so).
    Machine,
    /// The container's: `startContainer`. A link of /proc that jumps anywhere is refused, since it may lead to the
    /// engine's own program (CVE-2019-5736).
    Container,
}

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A hook that no runtime may run.
    #[error("hook {path:?}: {why}")]
    Invalid {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A system call for running it failed.
    #[error("hook {path:?}: {source}")]
    Call {
        /// Which hook.
        path: String,
        /// What failed.
        source: CallError,
    },
    /// It could not be executed.
    #[error("hook {path:?}: {why}")]
    NotExecuted {
        /// Which hook.
        path: String,
        /// The call that failed, and the kernel's answer.
        why: String,
    },
    /// It ran longer than it may, and was killed.
    #[error("hook {path:?} was killed after its timeout of {seconds} s{}", wrote(.output))]
    TimedOut {
        /// Which hook.
        path: String,
        /// What it was given.
        seconds: i64,
        /// The end of what it wrote to its standard output and standard error.
        output: String,
    },
    /// It ended by itself, and not with success.
    #[error("hook {path:?}: {end}{}", wrote(.output))]
    Failed {
        /// Which hook.
        path: String,
        /// How.
        end: End,
        /// The end of what it wrote to its standard output and standard error.
        output: String,
    },
}

/// How a hook that failed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit status {status}"),
            Self::Signal(number) => write!(f, "killed by signal {number}"),
        }
    }
}

fn wrote(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!("; it wrote: {output}")
    }
}

impl Hook {
    /// Whether it can be run at all; to be asked before anything is made for the container.
    pub fn check(&self) -> Result<(), HookError> {
        self.strings().map(drop)
    }

    fn strings(&self) -> Result<Strings, HookError> {
        let invalid = |why| HookError::Invalid {
            path: self.path.clone(),
            why,
        };
        if !self.path.starts_with('/') {
            return Err(invalid("the path is not absolute"));
        }
        if self.timeout.is_some_and(|seconds| seconds <= 0) {
            return Err(invalid("the timeout is not greater than 0"));
        }
        let text = |s: &String| {
            CString::new(s.as_bytes()).map_err(|_| invalid("a string of it has a NUL character"))
        };
        let argv = match self.args.as_slice() {
            [] => vec![text(&self.path)?],
            args => args.iter().map(text).collect::<Result<_, _>>()?,
        };
        Ok(Strings {
            path: text(&self.path)?,
            argv,
            envp: self.env.iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}

/// What execve takes.
struct Strings {
    path: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

/// Runs `hook` with `state` ([`HookState::json`]) as its standard input, and waits for its end.
///
/// It runs in the caller's namespaces, cgroup and folder, as the caller's user, with no descriptor but its standard
/// three, in a process group of its own. The caller has one thread. What a hook leaves running is let be; what of its
/// group has ended and come to the caller (PID 1 of a container) is reaped.
///
/// # Errors
/// [`HookError`]; in all cases the hook itself has ended.
pub fn run(hook: &Hook, state: &str, tree: Tree) -> Result<(), HookError> {
    let strings = hook.strings()?;
    let call = |source| HookError::Call {
        path: hook.path.clone(),
        source,
    };
    let running = Running::start(&strings, state, tree).map_err(call)?;
    // Far in the future is never.
    let deadline = hook
        .timeout
        .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds as u64)));
    let mut output = Output::default();
    let watched = running.watch(deadline, &mut output);
    let killed = !matches!(watched, Ok(Watched::Ended));
    if killed {
        running.kill();
    }
    let status = running.reap(killed).map_err(call)?;
    let output = output.into_text();
    if let Watched::TimedOut = watched.map_err(call)? {
        return Err(HookError::TimedOut {
            path: hook.path.clone(),
            seconds: hook.timeout.unwrap_or_default(),
            output,
        });
    }
    if let Some(why) = running.said() {
        return Err(HookError::NotExecuted {
            path: hook.path.clone(),
            why,
        });
    }
    let end = match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => return Ok(()),
        (Some(status), _) => End::Exit(status),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    };
    Err(HookError::Failed {
        path: hook.path.clone(),
        end,
        output,
    })
}

/// A hook's process, not yet waited for.
struct Running {
    pid: Pid,
    pidfd: OwnedFd,
    /// Its standard output and standard error; non-blocking.
    output: OwnedFd,
    /// Why it could not become the hook, if so.
    said: OwnedFd,
}

enum Watched {
    Ended,
    TimedOut,
}

impl Running {
    fn start(strings: &Strings, state: &str, tree: Tree) -> Result<Self, CallError> {
        // A caller may ignore it, and whoever starts us inherits that: the exit status would be lost.
        soute_sys::signals::reset(Signal::CHILD.as_raw());
        let stdin = memory_file(state)?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).called(|| "pipe2(O_CLOEXEC)".to_owned());
        let (output, writes) = pipe()?;
        let (said, says) = pipe()?;
        // Our end alone: the hook's own is to block, as programs expect.
        rustix::io::ioctl_fionbio(&output, true).called(|| "ioctl(FIONBIO)".to_owned())?;
        match fork()? {
            Cloned::Child => {
                let Err(e) = become_hook(strings, tree, &stdin, &writes, &says);
                let _ = rustix::io::write(&says, e.to_string().as_bytes());
                exit_now(127)
            }
            Cloned::Parent { pid, pidfd } => Ok(Self {
                pid,
                pidfd,
                output,
                said,
            }),
        }
    }

    /// Waits for the end, taking what is written meanwhile.
    fn watch(&self, deadline: Option<Instant>, output: &mut Output) -> Result<Watched, CallError> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // Asked for each time round: one that floods never lets poll wait.
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Watched::TimedOut);
            }
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let mut fds = [
                PollFd::new(&self.pidfd, PollFlags::IN),
                PollFd::new(&self.output, PollFlags::IN),
            ];
            // A hook may close its output and go on.
            let watched = if output.is_open() { 2 } else { 1 };
            match poll(&mut fds[..watched], timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(CallError::new("poll(hook)", e)),
            }
            if !fds[1].revents().is_empty() {
                output.take_once(&self.output);
            }
            if !fds[0].revents().is_empty() {
                output.take_rest(&self.output);
                return Ok(Watched::Ended);
            }
        }
    }

    /// Kills it and all that it has started in its process group. It has not been waited for, so that its number, and
    /// its group's, cannot be another's.
    fn kill(&self) {
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        // It may not have come to make its group.
        let _ = soute_sys::process::pidfd_send_signal(&self.pidfd, Signal::KILL.as_raw());
    }

    fn reap(&self, killed: bool) -> Result<WaitIdStatus, CallError> {
        let wait = |id: WaitId<'_>, options| {
            rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::clone(&id), options))
        };
        let status = wait(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)
            .called(|| "waitid(hook)".to_owned())?
            .ok_or_else(|| CallError::new("waitid(hook)", Errno::CHILD))?;
        // Orphans of its group, where the caller is who gets them. Those that were killed are about to end.
        let group = || WaitId::Pgid(Some(self.pid));
        let ended = if killed {
            WaitIdOptions::EXITED
        } else {
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG
        };
        while let Ok(Some(_)) = wait(group(), ended) {}
        Ok(status)
    }

    /// What kept the process from becoming the hook. To be asked after its end, when nobody holds the other side.
    fn said(&self) -> Option<String> {
        let mut text = [0; 4096];
        match rustix::io::read(&self.said, &mut text) {
            Ok(n) if n > 0 => Some(String::from_utf8_lossy(&text[..n]).into_owned()),
            _ => None,
        }
    }
}

/// This process, which has not executed its program yet, is killed when its caller dies, who alone has the other end of
/// `says`; if the caller is dead already, it ends here.
pub(crate) fn die_with_caller(says: &OwnedFd) -> Result<(), CallError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .called(|| "prctl(PR_SET_PDEATHSIG)".to_owned())?;
    let mut fds = [PollFd::new(says, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).called(|| "poll(the hook's caller)".to_owned())?;
    match fds[0].revents().contains(PollFlags::ERR) {
        true => exit_now(127),
        false => Ok(()),
    }
}

/// A file in memory with this content, to be read from its beginning.
fn memory_file(text: &str) -> Result<OwnedFd, CallError> {
    // NOEXEC_SEAL is Linux 6.3's, and may be demanded (vm.memfd_noexec).
    let create = |flags| rustix::fs::memfd_create("state", MemfdFlags::CLOEXEC | flags);
    let file = match create(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(MemfdFlags::empty()),
        other => other,
    }
    .called(|| "memfd_create(state)".to_owned())?;
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, left))
            .called(|| format!("write(memfd, {} bytes)", left.len()))?;
        left = &left[written..];
    }
    rustix::fs::seek(&file, SeekFrom::Start(0)).called(|| "lseek(memfd, 0)".to_owned())?;
    Ok(file)
}

/// In the new process. No descriptor of the caller's is used afterwards, and none may be dropped.
fn become_hook(
    strings: &Strings,
    tree: Tree,
    stdin: &OwnedFd,
    output: &OwnedFd,
    says: &OwnedFd,
) -> Result<std::convert::Infallible, CallError> {
    // So that all that it starts can be killed with it, and the caller is not.
    rustix::process::setpgid(None, None).called(|| "setpgid(0, 0)".to_owned())?;
    rustix::stdio::dup2_stdin(stdin).called(|| "dup2(state, 0)".to_owned())?;
    rustix::stdio::dup2_stdout(output).called(|| "dup2(output, 1)".to_owned())?;
    rustix::stdio::dup2_stderr(output).called(|| "dup2(output, 2)".to_owned())?;
    // Closed, not close-on-exec: nor may the lookup of its path lead through one (CVE-2024-21626).
    soute_sys::process::close_all_but(&mut [says.as_raw_fd()])?;
    // Without the caller nobody watches its time, and whoever cleans up after the caller would not know of it.
    die_with_caller(says)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    soute_sys::signals::reset_all()?;
    if tree == Tree::Container && crate::process::leads_through_magic(&strings.path) {
        return Err(CallError::new(
            format!("execve({:?}) through a link of /proc", strings.path),
            Errno::LOOP,
        ));
    }
    let errno = soute_sys::process::execve(&strings.path, &strings.argv, &strings.envp);
    Err(CallError::new(format!("execve({:?})", strings.path), errno))
}
