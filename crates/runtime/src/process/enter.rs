//! `exec`: a further process in a container that runs.
//!
//! The same last steps as a container's first process ([`super::privileges`]).
//! The process in between enters the namespaces in one setns on the pidfd and
//! clones its sibling, which is then in the PID namespace. The parent of both
//! (CLONE_PARENT) stays outside, waits for the program and tells its end.

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::Stat;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::ThreadNameSpaceType;
use soute_sys::process::{Cloned, clone3, exit_now, flags, fork};
use soute_sys::{CallError, Called};

use super::attributes::Label;
use super::channel::Channel;
use super::failure::{Failure, Step};
use super::join::own_number;
use super::privileges::Door;
use super::program::Program;
use super::spawn::{LISTENER, OUTSIDE, Started, Stdio};
use super::stdio::{self, Standard};
use super::{console, directory, listener, privileges, user};
use crate::cgroups::Cgroup;
use crate::executable;
use crate::hooks::{HookState, Status};
use crate::mounts::mask;
use crate::mounts::root::Root;
use crate::plan::Process;

/// Which of its namespaces a container does not share with the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own {
    /// user_namespaces(7)
    pub user: bool,
    /// pid_namespaces(7)
    pub pid: bool,
    /// network_namespaces(7)
    pub net: bool,
    /// ipc_namespaces(7)
    pub ipc: bool,
    /// uts_namespaces(7)
    pub uts: bool,
    /// cgroup_namespaces(7)
    pub cgroup: bool,
    /// time_namespaces(7)
    pub time: bool,
}

impl Own {
    /// Those that the process `pid` does not share with this one.
    ///
    /// # Errors
    /// They cannot be looked at.
    pub fn of(pid: i32) -> Result<Self, Failure> {
        let own = |kind: &str| shares_namespace(pid, kind).map(|shared| !shared);
        let all = || {
            Ok(Self {
                user: own("user")?,
                pid: own("pid")?,
                net: own("net")?,
                ipc: own("ipc")?,
                uts: own("uts")?,
                cgroup: own("cgroup")?,
                time: own("time")?,
            })
        };
        all().step("looking at the container's namespaces")
    }

    fn flags(self) -> ThreadNameSpaceType {
        let mut flags = ThreadNameSpaceType::MOUNT;
        for (own, flag) in [
            (self.user, ThreadNameSpaceType::USER),
            (self.pid, ThreadNameSpaceType::PROCESS_ID),
            (self.net, ThreadNameSpaceType::NETWORK),
            (self.ipc, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
            (self.uts, ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
            (self.cgroup, ThreadNameSpaceType::CONTROL_GROUP),
        ] {
            if own {
                flags |= flag;
            }
        }
        flags
    }
}

/// Whether the process `pid` is in the same namespace of this kind as this one.
///
/// # Errors
/// It cannot be looked at.
pub fn shares_namespace(pid: i32, kind: &str) -> Result<bool, CallError> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let theirs = rustix::fs::stat(&path).called(|| format!("stat(\"{path}\")"))?;
    is_own_namespace(&theirs, kind)
}

/// Whether what has this `stat` is the namespace of this kind that this process is in: its inode tells it from all others.
pub(crate) fn is_own_namespace(stat: &Stat, kind: &str) -> Result<bool, CallError> {
    let path = format!("/proc/self/ns/{kind}");
    let own = rustix::fs::stat(&path).called(|| format!("stat(\"{path}\")"))?;
    Ok((stat.st_dev, stat.st_ino) == (own.st_dev, own.st_ino))
}

/// A process that has entered a container.
#[derive(Debug)]
pub struct Entered {
    /// To send it signals.
    pub pidfd: OwnedFd,
    /// Tells its end.
    pub exit: Exit,
    /// The master side of its terminal, if it was to have one.
    pub terminal: Option<OwnedFd>,
    /// Our ends, non-blocking, of those of its standard files that were to be pipes.
    pub pipes: [Option<OwnedFd>; 3],
}

/// Readable when the process has ended.
#[derive(Debug)]
pub struct Exit(Told);

#[derive(Debug)]
enum Told {
    /// By its parent, which is not the caller: four bytes.
    ByPipe(OwnedFd),
    /// By the kernel, since it is the caller's own child.
    ByPidfd(OwnedFd),
}

impl Exit {
    /// The end of a child of the caller.
    pub fn of_child(pidfd: OwnedFd) -> Self {
        Self(Told::ByPidfd(pidfd))
    }

