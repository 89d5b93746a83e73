//! The parent's side: from a plan to a running process.
//!
//! One clone3 with every namespace; then parent and child work at the same
//! time, the child on its kernel file systems ([`super::init`]), the parent
//! on what only the machine's root can do: id maps, the overlay with its
//! idmapped layers, device nodes, cgroups. Two messages and an end of file
//! join the two.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::process::Pid;
use soute_sys::process::{Cloned, clone3, flags};
use soute_sys::{CallError, Called};

use super::channel::Channel;
use super::failure::{Failure, Step};
use super::privileges;
use crate::cgroups::Cgroup;
use crate::idmap::{IdRange, map_text};
use crate::mounts::{bind, dev, overlay};
use crate::plan::{Namespace, Namespaces, Plan, UserNamespace};

/// The maps are written.
pub(super) const READY: u8 = b'R';
/// The mounts come with this message.
pub(super) const MOUNTS: u8 = b'M';
/// The terminal's master comes with this message.
const TERMINAL: u8 = b'T';

/// A container's first process, set up and not yet running its program.
#[derive(Debug)]
pub struct Started {
    /// As the caller's PID namespace numbers it.
    pub pid: Pid,
    /// A descriptor of it.
    pub pidfd: OwnedFd,
    /// The master side of its terminal, if the plan asks for one.
    pub terminal: Option<OwnedFd>,
}

/// Standard input, output and error for the program.
pub type Stdio = [OwnedFd; 3];

/// Makes the container: on success its program runs.
///
/// `lock` is what tells that the caller lives: the child closes its copy, so that it tells nothing of the child.
/// `meanwhile` is called as soon as the child is busy with itself, and before the root file system and the sources of
/// binds are looked for: what the caller has still to make, it makes there. If it fails, the container is undone.
///
/// `stdio` goes to the program unless the plan asks for a terminal. On failure nothing is left but the caller's own
/// `cgroup` and folders; the child, if there was one, has been killed and waited for.
pub fn spawn(
    plan: &Plan,
    cgroup: &Cgroup,
    stdio: Option<Stdio>,
    lock: BorrowedFd<'_>,
    meanwhile: &mut dyn FnMut(Pid) -> Result<(), Failure>,
) -> Result<Started, Failure> {
    // Nodes and folders get exactly the modes that are named.
    rustix::process::umask(Mode::empty());
    if let (Some(stdio), Some(root)) = (
        &stdio,
        plan.namespaces.user.maps().and_then(|maps| maps.root()),
    ) {
        give_stdio(stdio, root)?;
    }
    let (ours, theirs) = Channel::pair().step("the setup channel")?;
    let joins = joined(&plan.namespaces);
    let cloned = if joins.is_empty() {
        clone3(clone_flags(&plan.namespaces), cgroup.v2_fd())
    } else {
        super::join::clone_inside(&joins, clone_flags(&plan.namespaces), cgroup.v2_fd())
    };
    match cloned.step("making the process and its namespaces")? {
        Cloned::Child => {
            drop(ours);
            let _ = soute_sys::process::close_in_fork(lock.as_raw_fd());
            super::init::run(plan, cgroup, theirs, stdio)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            drop(stdio);
            let child = Child { pid, pidfd };
            match complete(plan, &ours, &child, meanwhile) {
                Ok(terminal) => Ok(Started {
                    pid: child.pid,
                    pidfd: child.pidfd,
                    terminal,
                }),
                Err(failure) => Err(child.abandon(&ours, failure)),
            }
        }
    }
}

struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Child {
    /// Ends a child whose parent failed. What the child had to say comes first: it is nearer to the cause.
    fn abandon(self, channel: &Channel, failure: Failure) -> Failure {
        let _ = soute_sys::process::pidfd_send_signal(&self.pidfd, libc_sigkill());
        let said = match channel.receive() {
            Ok(Some(message)) => Failure::decode(&message.bytes),
            _ => None,
        };
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(self.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
        said.unwrap_or(failure)
    }
}

fn libc_sigkill() -> i32 {
    rustix::process::Signal::KILL.as_raw()
}

fn complete(
    plan: &Plan,
    channel: &Channel,
    child: &Child,
    meanwhile: &mut dyn FnMut(Pid) -> Result<(), Failure>,
) -> Result<Option<OwnedFd>, Failure> {
    if let UserNamespace::New(maps) = &plan.namespaces.user {
        write_map(child.pid, "uid_map", &maps.uids)?;
        write_map(child.pid, "gid_map", &maps.gids)?;
    }
    channel.send(&[READY], &[]).step("telling the child")?;
    meanwhile(child.pid)?;

    // The machine's root is needed for the rest, and the child is busy with its own part meanwhile.
    let maps = plan.namespaces.user.maps();
    let userns = maps
        .is_some()
        .then(|| open_namespace(child.pid, "user"))
        .transpose()?;
    let userns = userns.as_ref().map(AsFd::as_fd);
    let root = maps.and_then(|m| m.root()).unwrap_or((0, 0));
    let rootfs =
        overlay::build(&plan.rootfs, userns, root).step("building the root file system")?;
    let devices = dev::build(&plan.devices, maps).step("making the devices")?;
    let mut parts = vec![rootfs.mount.as_fd(), devices.as_fd()];
    let binds = plan
        .mounts
        .iter()
        .map(|m| bind::open(m, plan.neighbour.as_ref()).step(format!("mounting {}", m.target)))
        .collect::<Result<Vec<_>, _>>()?;
    for (mount, tree) in plan.mounts.iter().zip(&binds) {
        if let Some(tree) = tree {
            bind::configure(mount, tree, userns).step(format!("mounting {}", mount.target))?;
            parts.push(tree.as_fd());
        }
    }
    if let Some(score) = plan.process.oom_score_adj {
        write_proc(child.pid, "oom_score_adj", &score.to_string())?;
    }
    privileges::raise_hard_limits_of(Some(child.pid), &plan.process.rlimits)?;
    channel
        .send(&[MOUNTS], &parts)
        .step("handing over the root file system")?;
    drop(parts);
    drop((rootfs, devices, binds));
    wait_for_program(channel)
}

/// The terminal, if one comes; then the end of file that execve causes.
fn wait_for_program(channel: &Channel) -> Result<Option<OwnedFd>, Failure> {
    let mut terminal = None;
    loop {
        match channel.receive().step("waiting for the program to start")? {
            None => return Ok(terminal),
            Some(message) if message.bytes.first() == Some(&TERMINAL) => {
                terminal = message.descriptors.into_iter().next();
            }
            Some(message) => {
                return Err(Failure::decode(&message.bytes).unwrap_or_else(|| {
                    Failure::setup("waiting for the program to start", "an unknown message")
                }));
            }
        }
    }
}

fn clone_flags(ns: &Namespaces) -> u64 {
    let mut wanted = flags::NEWNS;
    if matches!(ns.user, UserNamespace::New(_)) {
        wanted |= flags::NEWUSER;
    }
    // Not the network: of all namespaces it takes longest to make (0.5 ms), so the child makes its own while the
    // parent builds the root file system (docs/decisions/0002).
    for (namespace, flag) in [
        (&ns.pid, flags::NEWPID),
        (&ns.ipc, flags::NEWIPC),
        (&ns.uts, flags::NEWUTS),
    ] {
        if namespace.is_new() {
            wanted |= flag;
        }
    }
    wanted
}

/// The namespaces to enter before the clone, the owner of the others first.
fn joined(ns: &Namespaces) -> Vec<BorrowedFd<'_>> {
    let user = match &ns.user {
        UserNamespace::Join(fd, _) => Some(fd.as_fd()),
        _ => None,
    };
    let others = [&ns.pid, &ns.net, &ns.ipc, &ns.uts, &ns.cgroup]
        .into_iter()
        .filter_map(|n| match n {
            Namespace::Join(fd) => Some(fd.as_fd()),
            _ => None,
        });
    user.into_iter().chain(others).collect()
}

fn write_map(pid: Pid, file: &str, ranges: &[IdRange]) -> Result<(), Failure> {
    write_proc(pid, file, &map_text(ranges))
}

/// Writes below /proc/PID of a child that has not been waited for, whose number therefore cannot be another's.
fn write_proc(pid: Pid, file: &str, text: &str) -> Result<(), Failure> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    let write = || -> Result<(), CallError> {
        let fd = rustix::fs::openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .called(|| format!("open(\"{path}\", O_WRONLY)"))?;
        rustix::io::write(&fd, text.as_bytes())
            .called(|| format!("write(\"{path}\", {text:?})"))
            .map(drop)
    };
    write().step(format!("setting {file}"))
}

fn open_namespace(pid: Pid, kind: &str) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/{}/ns/{kind}", pid.as_raw_nonzero());
    rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{path}\")"))
        .step("the user namespace")
}

/// Pipes belong to who made them; the container's root must be able to reopen /dev/stdout.
fn give_stdio(stdio: &Stdio, (uid, gid): (u32, u32)) -> Result<(), Failure> {
    for fd in stdio {
        let stat = rustix::fs::fstat(fd)
            .called(|| "fstat(stdio)".to_owned())
            .step("standard input and output")?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo {
            rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .called(|| "fchown(stdio)".to_owned())
                .step("standard input and output")?;
        }
    }
    Ok(())
}
