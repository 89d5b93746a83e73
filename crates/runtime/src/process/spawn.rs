//! The parent's side: from a plan to a running process.
//!
//! One clone3 with every namespace; then parent and child work at the same
//! time, the child on its kernel file systems ([`super::init`]), the parent
//! on what only the machine's root can do: id maps, the overlay with its
//! idmapped layers, device nodes, cgroups. Two messages and an end of file
//! join the two.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Mode, Uid};
use rustix::process::Pid;
use soute_sys::netlink::Socket;
use soute_sys::process::{Cloned, clone3, flags};
use soute_sys::{CallError, Called};

use super::channel::Channel;
use super::failure::{Failure, Step};
use super::gate::Gate;
use super::{listener, privileges, time};
use crate::cgroups::Cgroup;
use crate::executable;
use crate::hooks::{Status, Tree};
use crate::idmap;
use crate::mounts::{bind, dev, kernel, rootfs};
use crate::netdev::Moved;
use crate::plan::{Mount, MountSource, Namespace, Namespaces, Plan, UserNamespace};

/// The maps are written.
pub(super) const READY: u8 = b'R';
/// The mounts come with this message.
pub(super) const MOUNTS: u8 = b'M';
/// The terminal's master comes with this message.
pub(super) const TERMINAL: u8 = b'T';
/// All is mounted: it is the machine's hooks' turn, says the child; they have run, says the parent.
pub(super) const HOOKS: u8 = b'H';
/// The network is there for devices to move in, says the child, and sends a socket that is in it, if others are to be made
/// there; they have, says the parent.
pub(super) const NETWORK: u8 = b'N';
/// It is time for what only the machine's privileges can set, says the process; it is set, says its maker.
pub(super) const OUTSIDE: u8 = b'O';
/// There is a listener, of this number, says the process; it is sent, says its maker.
pub(super) const LISTENER: u8 = b'L';
/// The program waits at the gate.
pub(super) const WAITING: u8 = b'W';

/// A process in a container, a child of the caller: its program runs, or waits at the gate.
#[derive(Debug)]
pub struct Started {
    /// As the caller's PID namespace numbers it.
    pub pid: Pid,
    /// A descriptor of it.
    pub pidfd: OwnedFd,
    /// The master side of its terminal, if the plan asks for one.
    pub terminal: Option<OwnedFd>,
    /// The clones of the layers that its root is made of. To close one takes an RCU grace period, for which there is time
    /// when the container runs.
    pub layers: Vec<OwnedFd>,
}

/// Standard input, output and error for the program.
pub type Stdio = [OwnedFd; 3];

/// What a container is born into.
pub struct Birth<'a> {
    /// Its cgroup, empty.
    pub cgroup: &'a Cgroup,
    /// For the program, unless the plan asks for a terminal; `None`: the caller's own.
    pub stdio: Option<Stdio>,
    /// What tells that the caller lives: the child closes its copy, so that it tells nothing of the child.
    pub lock: BorrowedFd<'a>,
    /// It dies with its parent, also once its program runs. Until then it does in any case.
    pub tied: bool,
    /// It keeps the caller's session keyring (session-keyring(7)).
    pub keep_keyring: bool,
    /// Where it waits, all set up, for the start of its program. Without, the program starts at once.
    pub gate: Option<&'a Gate>,
}

/// What the caller makes for a container while that sets itself up. If it fails, the container is undone.
pub trait Caller {
    /// The child, which is `first` as the caller numbers it, is busy with itself, and the root file system and the
    /// sources of binds are not looked for yet: what the caller has still to make, it makes here.
    ///
    /// # Errors
    /// What could not be made.
    fn made(&mut self, first: Pid) -> Result<(), Failure>;

    /// The container's network namespace is there, with nothing but loopback: interfaces are put into it here, if the
    /// plan says so ([`Plan::connected`]). The child places its mounts meanwhile. `inside` is of
    /// [`Protocol::Route`](soute_sys::netlink::Protocol::Route), in that namespace.
    ///
    /// # Errors
    /// What could not be connected.
    fn connect(&mut self, network: BorrowedFd<'_>, inside: Socket) -> Result<(), Failure>;
}

/// A caller with no networks.
impl<F: FnMut(Pid) -> Result<(), Failure>> Caller for F {
    fn made(&mut self, first: Pid) -> Result<(), Failure> {
        self(first)
    }