    /// Waits for the exit code, 128 + n by signal n; 137, as of a container, if whoever was to tell it was killed.
    pub fn code(&self) -> i32 {
        let killed = 128 + Signal::KILL.as_raw();
        let pipe = match &self.0 {
            Told::ByPipe(pipe) => pipe,
            Told::ByPidfd(pidfd) => return super::wait::exit_code(pidfd).unwrap_or(killed),
        };
        let mut code = [0; 4];
        // So few bytes come at once or not at all.
        match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut code)) {
            Ok(4) => i32::from_ne_bytes(code),
            _ => killed,
        }
    }
}

impl AsFd for Exit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Told::ByPipe(fd) | Told::ByPidfd(fd) => fd.as_fd(),
        }
    }
}

/// Runs `process` in the container whose first process `target` refers to. `cgroup` must be prepared to be joined.
///
/// `stdio`: its standard files, unless it gets a terminal. `root`: user and group that the container has for root, if
/// they are not the machine's.
pub fn enter(
    target: BorrowedFd<'_>,
    own: Own,
    process: &Process,
    cgroup: &Cgroup,
    stdio: Option<[Standard; 3]>,
    root: Option<(u32, u32)>,
) -> Result<Entered, Failure> {
    let made = stdio.map(|wanted| stdio::make(wanted, root)).transpose()?;
    by_way_of_others(cgroup.v2_fd(), made, process, false, |channel, stdio| {
        in_between(target, own, process, cgroup, channel, stdio)
    })
}

/// Has one process wait, and another, `between`, enter and clone the one that becomes the program. `cgroup`: where these
/// begin, on v2. `tied`: as for [`by_way_of_one`].
pub(super) fn by_way_of_others(
    cgroup: Option<BorrowedFd<'_>>,
    made: Option<stdio::Made>,
    process: &Process,
    tied: bool,
    between: impl FnOnce(&Channel, Option<(Stdio, [bool; 3])>) -> Infallible,
) -> Result<Entered, Failure> {
    by_way_of_one(made, process, tied, |channel, stdio, told| {
        wait_for_it(cgroup, || between(channel, stdio), channel, told)
    })
}

/// Has one process, `first`, see to it that another becomes the program, and tell its end ([`tell_the_end`]). `tied`: that
/// one is killed when the caller dies.
pub(super) fn by_way_of_one(
    made: Option<stdio::Made>,
    process: &Process,
    tied: bool,
    first: impl FnOnce(&Channel, Option<(Stdio, [bool; 3])>, &OwnedFd),
) -> Result<Entered, Failure> {
    let (ours, theirs) = Channel::pair().step("the setup channel")?;
    let (exit, told) = pipe_with(PipeFlags::CLOEXEC)
        .called(|| "pipe2()".to_owned())
        .step("the setup channel")?;
    soute_sys::signals::note_ignored();
    if let Cloned::Child = fork().step("making the process")? {
        // Our ends of pipes, above all: were one open in there, the program would not see that we have closed it.
        drop((ours, exit));
        if tied && let Err(failure) = privileges::die_with_parent(theirs.as_fd()) {
            let _ = theirs.send(&failure.encode(), &[]);
            exit_now(1)
        }
        let stdio = made.map(|made| (made.theirs, made.pipes));
        first(&theirs, stdio, &told);
        exit_now(0)
    }
    drop((theirs, told));
    let pipes = made.map_or([None, None, None], |made| made.ours);
    let answers = answers(&ours, process, None);
    executable::let_go();
    let (pidfd, terminal) = answers?;
    Ok(Entered {
        pidfd,
        exit: Exit(Told::ByPipe(exit)),
        terminal,
        pipes,
    })
}

/// As [`enter`], with the caller's standard files and as the caller's own child: whoever takes over its children when
/// it ends can wait for the process. `container`: its state and its first process, for a seccomp agent.
pub fn enter_as_child(
    target: BorrowedFd<'_>,
    own: Own,
    process: &Process,
    cgroup: &Cgroup,
    container: (&HookState, Pid),
) -> Result<Started, Failure> {
    let (ours, theirs) = Channel::pair().step("the setup channel")?;
    soute_sys::signals::note_ignored();
    let between = match clone3(0, cgroup.v2_fd()).step("making the process")? {
        Cloned::Child => {
            drop(ours);
            in_between(target, own, process, cgroup, &theirs, None)
        }
        Cloned::Parent { pidfd, .. } => pidfd,
    };
    drop(theirs);
    let answers = answers(&ours, process, Some(container));
    executable::let_go();
    super::wait::reap(between);
    let (pidfd, terminal) = answers?;
    let pid = own_number(&pidfd)
        .ok_or_else(|| Failure::setup("entering the container", "the process ended early"))?;
    Ok(Started {
        pid,
        pidfd,
        terminal,
        layers: Vec::new(),
    })
}

