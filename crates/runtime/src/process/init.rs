//! The container's side: what its first process does between clone3 and execve.
//!
//! One linear recipe; the order is the security argument, so each step says
//! why it stands where it does. The parent's side is in [`super::spawn`].

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use soute_sys::netlink::{Protocol, Socket};
use soute_sys::process::{close_later, exit_now, put_away};
use soute_sys::{CallError, Called};

use super::attributes::Label;
use super::channel::{Channel, Message};
use super::failure::{Failure, Step};
use super::gate::Gate;
use super::privileges::Door;
use super::program::Program;
use super::reaper::Role;
use super::spawn::{Birth, HOOKS, MOUNTS, NETWORK, READY, TERMINAL};
use super::{console, privileges, reaper, stdio, sysctl, user};
use crate::cgroups::Cgroup;
use crate::hooks::{Status, Tree};
use crate::mounts::root::{Links, Missing, Root};
use crate::mounts::{cgroup as cgroup_mounts, dev, file, kernel, mask, place};
use crate::plan::{MountSource, Plan, Rootfs};

/// Sets this process up as `plan` says and becomes the program. Never returns: a failure is told to the parent.
pub(crate) fn run(plan: &Plan, birth: Birth<'_>, channel: Channel) -> ! {
    let Birth {
        cgroup,
        stdio,
        tied,
        gate,
        keep_keyring,
        ..
    } = birth;
    // Whatever becomes of this process, it closes all or ends. Hooks meanwhile may unmount, and what is held is busy.
    if !plan.hooks.before_pivot() {
        close_later();
    }
    match privileges::leave_caller(keep_keyring)
        .and_then(|()| set_up(plan, cgroup, &channel, stdio))
    {
        Ok(ready) => ready.go(plan, channel, tied, gate),
        Err(failure) => {
            // Nobody is left to tell if this fails, too.
            let _ = channel.send(&failure.encode(), &[]);
            exit_now(1)
        }
    }
}

/// Everything done but the program itself.
struct Ready {
    label: Option<Label>,
    identity: user::Identity,
    program: Program,
}

