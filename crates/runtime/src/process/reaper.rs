//! `--init`: PID 1 that forwards signals to the program and reaps what is orphaned.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use soute_sys::process::exit_now;

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

/// Lives until the program ends, and ends as it did: with its status, or 128 + the signal.
pub(crate) fn run(program: Pid, pidfd: OwnedFd) -> ! {
    // This copy of the engine's memory is nobody's business in the container (SECURITY: not dumpable).
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = soute_sys::process::close_all_but(&mut [pidfd.as_raw_fd()]);
    // All that it still needs: to signal a program of another user.
    let _ = Capabilities::for_user(CapSet::of(&[Cap::KILL]), 0).apply();
    // Ignored, it would take the program's exit status away, and nothing would wake us at its end.
    let child = Signal::CHILD.as_raw();
    soute_sys::signals::reset(child);
    let kept = |number: &i32| KEPT.iter().any(|signal| signal.as_raw() == *number);
    let forwarded = (1..=64).filter(|number| !kept(number));
    let Ok(fd) = soute_sys::signals::signalfd(forwarded.chain([child])) else {
        exit_now(1)
    };
    loop {
        reap(program);
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let _ = poll(&mut fds, None);
        while let Ok(Some(number)) = soute_sys::signals::read_signal(&fd) {
            if number != child {
                let _ = soute_sys::process::pidfd_send_signal(&pidfd, number);
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