/// The parent of the process: all that it does is to wait for its end, and to tell it.
///
/// The caller is not to be the parent. It can be stopped (Ctrl-Z at its terminal), and an ended process for which nobody
/// waits keeps its PID namespace, and so the whole container, from ending. So this one leaves the caller's terminal. It
/// is outside the container in all respects: nothing in there sees it, and no limit counts it.
fn wait_for_it(
    cgroup: Option<BorrowedFd<'_>>,
    between: impl FnOnce() -> Infallible,
    channel: &Channel,
    told: &OwnedFd,
) -> ! {
    let _ = rustix::process::setsid();
    let number = match clone3(0, cgroup).step("making the process") {
        Ok(Cloned::Child) => match between() {},
        Ok(Cloned::Parent { pid, .. }) => pid,
        Err(failure) => {
            let _ = channel.send(&failure.encode(), &[]);
            exit_now(1)
        }
    };
    // Above all our end of the channel, whose last one the program is to close.
    let _ = soute_sys::process::close_all_but(&mut [told.as_raw_fd()]);
    let _ = soute_sys::process::detach();
    tell_the_end(Some(number), told)
}

/// Waits for the end of this process's child, the program, and tells it; `between` is another one, whose end tells nothing.
pub(super) fn tell_the_end(between: Option<Pid>, told: &OwnedFd) -> ! {
    // The caller has blocked what it passes on to the program; who means this process shall end it.
    let _ = soute_sys::signals::reset_all();
    let mut code = None;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) != between => {
                let signal = status.terminating_signal().map(|s| 128 + s);
                code = Some(status.exit_status().or(signal).unwrap_or(255));
            }
            Ok(_) | Err(Errno::INTR) => {}
            // Nobody is left, not even the one in between. It has told the caller if there was nothing to wait for.
            Err(_) => {
                if let Some(code) = code {
                    let _ = rustix::io::write(told, &code.to_ne_bytes());
                }
                exit_now(0)
            }
        }
    }
}

/// The process that enters; it is never seen inside.
fn in_between(
    target: BorrowedFd<'_>,
    own: Own,
    process: &Process,
    cgroup: &Cgroup,
    channel: &Channel,
    stdio: Option<(Stdio, [bool; 3])>,
) -> ! {
    let entered = (|| {
        process.attributes.begin()?;
        // Before the first thing in there can look at us.
        privileges::leave_caller(false)?;
        cgroup
            .join_self_v1()
            .map_err(|e| Failure::setup("joining the container's cgroups", e))?;
        // In the container's user namespace nobody may.
        privileges::raise_hard_limits(&process.rlimits)?;
        if let Some(score) = process.oom_score_adj {
            let path = "/proc/self/oom_score_adj";
            std::fs::write(path, score.to_string())
                .called(|| format!("write(\"{path}\", {score})"))
                .step("setting oom_score_adj")?;
        }
        if own.time {
            // Of the machine's user namespace, and so before that is left.
            rustix::thread::move_into_thread_name_spaces(target, ThreadNameSpaceType::TIME)
                .called(|| "setns(pidfd, CLONE_NEWTIME)".to_owned())
                .step("entering the container's time namespace")?;
        }
        rustix::thread::move_into_thread_name_spaces(target, own.flags()).map_err(|e| match e {
            rustix::io::Errno::SRCH => {
                Failure::setup("entering the container", "it has just ended")
            }
            e => Failure::setup(
                "entering the container's namespaces",
                format_args!("setns(pidfd, {:?}): {e}", own.flags()),
            ),
        })?;
        // From here on the container's processes see it. Who has CAP_SYS_PTRACE there, in the machine's user namespace, may
        // take what it holds, dumpable or not: folders of the machine's, that is, and with them the machine.
        let mut kept = vec![channel.as_fd().as_raw_fd()];
        kept.extend(
            stdio
                .iter()
                .flat_map(|(files, _)| files.iter().map(AsRawFd::as_raw_fd)),
        );
        kept.extend((3..).take(process.preserved_descriptors as usize));
        soute_sys::process::close_all_but(&mut kept).step("closing descriptors")?;
        clone3(flags::PARENT, None).step("making the process in the container")
    })();
    match entered {
        Ok(Cloned::Child) => match set_up(process, own, channel, stdio) {
            Ok((identity, program, label)) => Door {
                channel,
                tied: false,
                gate: None,
                is_root: own.user,
                hooks: None,
            }
            .become_program(process, &identity, program, label),
            Err(failure) => {
                let _ = channel.send(&failure.encode(), &[]);
                exit_now(1)
            }
        },
        Ok(Cloned::Parent { pidfd, .. }) => {
            let _ = channel.send(b"P", &[pidfd.as_fd()]);
            exit_now(0)
        }
        Err(failure) => {
            let _ = channel.send(&failure.encode(), &[]);
            exit_now(1)
        }
    }
}