    fn connect(&mut self, _: BorrowedFd<'_>, _: Socket) -> Result<(), Failure> {
        Err(Failure::setup(
            "the network",
            "there is nobody to connect it",
        ))
    }
}

/// Makes the container: on success its program runs, or waits at the gate.
///
/// On failure nothing is left but the caller's own cgroup and folders; the child, if there was one, has been killed and
/// waited for.
pub fn spawn(plan: &Plan, birth: Birth<'_>, caller: &mut dyn Caller) -> Result<Started, Failure> {
    // Nodes and folders get exactly the modes that are named.
    rustix::process::umask(Mode::empty());
    if let (Some(stdio), Some(root)) = (
        &birth.stdio,
        plan.namespaces.user.maps().and_then(|maps| maps.root()),
    ) {
        give_stdio(stdio, root)?;
    }
    soute_sys::signals::note_ignored();
    let (ours, theirs) = Channel::pair().step("the setup channel")?;
    let joins = joined(&plan.namespaces);
    let v2 = birth.cgroup.v2_fd();
    let clone = || match joins.is_empty() {
        true => clone3(clone_flags(&plan.namespaces), v2),
        false => super::join::clone_inside(&joins, clone_flags(&plan.namespaces), v2),
    };
    let cloned = match &plan.namespaces.time {
        Some(time) => time::clone_in(time, clone)?,
        None => clone().step("making the process and its namespaces")?,
    };
    match cloned {
        Cloned::Child => {
            drop(ours);
            let _ = soute_sys::process::close_in_fork(birth.lock.as_raw_fd());
            executable::let_go();
            super::init::run(plan, birth, theirs)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let gated = birth.gate.is_some();
            drop(birth);
            let child = Child { pid, pidfd };
            match complete(plan, &ours, &child, gated, caller) {
                Ok((terminal, layers)) => Ok(Started {
                    pid: child.pid,
                    pidfd: child.pidfd,
                    terminal,
                    layers,
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
        let mut said = None;
        while let (None, Ok(Some(message))) = (&said, channel.receive()) {
            said = Failure::decode(&message.bytes);
        }
        super::wait::reap(&self.pidfd);
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
    gated: bool,
    caller: &mut dyn Caller,
) -> Result<(Option<OwnedFd>, Vec<OwnedFd>), Failure> {
    if let UserNamespace::New(maps) = &plan.namespaces.user {
        idmap::write_maps(child.pid, maps).step("the id maps")?;
    }
    channel.send(&[READY], &[]).step("telling the child")?;
    caller.made(child.pid)?;

    // The machine's root is needed for the rest, and the child is busy with its own part meanwhile.
    let maps = plan.namespaces.user.maps();
    let userns = maps
        .is_some()
        .then(|| idmap::open_namespace(child.pid, "user").step("the user namespace"))
        .transpose()?;
    let userns = userns.as_ref().map(AsFd::as_fd);
    let root = maps.and_then(|m| m.root()).unwrap_or((0, 0));
    let rootfs = rootfs::build(&plan.rootfs, userns, root).step("building the root file system")?;
    let mut trees = Vec::with_capacity(plan.mounts.len());
    for mount in plan.mounts.iter().filter(|m| m.source.is_of_the_machine()) {
        let tree = from_the_machine(plan, mount, userns);
        trees.push(tree.step(format_args!("mounting {}", mount.target))?);
    }
    if maps.is_some() {
        for device in dev::elsewhere(plan) {
            trees.push(dev::of_the_machine(device).step("the devices")?);
        }
    }
    if let Some(score) = plan.process.oom_score_adj {
        idmap::write_proc(child.pid, "oom_score_adj", &score.to_string())
            .step("setting oom_score_adj")?;
    }
    privileges::raise_hard_limits_of(Some(child.pid), &plan.process.rlimits)?;
    let parts: Vec<_> = std::iter::once(rootfs.as_fd())
        .chain(trees.iter().map(AsFd::as_fd))
        .collect();
    channel
        .send(&[MOUNTS], &parts)
        .step("handing over the root file system")?;
    drop(parts);
    drop(trees);
    let layers = rootfs.into_layers();
    // The child has done so by now, and is busy again.
    executable::let_go();
    Ok((answer(plan, channel, child, gated, caller)?, layers))
}

/// A mount that the child cannot make.
fn from_the_machine(
    plan: &Plan,
    mount: &Mount,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, CallError> {
    if let MountSource::Dev { options } = &mount.source {
        let maps = plan.namespaces.user.maps();
        return dev::build(mount, options, &plan.devices, maps);
    }
    if mount.source == MountSource::JoinedSysfs {
        return kernel::sysfs_of(&plan.namespaces.net, mount);
    }
    let tree = bind::open(mount, plan.neighbour.as_ref())?;
    bind::configure(mount, &tree, userns)?;
    Ok(tree)
}

/// Does what the child asks for, until its program runs, which the end of file that execve causes tells, or waits at
/// the gate. Returns its terminal, if one came.
fn answer(
    plan: &Plan,
    channel: &Channel,
    child: &Child,
    gated: bool,
    caller: &mut dyn Caller,
) -> Result<Option<OwnedFd>, Failure> {
    let mut moved = Vec::new();
    let answered = answer_all(plan, channel, child, gated, caller, &mut moved);
    answered.map_err(|failure| {
        // While there is still a network to take them from: with it the kernel would destroy what is virtual.
        moved
            .into_iter()
            .rev()
            .map(Moved::back)
            .fold(failure, |failure, back| match back {
                Ok(()) => failure,
                Err(e) => Failure {
                    message: format!("{failure} (and taking an interface back failed: {e})"),
                    ..failure
                },
            })
    })
}

fn answer_all(
    plan: &Plan,
    channel: &Channel,
    child: &Child,
    gated: bool,
    caller: &mut dyn Caller,
    moved: &mut Vec<Moved>,
) -> Result<Option<OwnedFd>, Failure> {
    let hooks = &plan.hooks;
    let mut terminal = None;
    loop {
        let Some(message) = channel.receive().step("waiting for the program to start")? else {
            return match gated {
                false => Ok(terminal),
                true => Err(Failure::setup(
                    "waiting for the program to start",
                    "the container's first process ended early",
                )),
            };
        };
        match message.bytes.first() {
            Some(&TERMINAL) => terminal = message.descriptors.into_iter().next(),
            Some(&WAITING) => return Ok(terminal),
            Some(&NETWORK) => {
                let network = idmap::open_namespace(child.pid, "net").step("the network")?;
                for device in &plan.net_devices {
                    moved.push(device.carry(network.as_fd())?);
                }
                if plan.connected {
                    let inside = message.descriptors.into_iter().next();
                    let inside = inside.ok_or_else(|| {
                        Failure::setup("the network", "no socket came from its namespace")
                    })?;
                    caller.connect(network.as_fd(), Socket::sent(inside))?;
                }
                channel.send(&[NETWORK], &[]).step("telling the child")?;
            }
            Some(&LISTENER) => {
                let container = listener::Container {
                    state: &hooks.state,
                    status: Status::Creating,
                    first: child.pid,
                };
                let number = listener::number(&message.bytes)?;
                listener::hand_over(
                    &plan.process,
                    container,
                    child.pid,
                    child.pidfd.as_fd(),
                    number,
                )?;
                channel.send(&[LISTENER], &[]).step("telling the child")?;
            }
            Some(&OUTSIDE) => {
                plan.process.attributes.apply_from_outside(child.pid)?;
                channel.send(&[OUTSIDE], &[]).step("telling the child")?;
            }
            Some(&HOOKS) => {
                hooks
                    .run(
                        &hooks.create_runtime,
                        Status::Creating,
                        child.pid,
                        Tree::Machine,
                    )
                    .map_err(|e| Failure::setup("hooks before the start", e))?;
                channel.send(&[HOOKS], &[]).step("telling the child")?;
            }
            _ => {
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
