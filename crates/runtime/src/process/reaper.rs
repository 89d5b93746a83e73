//! `--init`: PID 1 that forwards signals to the program and reaps what is orphaned.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use soute_sys::process::exit_now;

use crate::capabilities::{Cap, CapSet, Capabilities};

/// What can be asked of a program; SIGCHLD is ours, and the stop signals of job control would stop only the reaper.
const FORWARDED: &[Signal] = &[
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::CONT,
    Signal::WINCH,
    Signal::PIPE,
];

/// Lives until the program ends, and ends as it did: with its status, or 128 + the signal.
pub(crate) fn run(program: Pid) -> ! {
    // This copy of the engine's memory is nobody's business in the container (SECURITY: not dumpable).
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = soute_sys::process::close_all_but(&mut []);
    // All that it still needs: to signal a program of another user.
    let _ = Capabilities::for_user(CapSet::of(&[Cap::KILL]), 0).apply();
    // Ignored, it would take the program's exit status away, and nothing would wake us at its end.
    soute_sys::process::reset_signal(Signal::CHILD.as_raw());
    let signals: Vec<Signal> = FORWARDED.iter().copied().chain([Signal::CHILD]).collect();
    let Ok(fd) = soute_sys::process::signalfd(&signals) else {
        exit_now(1)
    };
    loop {
        reap(program);
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let _ = poll(&mut fds, None);
        while let Ok(Some(number)) = soute_sys::process::read_signal(&fd) {
            if let Some(signal) = Signal::from_named_raw(number).filter(|s| *s != Signal::CHILD) {
                let _ = rustix::process::kill_process(program, signal);
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
        let _ = soute_sys::process::signalfd(&[Signal::TTOU]);
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp());
    }
}
