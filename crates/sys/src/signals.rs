//! The signal state of a process, which a program that it executes inherits: signal(7), signalfd(2).

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::CallError;
use crate::mount::last_errno;

/// The signals that this process was begun with as ignored, one bit each, from that of number 1 on.
static IGNORED: OnceLock<Option<u64>> = OnceLock::new();

/// Notes which signals this process ignores, while the /proc in sight is the machine's: its forks know it, too, so that
/// [`reset_all`] need not give each signal the disposition that it has.
pub fn note_ignored() {
    ignored();
}

/// Whether this process ignores `signal`, as its caller may have made it (nohup(1), a background job of a script).
pub fn ignores(signal: Signal) -> bool {
    ignored().is_some_and(|set| contains(set, signal.as_raw()))
}

/// One read for all of them. `None`: there is no telling.
fn ignored() -> Option<u64> {
    *IGNORED.get_or_init(|| {
        let file = rustix::fs::openat(
            CWD,
            "/proc/self/status",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let mut text = [0; 4096];
        let length = rustix::io::read(file.ok()?, &mut text).ok()?;
        sig_ign(&text[..length])
    })
}

/// `SigIgn:` of a /proc/PID/status (proc_pid_status(5)), whose name's line may hold any bytes but a new line's.
fn sig_ign(status: &[u8]) -> Option<u64> {
    let mut lines = status.split(|&byte| byte == b'\n');
    let mask = lines.find_map(|line| line.strip_prefix(b"SigIgn:\t"))?;
    u64::from_str_radix(std::str::from_utf8(mask).ok()?, 16).ok()
}

fn contains(set: u64, number: i32) -> bool {
    set & bit(number) != 0
}

/// Gives every signal the default disposition, for the program that is executed next, and unblocks all, as a program
/// expects to be started.
///
/// The program ignores SIGPIPE ([`crate::start`]), the monitor blocks what it reads by signalfd, and the caller (`nohup`) may ignore
/// others; all would be inherited across execve. What is handled is not: execve itself takes handlers away.
pub fn reset_all() -> Result<(), CallError> {
    let ignored = IGNORED.get().copied().flatten().unwrap_or(u64::MAX);
    for number in (1..=64).filter(|number| contains(ignored, *number)) {
        reset(number);
    }
    set_mask(libc::SIG_SETMASK, 0)
}

/// Gives a signal its default disposition.
///
/// A caller may ignore SIGCHLD, and whoever starts us inherits that: the kernel then reaps children by itself, and their
/// exit status is lost.
pub fn reset(number: i32) {
    // Nobody can change these two.
    if matches!(number, libc::SIGKILL | libc::SIGSTOP) {
        return;
    }
    // The kernel's own structure (handler, flags, restorer, mask), all zero: the default. Not by signal(3), which
    // refuses those that the C library keeps for itself.
    let default = [0usize; 4];
    // SAFETY: the structure outlives the call, and is as long as the longest of any architecture's; the old
    // disposition is not asked for; a default disposition runs no code of ours.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            default.as_ptr(),
            std::ptr::null::<libc::c_void>(),
            8,
        )
    };
}

/// Blocks `signals` (by number, real-time ones included) and returns a descriptor that reads them (signalfd(2);
/// non-blocking, close-on-exec). Those that C libraries keep for themselves, 32 and 33, are left out.
pub fn signalfd(signals: impl IntoIterator<Item = i32>) -> Result<OwnedFd, CallError> {
    let signals = signals
        .into_iter()
        .filter(|number| !matches!(number, 32 | 33));
    let set = signals.fold(0, |set, number| set | bit(number));
    set_mask(libc::SIG_BLOCK, set)?;
    // Not by signalfd(3): musl would leave out 34, too, which is SIGRTMIN to glibc's programs.
    // SAFETY: the kernel reads the set, as long as it is told; a new descriptor is asked for (-1).
    let fd = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const set,
            size_of_val(&set),
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(CallError::new("signalfd()", last_errno()));
    }
    // SAFETY: a new descriptor, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Reads one pending signal's number from a [`signalfd`]; `None` when there is none.
pub fn read_signal(signalfd: impl AsFd) -> Result<Option<i32>, CallError> {
    let mut buffer = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(&signalfd, &mut buffer[..]) {
        Ok(_) => Ok(Some(i32::from_ne_bytes([
            buffer[0], buffer[1], buffer[2], buffer[3],
        ]))),
        Err(Errno::AGAIN) => Ok(None),
        Err(e) => Err(CallError::new("read(signalfd)", e)),
    }
}

/// Lets a signal that is blocked do to this process what it does by default: end it, or stop it until SIGCONT. Returns then, or
/// at once where the kernel passes it over: one that ends the first process of a PID namespace, one that stops a process which
/// nobody could make go on (an orphaned process group, setpgid(2)).
pub fn suffer(number: i32) -> Result<(), CallError> {
    reset(number);
    raise(number);
    set_mask(libc::SIG_UNBLOCK, bit(number))?;
    set_mask(libc::SIG_BLOCK, bit(number))
}

/// Sends a signal to this thread.
///
/// As raise(3), which in musl's words is for a thread whose number it noted: in a process forked without its knowledge
/// ([`crate::process`]) that is its parent's, or by then that of anybody.
fn raise(number: i32) {
    let (process, thread) = (rustix::process::getpid(), rustix::thread::gettid());
    // SAFETY: takes numbers alone.
    unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            process.as_raw_nonzero().get(),
            thread.as_raw_nonzero().get(),
            number,
        )
    };
}

/// abort(3), by which a panic ends the program, in place of musl's: that sends SIGABRT as its [`raise`] does.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    reset(libc::SIGABRT);
    raise(libc::SIGABRT);
    let _ = set_mask(libc::SIG_UNBLOCK, bit(libc::SIGABRT));
    // The first process of a PID namespace is passed over by its own signals: as a shell tells of SIGABRT.
    crate::process::exit_now(128 + libc::SIGABRT)
}

/// The kernel's set of the one signal `number`.
fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// For this thread (rt_sigprocmask(2)).
fn set_mask(how: libc::c_int, set: u64) -> Result<(), CallError> {
    // SAFETY: the kernel reads the set, as long as it is told; the old mask is not asked for.
    let done = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const set,
            std::ptr::null_mut::<u64>(),
            size_of_val(&set),
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new("rt_sigprocmask()", last_errno()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_found_in_its_line() {
        let status =
            b"Name:\tSigIgn:\nSigBlk:\t0000000000000001\nSigIgn:\t8000000000001001\nSigCgt:\t0\n";
        let set = sig_ign(status).unwrap();
        let numbers: Vec<i32> = (1..=64).filter(|n| contains(set, *n)).collect();
        assert_eq!(numbers, [1, 13, 64]);
        assert_eq!(sig_ign(b"Name:\tx\nSigIgn:"), None);
    }

    #[test]
    fn rust_ignores_sigpipe() {
        assert!(ignores(Signal::PIPE));
        assert!(!ignores(Signal::TERM));
    }
}