fn set_up(
    process: &Process,
    own: Own,
    channel: &Channel,
    stdio: Option<(Stdio, [bool; 3])>,
) -> Result<(user::Identity, Program, Option<Label>), Failure> {
    rustix::process::setsid()
        .called(|| "setsid()".to_owned())
        .step("a new session")?;
    if own.user {
        super::init::become_root()?;
    }
    let root = mask::open_root().step("the container's root")?;
    let made = place_standard_files(&root, process, channel, stdio)?;
    let label = Label::of(&process.attributes)?;
    let identity = user::resolve(&root, &process.user, "the container's")?;
    let program = Program::new(&process.args, &process.env)?;
    directory::enter(&root, &process.working_directory, false)?;
    if identity.uid != 0 {
        stdio::own(&identity, made)?;
    }
    Ok((identity, program, label))
}

/// Gives the process a terminal of `root`'s, if it is to have one, or else its standard files. Gives which of them are the
/// engine's own, for the program's user to own.
pub(super) fn place_standard_files(
    root: &Root,
    process: &Process,
    channel: &Channel,
    stdio: Option<(Stdio, [bool; 3])>,
) -> Result<[bool; 3], Failure> {
    if let Some((rows, columns)) = process.terminal {
        let (master, terminal) = console::pair(root, rows, columns).step("the terminal")?;
        console::own(&terminal).step("the terminal")?;
        channel
            .send(b"T", &[master.as_fd()])
            .step("handing out the terminal")?;
        return Ok([true; 3]);
    }
    match stdio {
        Some((stdio, pipes)) => {
            stdio::place(&stdio)?;
            Ok(pipes)
        }
        None => Ok([false; 3]),
    }
}

/// The process, perhaps a terminal, and the end of file that says that the program runs.
fn answers(
    channel: &Channel,
    process: &Process,
    container: Option<(&HookState, Pid)>,
) -> Result<(OwnedFd, Option<OwnedFd>), Failure> {
    let lost = || Failure::setup("entering the container", "the process ended early");
    let mut pidfd = None;
    let mut terminal = None;
    while let Some(message) = channel.receive().step("waiting for the program to start")? {
        let descriptor = message.descriptors.into_iter().next();
        match message.bytes.as_slice() {
            b"P" => pidfd = descriptor,
            b"T" => terminal = descriptor,
            &[OUTSIDE] => {
                // It comes after the process's own number, from the process.
                let number = pidfd.as_ref().and_then(own_number).ok_or_else(lost)?;
                process.attributes.apply_from_outside(number)?;
                channel.send(&[OUTSIDE], &[]).step("telling the process")?;
            }
            [LISTENER, ..] => {
                let pidfd = pidfd.as_ref().ok_or_else(lost)?;
                let (pid, (state, first)) = own_number(pidfd).zip(container).ok_or_else(lost)?;
                let container = listener::Container {
                    state,
                    status: Status::Running,
                    first,
                };
                let number = listener::number(&message.bytes)?;
                listener::hand_over(process, container, pid, pidfd.as_fd(), number)?;
                channel.send(&[LISTENER], &[]).step("telling the process")?;
            }
            other => return Err(Failure::decode(other).unwrap_or_else(lost)),
        }
    }
    Ok((pidfd.ok_or_else(lost)?, terminal))
}
