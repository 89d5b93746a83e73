//! `--init`: PID 1 that forwards signals to the program and reaps what is orphaned.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use soute_sys::process::{Cloned, exit_now};
use soute_sys::{CallError, Called as _};

use super::failure::{Failure, Step as _};
use crate::capabilities::{Cap, CapSet, Capabilities};

/// What is not forwarded: the kernel's complaints about the reaper itself, what would stop it when it touches the
/// terminal, and SIGCHLD, which is its own. All others are for the program, real-time ones too (a STOPSIGNAL).
const KEPT: &[Signal] = &[
    Signal::FPE,
    Signal::ILL,
    Signal::SEGV,
    Signal::BUS,
    Signal::ABORT,
    Signal::TRAP,
    Signal::SYS,
    Signal::TTIN,
    Signal::TTOU,
    Signal::CHILD,
];

/// Who a process is after [`start`].
pub(crate) enum Role {
    /// The child, which is to become the program.
    Program,
    /// PID 1.
    Reaper(Reaper),
}

/// PID 1 when it is no more than that.
pub(crate) struct Reaper {
    program: Pid,
    pidfd: OwnedFd,
    signals: OwnedFd,
}

/// Makes a child for the program, which comes back from here when this process has nothing left that could be taken from
/// it.
pub(crate) fn start() -> Result<Role, Failure> {
    let step = "starting the program below --init";
    let (waits, confined) = pipe_with(PipeFlags::CLOEXEC)
        .called(|| "pipe2()".to_owned())
        .step(step)?;
    match soute_sys::process::fork().step(step)? {
        Cloned::Child => {
            drop(confined);
            // Nothing comes where confining failed, which the parent tells.
            if !matches!(rustix::io::read(&waits, &mut [0]), Ok(1)) {
                exit_now(1)
            }
            Ok(Role::Program)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(waits);
            let signals = confine().step("confining the reaper of --init")?;
            let mut kept = [&pidfd, &signals, &confined].map(AsRawFd::as_raw_fd);
            // The others are the caller's, who uses and drops none of them from here on.
            let _ = soute_sys::process::close_all_but(&mut kept);
            // Fails where the program was killed, which reaping finds.
            let _ = rustix::io::write(&confined, &[1]);
            Ok(Role::Reaper(Reaper {
                program: pid,
                pidfd,
                signals,
            }))
        }
    }
}

/// Takes from this process what it needs no more. The descriptor is of the signals to forward, and SIGCHLD.
fn confine() -> Result<OwnedFd, CallError> {
    // This copy of the engine's memory is nobody's business in the container (SECURITY: not dumpable).
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .called(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned())?;
    // All that it still needs: to signal a program of another user.
    Capabilities::for_user(CapSet::of(&[Cap::KILL]), 0).apply()?;
    // Ignored, it would take the program's exit status away, and nothing would wake us at its end.
    let child = Signal::CHILD.as_raw();
    soute_sys::signals::reset(child);
    let kept = |number: &i32| KEPT.iter().any(|signal| signal.as_raw() == *number);
    let forwarded = (1..=64).filter(|number| !kept(number));
    soute_sys::signals::signalfd(forwarded.chain([child]))
}

impl Reaper {
    /// Lives until the program ends, and ends as it did: with its status, or 128 + the signal.
    pub(crate) fn run(self) -> ! {
        loop {
            reap(self.program);
            let mut fds = [PollFd::new(&self.signals, PollFlags::IN)];
            let _ = poll(&mut fds, None);
            while let Ok(Some(number)) = soute_sys::signals::read_signal(&self.signals) {
                if number != Signal::CHILD.as_raw() {
                    let _ = soute_sys::process::pidfd_send_signal(&self.pidfd, number);
                }
            }
        }
    }
}

fn reap(program: Pid) {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == program => {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|s| 128 + s))
                    .unwrap_or(1);
                exit_now(code)
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// The program below a reaper leads a process group of its own, in the foreground of the terminal if there is one.
pub(crate) fn take_foreground(terminal: bool) {
    let _ = rustix::process::setpgid(None, None);
    if terminal {
        // A background group that takes the terminal is sent SIGTTOU: blocked here, unblocked before execve.
        let _ = soute_sys::signals::signalfd([Signal::TTOU.as_raw()]);
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp());
    }
}
