//! Making, entering and replacing processes: clone3(2), fork(2), execve(2) and
//! close_range(2).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Resource};
use rustix::thread::UnshareFlags;

use crate::mount::last_errno;
use crate::{CallError, Called};

/// `CLONE_NEW*` flags for [`clone3`] and [`unshare`].
pub mod flags {
    /// `CLONE_NEWNS`
    pub const NEWNS: u64 = libc::CLONE_NEWNS as u64;
    /// `CLONE_NEWUTS`
    pub const NEWUTS: u64 = libc::CLONE_NEWUTS as u64;
    /// `CLONE_NEWIPC`
    pub const NEWIPC: u64 = libc::CLONE_NEWIPC as u64;
    /// `CLONE_NEWPID`
    pub const NEWPID: u64 = libc::CLONE_NEWPID as u64;
    /// `CLONE_NEWNET`
    pub const NEWNET: u64 = libc::CLONE_NEWNET as u64;
    /// `CLONE_NEWUSER`
    pub const NEWUSER: u64 = libc::CLONE_NEWUSER as u64;
    /// `CLONE_NEWCGROUP`
    pub const NEWCGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
    /// `CLONE_NEWTIME`: for [`unshare`] alone, and for the children alone; in [`clone3`] it would be without offsets.
    pub const NEWTIME: u64 = linux_raw_sys::general::CLONE_NEWTIME as u64;
    /// `CLONE_PARENT`: the new process is a sibling, not a child.
    pub const PARENT: u64 = libc::CLONE_PARENT as u64;
}