fn set_up(
    plan: &Plan,
    cgroup: &Cgroup,
    channel: &Channel,
    stdio: Option<[OwnedFd; 3]>,
) -> Result<Ready, Failure> {
    // On v2 the clone itself was into the cgroup. Before anything that costs, so that the limits hold for all of it.
    cgroup
        .join_self_v1()
        .map_err(|e| Failure::setup("joining the cgroups", e))?;
    // A session of its own: no TIOCSTI into the caller's terminal (CVE-2017-5226), no signals from its job control.
    rustix::process::setsid()
        .called(|| "setsid()".to_owned())
        .step("a new session")?;

    // Until the parent has written the maps, this process is nobody.
    expect(channel, READY)?;
    become_root()?;
    // Not earlier, since a change of the user undoes it; a parent that died before is seen by the closed channel.
    privileges::die_with_parent(channel.as_fd())?;

    // The machine's mounts are seen, never changed, and no longer followed.
    place::isolate_propagation().step("mount propagation")?;
    own_names(plan)?;
    // Made as root of the new user namespace, which thereby owns it.
    if plan.namespaces.net.is_new() {
        soute_sys::process::unshare(soute_sys::process::flags::NEWNET)
            .step("the network namespace")?;
        soute_sys::net::loopback_up().step("the loopback interface")?;
    }
    // The parent connects it while the rest is set up. The socket spares it a process that would come in for one.
    if plan.has_interfaces() {
        let inside = plan.connected.then(|| Socket::open(Protocol::Route));
        let inside = inside.transpose().step("the network")?;
        let sent: Vec<_> = inside.iter().map(AsFd::as_fd).collect();
        channel.send(&[NETWORK], &sent).step("telling the parent")?;
    }

    // Kernel file systems while the machine's are still in sight (see mounts::kernel); the parent builds the rest now.
    let mut trees = plan
        .mounts
        .iter()
        .map(|m| kernel::make(m, &plan.namespaces).step(format!("mounting {}", m.target)))
        .collect::<Result<Vec<_>, _>>()?;

    // By a procfs that no path of the image leads to.
    let label = Label::of(&plan.process.attributes)?;
    let sysctls = sysctl::files(plan)?;

    // Rooted where this process now sits.
    if plan.namespaces.cgroup.is_new() {
        soute_sys::process::unshare(soute_sys::process::flags::NEWCGROUP)
            .step("the cgroup namespace")?;
    }

    // The parent's part: root, /dev, binds, and devices that this process may not make.
    let mut parts = expect(channel, MOUNTS)?;
    let devices: Vec<_> = dev::elsewhere(plan).collect();
    let bound_devices = match plan.namespaces.user.maps() {
        Some(_) => devices.len(),
        None => 0,
    };
    let count = 1 + binds(plan) + bound_devices;
    channel
        .receive_descriptors(&mut parts, count)
        .step("receiving the root file system")?;
    let mut parts = parts.descriptors.into_iter();
    let rootfs = parts
        .next()
        .ok_or_else(|| Failure::setup("receiving the root file system", "none came"))?;
    for (mount, tree) in plan.mounts.iter().zip(&mut trees) {
        if mount.source.is_of_the_machine() {
            *tree = parts.next();
        }
    }

    // From here on the machine's tree is out of reach: every path below is the container's own. Only where hooks ask
    // for it is the machine still in sight while all is mounted (by descriptor, inside the root, in any case).
    let hooks = plan.hooks.before_pivot();
    let entering = "entering the root file system";
    let mut root = match (&plan.rootfs, hooks) {
        (Rootfs::Folder { path, .. }, true) => {
            place::attach_root_at(&rootfs, path).step(entering)?;
            let same = rootfs
                .try_clone()
                .map_err(|e| Failure::setup(entering, e))?;
            Root::new(same)
        }
        _ => {
            place::attach_root(&rootfs).step(entering)?;
            place::pivot(&rootfs).step(entering)?
        }
    };
    // Where files of the container's own are kept.
    let mut memory = None;
    for (mount, tree) in plan.mounts.iter().zip(trees) {
        let placed = match (&mount.source, tree) {
            (MountSource::Dev { .. }, Some(tree)) => {
                let placed = place::place(&root, mount, &tree).and_then(|()| dev::complete(&tree));
                memory = Some(tree);
                placed
            }
            (MountSource::File { content }, _) => match &memory {
                Some(memory) => file::place(&root, mount, memory, content),
                None => Err(CallError::new(
                    "a file without a /dev to keep it",
                    Errno::NODEV,
                )),
            },
            (MountSource::Filesystem { copy_up: true, .. }, Some(tree)) => {
                place::copy_up(&root, mount, &tree)
            }
            (_, Some(tree)) => {
                let placed = place::place(&root, mount, &tree);
                put_away(tree);
                placed
            }
            (MountSource::Cgroup { hierarchies }, None) => {
                cgroup_mounts::place(&root, mount, hierarchies)
            }
            (_, None) => Ok(()),
        };
        placed.step(format_args!("mounting {} in the container", mount.target))?;
    }
    for device in devices {
        let made = match parts.next() {
            Some(tree) => place::place_device(&root, device, &tree),
            None => dev::make_elsewhere(&root, device),
        };
        made.step("the devices")?;
    }
    if memory.is_none() && !plan.devices.is_empty() {
        root.open_or_make("/dev", Missing::Folder, Links::Refuse)
            .and_then(dev::complete)
            .step("the devices")?;
    }
    if plan.has_interfaces() {
        expect(channel, NETWORK)?;
    }
    if hooks {
        channel.send(&[HOOKS], &[]).step("telling the parent")?;
        expect(channel, HOOKS)?;
        let own = rustix::process::getpid();
        plan.hooks
            .run(
                &plan.hooks.create_container,
                Status::Creating,
                own,
                Tree::Machine,
            )
            .map_err(|e| Failure::setup("createContainer", e))?;
        root = place::pivot(&rootfs).step(entering)?;
        close_later();
    }
    put_away(rootfs);

    // The terminal comes from the container's own devpts, which exists only now.
    match (plan.process.terminal, stdio) {
        (Some(size), _) => {
            let master = console::open(&root, size)?;
            channel
                .send(&[TERMINAL], &[master.as_fd()])
                .step("handing out the terminal")?;
        }
        (None, Some(stdio)) => stdio::place(&stdio)?,
        (None, None) => {}
    }

    // Interfaces that were carried in have theirs by now.
    if let Some(files) = sysctls {
        sysctl::apply(&files, &plan.sysctls)?;
    }
    mask::make_readonly(&root, &plan.readonly_paths).step("read-only paths")?;
    mask::mask(&root, &plan.masked_paths).step("masked paths")?;

    // Names are looked up and the working directory is made before the root may become read-only.
    let identity = user::resolve(&root, &plan.process.user, "the container's")?;
    let program = Program::new(&plan.process.args, &plan.process.env)?;
    // In "/" it is since the root has been entered.
    if plan.process.working_directory != "/" {
        super::directory::enter(&root, &plan.process.working_directory, true)?;
    }
    if identity.uid != 0 {
        stdio::own(&identity, [true; 3])?;
    }
    if plan.read_only {
        place::seal_root(&root).step("the read-only root")?;
    }
    if let Some(propagation) = plan.root_propagation {
        place::propagate_root(&root, propagation).step("the root's mount propagation")?;
    }
    put_away(root.into());
    memory.into_iter().for_each(put_away);
    Ok(Ready {
        label,
        identity,
        program,
    })
}