/// Which side of a [`clone3`] or [`fork`] this is.
#[derive(Debug)]
pub enum Cloned {
    /// The calling process, with the new one's number (as seen here) and pidfd.
    Parent {
        /// The new process.
        pid: Pid,
        /// A descriptor of it (close-on-exec).
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Makes a process in new namespaces (`flags`) and, on cgroup v2, directly in the cgroup of folder `cgroup`.
///
/// The child runs on a copy of this address space. That is only sound while
/// this process has one thread (another thread could hold the allocator's
/// lock in the copy, for good), so a second thread is refused with `EDEADLK`.
pub fn clone3(clone_flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, CallError> {
    refuse_threads()?;
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: clone_flags | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        // The parent of a CLONE_PARENT child is told by its parent's own signal.
        exit_signal: if clone_flags & flags::PARENT != 0 {
            0
        } else {
            libc::SIGCHLD as u64
        },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(folder) = cgroup {
        args.flags |= linux_raw_sys::general::CLONE_INTO_CGROUP;
        args.cgroup = folder.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with no stack given, the child continues on
    // a copy of this stack like fork(2)'s. There is one thread (checked above),
    // so no lock is held in the copy. `args` and `pidfd` outlive the call.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut args,
            size_of::<libc::clone_args>(),
        )
    };
    // SAFETY: by CLONE_PIDFD the kernel stores a new descriptor there, owned by nobody else.
    unsafe { side(pid, pidfd) }.called(|| {
        format!(
            "clone3({{flags={:#x}, cgroup={:?}}})",
            args.flags,
            cgroup.map(|fd| fd.as_raw_fd())
        )
    })
}

/// Set in every process that was made here.
static MADE_HERE: AtomicBool = AtomicBool::new(false);

/// On which side a clone with the answer `pid` has returned.
///
/// # Safety
/// If `pid` is positive, `pidfd` is an open descriptor that nobody owns.
unsafe fn side(pid: libc::c_long, pidfd: RawFd) -> rustix::io::Result<Cloned> {
    match pid {
        -1 => Err(last_errno()),
        0 => {
            MADE_HERE.store(true, Ordering::Relaxed);
            Ok(Cloned::Child)
        }
        pid => Ok(Cloned::Parent {
            pid: Pid::from_raw(pid as i32).expect("a clone returns a process number"),
            // SAFETY: see above.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// fork(2) with a pidfd: [`clone3`] without namespaces.
///
/// Where a system-call filter forbids clone3, whose flags it cannot see (Docker's: ENOSYS), this is clone(2).
pub fn fork() -> Result<Cloned, CallError> {
    match clone3(0, None) {
        Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => {}
        other => return other,
    }
    let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: RawFd = -1;
    // SAFETY: as in `clone3`, which has made sure that there is one thread. The descriptor is stored where the third
    // argument points, on all architectures alike; the order of the others, all null, does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    // SAFETY: by CLONE_PIDFD the kernel stores a new descriptor there, owned by nobody else.
    unsafe { side(pid, pidfd) }.called(|| format!("clone({flags:#x})"))
}

/// The kernel itself tells: asked to unshare a thread group, it refuses unless the group has one member, in which case
/// there is nothing to do (unshare(2), CLONE_THREAD). Unlike /proc this works in any mount namespace.
pub(crate) fn refuse_threads() -> Result<(), CallError> {
    // SAFETY: no memory or descriptor is involved; the call changes nothing for a single thread, and fails otherwise.
    let alone = unsafe { libc::unshare(libc::CLONE_THREAD) };
    if alone == 0 {
        return Ok(());
    }
    match last_errno() {
        // No answer of the kernel's, but of a system-call filter. Processes that were made here begin with one thread,
        // and have no use for a second.
        Errno::PERM | Errno::NOSYS if MADE_HERE.load(Ordering::Relaxed) => Ok(()),
        _ => Err(CallError::new(
            "clone3() in a process with several threads",
            Errno::DEADLK,
        )),
    }
}

/// unshare(2) for namespaces.
pub fn unshare(namespaces: u64) -> Result<(), CallError> {
    let known = flags::NEWNS
        | flags::NEWUTS
        | flags::NEWIPC
        | flags::NEWPID
        | flags::NEWNET
        | flags::NEWUSER
        | flags::NEWCGROUP
        | flags::NEWTIME;
    if namespaces & !known != 0 {
        return Err(CallError::new(
            format!("unshare({namespaces:#x})"),
            Errno::INVAL,
        ));
    }
    let flags = UnshareFlags::from_bits_retain(namespaces as u32);
    // SAFETY: only CLONE_FILES makes unshare unsafe (descriptors owned by two
    // tables); it was excluded above.
    unsafe { rustix::thread::unshare_unsafe(flags) }.called(|| format!("unshare({namespaces:#x})"))
}

/// Replaces this program. Returns only on failure.
pub fn execve(path: &CStr, argv: &[CString], envp: &[CString]) -> Errno {
    let argv = null_terminated(argv);
    let envp = null_terminated(envp);
    // SAFETY: `path` and every element are NUL-terminated and live until the
    // call returns, and both arrays end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    last_errno()
}

/// Replaces this program by the one that `program` is open on (execveat(2)). Returns only on failure.
pub fn execveat(program: impl AsFd, argv: &[CString], envp: &[CString]) -> Errno {
    let argv = null_terminated(argv);
    let envp = null_terminated(envp);
    // SAFETY: as in `execve`; the path is an empty constant, as AT_EMPTY_PATH wants.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

fn null_terminated(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain(std::iter::once(std::ptr::null()))
        .collect()
}

/// Ends this process without running anything of the copied program (exit handlers, buffered output).
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions and does not return.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor but the standard three and those in `keep`, so
/// that a process that lives on holds nothing of its caller's.
///
/// The caller must not use any other descriptor afterwards: owners of closed
/// ones must have been forgotten or never be dropped. That is so where a
/// forked process runs one function and then exits without unwinding.
pub fn close_all_but(keep: &mut [RawFd]) -> Result<(), CallError> {
    keep.sort_unstable();
    let mut first = 3;
    for &fd in keep.iter().filter(|&&fd| fd >= 3) {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, RawFd::MAX)
}

/// Has every descriptor but the standard three close when a program is executed (close_range(2), CLOSE_RANGE_CLOEXEC).
pub fn close_on_exec() -> Result<(), CallError> {
    let (first, last, flags) = (3, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: no memory is involved, and nothing is closed now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new(
        format!("close_range({first}, {last}, CLOSE_RANGE_CLOEXEC)"),
        last_errno(),
    ))
}

/// Descriptors below this number are left open by [`put_away`].
static LEFT_OPEN: AtomicI32 = AtomicI32::new(0);

/// From now on [`put_away`] leaves it to [`close_all_but`] to close: for a forked process that ends with that, or soon.
pub fn close_later() {
    // Numbers are given from below: one beyond half of the limit (setrlimit(2), RLIMIT_NOFILE) is closed, so that the limit is
    // not met for this.
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let half = limit.map_or(i32::MAX, |limit| {
        i32::try_from(limit / 2).unwrap_or(i32::MAX)
    });
    LEFT_OPEN.store(half, Ordering::Relaxed);
}

/// Drops a descriptor that has served its purpose. After [`close_later`] it stays open: to close one by one what is soon closed
/// all at once would be one in eight of the calls that a container's start takes.
pub fn put_away(descriptor: OwnedFd) {
    if descriptor.as_raw_fd() < LEFT_OPEN.load(Ordering::Relaxed) {
        std::mem::forget(descriptor);
    }
}

/// Leaves the caller's session, folder and standard files, which are not for a process to hold that outlives it.
pub fn detach() -> Result<(), CallError> {
    detach_with(&null()?)
}

/// /dev/null, for [`detach_with`].
pub fn null() -> Result<OwnedFd, CallError> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .called(|| "open(\"/dev/null\")".to_owned())
}

/// As [`detach`], where /dev/null is perhaps not what it should be: by the machine's, which was opened before.
pub fn detach_with(null: &OwnedFd) -> Result<(), CallError> {
    // The leader of a session has left already.
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(e) => return Err(CallError::new("setsid()", e)),
    }
    rustix::process::chdir("/").called(|| "chdir(\"/\")".to_owned())?;
    rustix::stdio::dup2_stdin(null).called(|| "dup2(null, 0)".to_owned())?;
    rustix::stdio::dup2_stdout(null).called(|| "dup2(null, 1)".to_owned())?;
    rustix::stdio::dup2_stderr(null).called(|| "dup2(null, 2)".to_owned())
}

/// Closes one descriptor in a forked process that will execute a program or exit without unwinding; its owner's copy
/// there must never be dropped.
pub fn close_in_fork(descriptor: RawFd) -> Result<(), CallError> {
    close_range(descriptor, descriptor)
}

fn close_range(first: RawFd, last: RawFd) -> Result<(), CallError> {
    // SAFETY: no memory is involved; the callers' docs say whose descriptors these are.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new(
        format!("close_range({first}, {last})"),
        last_errno(),
    ))
}

/// Gives this process a session keyring of its own, empty and without a name (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
///
/// A kernel without keyrings has none to leave; where a filter forbids keyctl (soute in a container), it forbids it to
/// the program, too.
pub fn new_session_keyring() -> Result<(), CallError> {
    // SAFETY: a null name asks for an anonymous keyring; no memory is involved.
    let joined = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    match joined {
        -1 => match last_errno() {
            Errno::NOSYS | Errno::PERM => Ok(()),
            errno => Err(CallError::new("keyctl(KEYCTL_JOIN_SESSION_KEYRING)", errno)),
        },
        _ => Ok(()),
    }
}

/// Sends `signal` (any number, real-time ones included) to the process of `pidfd`.
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> Result<(), CallError> {
    // SAFETY: a null siginfo asks for kill(2)'s; no memory is involved.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new(
        format!("pidfd_send_signal({}, {signal})", pidfd.as_fd().as_raw_fd()),
        last_errno(),
    ))
}