impl Ready {
    fn go(self, plan: &Plan, channel: Channel, tied: bool, gate: Option<&Gate>) -> ! {
        let process = &plan.process;
        let door = Door {
            channel: &channel,
            tied: tied && !plan.init,
            gate,
            is_root: true,
            hooks: Some(&plan.hooks),
        };
        if !plan.init {
            door.become_program(process, &self.identity, self.program, self.label)
        }
        // PID 1 stays ours and reaps; the program is its child.
        match reaper::start() {
            Ok(Role::Program) => {
                reaper::take_foreground(process.terminal.is_some());
                door.become_program(process, &self.identity, self.program, None)
            }
            Ok(Role::Reaper(reaper)) => reaper.run(),
            Err(failure) => {
                let _ = channel.send(&failure.encode(), &[]);
                exit_now(1)
            }
        }
    }
}

fn binds(plan: &Plan) -> usize {
    plan.mounts
        .iter()
        .filter(|m| m.source.is_of_the_machine())
        .count()
}

fn expect(channel: &Channel, kind: u8) -> Result<Message, Failure> {
    match channel.receive().step("waiting for the parent")? {
        Some(message) if message.bytes.first() == Some(&kind) => Ok(message),
        // The parent gave up (it knows why) or died.
        _ => exit_now(1),
    }
}

pub(super) const BECOMING_ROOT: &str = "becoming the container's root";

/// Root of the user namespace, with nothing of the caller's groups: new files belong to the container's root.
pub(super) fn become_root() -> Result<(), Failure> {
    rustix::thread::set_thread_groups(&[])
        .called(|| "setgroups([])".to_owned())
        .step(BECOMING_ROOT)?;
    become_root_with_groups()
}

/// [`become_root`], in what groups ever.
pub(super) fn become_root_with_groups() -> Result<(), Failure> {
    let step = BECOMING_ROOT;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .called(|| "setresgid(0)".to_owned())
        .step(step)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
        .called(|| "setresuid(0)".to_owned())
        .step(step)
}

fn own_names(plan: &Plan) -> Result<(), Failure> {
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes())
            .called(|| format!("sethostname(\"{name}\")"))
            .step("the host name")?;
    }
    if let Some(name) = &plan.domain_name {
        rustix::system::setdomainname(name.as_bytes())
            .called(|| format!("setdomainname(\"{name}\")"))
            .step("the domain name")?;
    }
    Ok(())
}
