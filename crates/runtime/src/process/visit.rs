//! `enter`: a program of the machine's administrator's in some namespaces of any process, as nsenter(1) has it.
//!
//! The same last steps as for [`super::enter()`], and its processes, but where fewer do: a step to where nobody could look at who
//! enters needs none beside the program ([`go`]), and a PID namespace one, which enters and waits. What is entered is what
//! was asked for, the program has all rights that its user can have there, and where there is no such program the machine's
//! own are laid over the files ([`crate::mounts::tools`]).

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::process::{Cloned, clone3, exit_now, flags};
use soute_sys::{CallError, Called};

use super::channel::Channel;
use super::enter::{Entered, by_way_of_one, by_way_of_others, place_standard_files, tell_the_end};
use super::failure::{Failure, FailureKind, Step};
use super::privileges::Door;
use super::program::{Program, path_in};
use super::spawn::Stdio;
use super::stdio::{self, Standard};
use super::{directory, privileges, user};
use crate::capabilities::{Cap, CapSet};
use crate::cgroups::Cgroup;
use crate::mounts::toolbox::{self, Kit};
use crate::mounts::tools::{self, Etc, Tools};
use crate::mounts::{mask, place};
use crate::plan::Process;

/// Where a program goes.
#[derive(Debug)]
pub struct Visit {
    /// What is entered: the `CLONE_NEW*` flag of its kind, and a descriptor of it. At most one of each kind.
    pub namespaces: Vec<(u64, OwnedFd)>,
    /// Which files the program has, if a mount namespace is entered.
    pub files: Files,
    /// What becomes the root folder (chroot(2)); `None`: that of the mount namespace.
    pub root: Option<OwnedFd>,
    /// The working directory, as seen from there; `None`: the root folder if a mount namespace is entered, else the
    /// caller's.
    pub working_directory: Option<String>,
    /// The cgroup to be in, prepared to be joined; `None`: the caller's.
    pub cgroup: Option<Cgroup>,
    /// User and group that the machine has for root there, if they are others.
    pub root_ids: Option<(u32, u32)>,
}

/// Which files a program has in a mount namespace that is entered.
#[derive(Debug)]
pub enum Files {
    /// Those that are there alone.
    Own,
    /// With the machine's programs over them, if the program is not there.
    OwnOrMachine,
    /// With the machine's programs over them, and its own where the machine has none of that name.
    Machine,
    /// The machine's programs, in a root folder of their own: those that are there are below [`crate::mounts::toolbox::CONTAINER`].
    MachineApart,
    /// This root folder's, a detached mount of which the process may do what it likes: those that are there are below
    /// [`crate::mounts::toolbox::CONTAINER`].
    Apart(OwnedFd),
}

impl Visit {
    /// Whether [`go`] leads there: nothing is entered by which the caller could be looked at, nothing that holds only for
    /// children, and nothing in which there are other programs than the machine's.
    pub fn is_no_more_than_a_step(&self) -> bool {
        let of_the_machines_programs = [
            flags::NEWUTS,
            flags::NEWIPC,
            flags::NEWNET,
            flags::NEWCGROUP,
            flags::NEWTIME,
        ];
        let mut kinds = self.namespaces.iter().map(|(kind, _)| kind);
        kinds.all(|kind| of_the_machines_programs.contains(kind))
            && self.root.is_none()
            && self.cgroup.is_none()
    }

    fn enters(&self, kind: u64) -> bool {
        self.namespaces.iter().any(|(other, _)| *other == kind)
    }

    /// Whether the machine's programs have to be taken along.
    fn may_need_tools(&self) -> bool {
        self.enters(flags::NEWNS) && !matches!(self.files, Files::Own | Files::Apart(_))
    }

    fn program(&self, process: &Process) -> Result<Program, Failure> {
        let mut program = Program::new(&process.args, &process.env)?;
        program.is_of(self.whose_files());
        Ok(program)
    }

    /// Among whose files a program is looked for.
    fn whose_files(&self) -> &'static str {
        match self.files {
            Files::Apart(_) => "the image's",
            Files::MachineApart => "the machine's",
            _ if !self.enters(flags::NEWNS) => "the machine's",
            _ => "the container's",
        }
    }

    /// Whose names of users hold there: the machine's programs that stand apart get the container's.
    fn whose_names(&self) -> &'static str {
        match self.files {
            Files::MachineApart if self.enters(flags::NEWNS) => "the container's",
            _ => self.whose_files(),
        }
    }

    /// What a root folder of tools is to have of the machine's, if there is to be one.
    fn take_kit(&self) -> Result<Option<Kit>, CallError> {
        let settings = matches!(self.files, Files::MachineApart);
        let apart = settings || matches!(self.files, Files::Apart(_));
        (apart && self.enters(flags::NEWNS))
            .then(|| Kit::take(settings))
            .transpose()
    }
}

/// Runs `process` where `visit` says; of `process`, the working directory is not asked for.
///
/// `stdio`: its standard files, unless it gets a terminal.
pub fn visit(
    visit: Visit,
    process: &Process,
    stdio: Option<[Standard; 3]>,
) -> Result<Entered, Failure> {
    let made = stdio
        .map(|wanted| stdio::make(wanted, visit.root_ids))
        .transpose()?;
    // In a PID namespace nothing sees who has entered all but that: it may wait for the program as well. Where it is not
    // entered, and in a cgroup, none but the program is to stay.
    if visit.enters(flags::NEWPID) && visit.cgroup.is_none() {
        return by_way_of_one(made, process, is_tied(process), |channel, stdio, told| {
            in_between(&visit, process, channel, stdio, Some(told))
        });
    }
    let cgroup = visit.cgroup.as_ref().and_then(Cgroup::v2_fd);
    by_way_of_others(cgroup, made, process, is_tied(process), |channel, stdio| {
        in_between(&visit, process, channel, stdio, None)
    })
}

/// Whether the program is killed when the caller dies. With a terminal it is told so (SIGHUP), as of one that is closed.
fn is_tied(process: &Process) -> bool {
    process.terminal.is_none()
}

/// Becomes `process` where `visit` says, with the caller's standard files and in its session: there is no process beside it that
/// waits for it and passes signals on, as with [`visit()`]. So `visit` is to be [no more than a step](Visit::is_no_more_than_a_step),
/// and `process` to be of the caller's user.
///
/// # Errors
/// Whatever it is, this process has perhaps entered some of it, and given up what it had.
pub fn go(visit: &Visit, process: &Process) -> Result<Infallible, Failure> {
    soute_sys::signals::note_ignored();
    privileges::leave_caller(false)?;
    enter_all(visit)?;
    let mut program = visit.program(process)?;
    let root = mask::open_root().step("the root folder")?;
    let identity = user::resolve(&root, &process.user, visit.whose_names())?;
    if let Some(path) = &visit.working_directory {
        directory::enter(&root, path, false)?;
    }
    program.default_env("HOME", &identity.home)?;
    // No program of a container's is executed, which could be one of these.
    soute_sys::process::close_on_exec().step("closing descriptors")?;
    // Nobody is there to be told.
    let (channel, _) = Channel::pair().step("the setup channel")?;
    Door {
        channel: &channel,
        tied: false,
        gate: None,
        is_root: false,
        hooks: None,
    }
    .give_up(process, &identity, None)?;
    Err(program.execute())
}

/// The process that enters. It stays outside the PID namespace, and is gone before the program begins; or, with `told`, waits
/// for its end, and has then nothing else.
fn in_between(
    visit: &Visit,
    process: &Process,
    channel: &Channel,
    stdio: Option<(Stdio, [bool; 3])>,
    told: Option<&OwnedFd>,
) -> ! {
    let mut tools = None;
    let mut kit = None;
    let mut mountinfo = None;
    let tied = is_tied(process);
    let entered = (|| {
        // With `told` it is the caller's own child, which is tied already.
        if tied && told.is_none() {
            privileges::die_with_parent(channel.as_fd())?;
        }
        let null = match told {
            Some(_) => {
                // Out of the caller's terminal, by which that may be stopped.
                let _ = rustix::process::setsid();
                Some(soute_sys::process::null().step("leaving the caller")?)
            }
            None => None,
        };
        // Before the first thing in there can look at us.
        privileges::leave_caller(false)?;
        if let Some(cgroup) = &visit.cgroup {
            cgroup
                .join_self_v1()
                .map_err(|e| Failure::setup("joining the cgroups", e))?;
        }
        let mounts = visit.may_need_tools();
        // Whoever may come back need not take along what may not be needed: to drop the clone of a mount takes a grace period of
        // the kernel's (RCU).
        let home = match mounts && matches!(visit.files, Files::OwnOrMachine) && may_come_back() {
            true => Some(Home::here()?),
            false => None,
        };
        if mounts && home.is_none() {
            tools = Some(take_tools(process));
        }
        kit = visit.take_kit().step("taking devices along")?;
        let proc = mounts.then(machines_proc).transpose()?;
        let user_is_left = enter_all(visit)?;
        if let Some(home) = home
            && is_missing(&Program::new(&process.args, &process.env)?)
        {
            // With the user namespace entered, there is no way back.
            tools = Some(home.go_back().and_then(|()| take_tools(process)));
            enter_mounts(visit)?;
        }
        // As this process sees it, by the /proc of where it comes from.
        let proc = proc.filter(|_| tools.is_some());
        mountinfo = proc.map(|proc| mountinfo_by(&proc)).transpose()?;
        let mut kept = vec![channel.as_fd().as_raw_fd()];
        let files = stdio.iter().flat_map(|(files, _)| files);
        kept.extend(files.map(AsRawFd::as_raw_fd));
        let taken = tools.iter().filter_map(|taken| taken.as_ref().ok());
        kept.extend(taken.flat_map(Tools::descriptors));
        kept.extend(kit.iter().flat_map(Kit::descriptors));
        kept.extend(mountinfo.iter().chain(&visit.root).map(AsRawFd::as_raw_fd));
        if let Files::Apart(root) = &visit.files {
            kept.push(root.as_raw_fd());
        }
        let user = visit.namespaces.iter();
        let user = user.filter(|(kind, _)| user_is_left && *kind == flags::NEWUSER);
        let user = user.map(|(_, namespace)| namespace).next();
        kept.extend(user.map(AsRawFd::as_raw_fd));
        kept.extend(told.into_iter().chain(&null).map(AsRawFd::as_raw_fd));
        // Nothing else of the machine's comes where it could be taken.
        soute_sys::process::close_all_but(&mut kept).step("closing descriptors")?;
        let whose = match told {
            Some(_) => 0,
            None => flags::PARENT,
        };
        let cloned = clone3(whose, None).step("making the process")?;
        Ok::<_, Failure>((cloned, user, null))
    })();
    match entered {
        Ok((Cloned::Child, user, _)) => {
            let brought = Brought {
                tools: tools.zip(mountinfo),
                kit,
            };
            match set_up(visit, process, channel, stdio, brought, user) {
                Ok((identity, program)) => Door {
                    channel,
                    tied,
                    gate: None,
                    is_root: visit.enters(flags::NEWUSER),
                    hooks: None,
                }
                .become_program(process, &identity, program, None),
                Err(failure) => {
                    let _ = channel.send(&failure.encode(), &[]);
                    exit_now(1)
                }
            }
        }
        Ok((Cloned::Parent { pidfd, .. }, _, null)) => {
            let _ = channel.send(b"P", &[pidfd.as_fd()]);
            let Some((told, null)) = told.zip(null) else {
                exit_now(0)
            };
            let _ = soute_sys::process::detach_with(&null);
            // To enter a user namespace may have cleared it (prctl(2), PR_SET_PDEATHSIG).
            if tied && privileges::die_with_parent(channel.as_fd()).is_err() {
                exit_now(1)
            }
            // Above all our end of the channel, whose last one the program is to close.
            let _ = soute_sys::process::close_all_but(&mut [told.as_raw_fd()]);
            tell_the_end(None, told)
        }
        Err(failure) => {
            let _ = channel.send(&failure.encode(), &[]);
            exit_now(1)
        }
    }
}

/// The machine's programs, as long as they are in sight. Whoever may not take them may not need them.
fn take_tools(process: &Process) -> Result<Tools, CallError> {
    let program = process.args.first().map_or("", String::as_str);
    Tools::take(program, path_in(&process.env))
}

/// What was taken along from where the machine's files are in sight.
struct Brought {
    /// With what shows the mounts of where it comes.
    tools: Option<(Result<Tools, CallError>, OwnedFd)>,
    kit: Option<Kit>,
}

/// Where a process comes from that enters a mount namespace.
struct Home {
    mounts: OwnedFd,
    root: OwnedFd,
}

impl Home {
    fn here() -> Result<Self, Failure> {
        let open = |path: &str, flags| {
            rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
                .called(|| format!("open({path:?})"))
                .step("the way back")
        };
        Ok(Self {
            mounts: open("/proc/self/ns/mnt", OFlags::RDONLY)?,
            root: open("/", OFlags::PATH | OFlags::DIRECTORY)?,
        })
    }

    fn go_back(&self) -> Result<(), CallError> {
        enter(flags::NEWNS, &self.mounts)?;
        // It may be another than the mount namespace's.
        change_root(&self.root)
    }
}

/// Whether this process may enter mount namespaces of its own user namespace, and change its root.
fn may_come_back() -> bool {
    let own = CapSet::own_effective();
    own.contains(Cap::SYS_ADMIN) && own.contains(Cap::SYS_CHROOT)
}

fn enter_mounts(visit: &Visit) -> Result<(), Failure> {
    let mut mounts = visit.namespaces.iter();
    let mounts = mounts.find(|(kind, _)| *kind == flags::NEWNS);
    mounts.map_or(Ok(()), |(kind, mounts)| {
        enter(*kind, mounts).map_err(not_entered)
    })
}

/// Enters all, a user namespace last: with it go the rights in all others. Whoever has none of those, but is the owner of
/// the user namespace, gains them by it: then it is the first. Gives whether the user namespace has yet to be entered.
fn enter_all(visit: &Visit) -> Result<bool, Failure> {
    let namespaces = visit.namespaces.iter();
    let (user, others): (Vec<_>, Vec<_>) =
        namespaces.partition(|(kind, _)| *kind == flags::NEWUSER);
    let mut user_is_left = !user.is_empty();
    // The mount namespace last of the others: it takes the root folder with it.
    let (mounts, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|(kind, _)| *kind == flags::NEWNS);
    for (kind, namespace) in others.into_iter().chain(mounts) {
        match enter(*kind, namespace) {
            Err(e) if e.errno() == Errno::PERM && user_is_left => {
                user.iter()
                    .try_for_each(|(kind, user)| enter(*kind, user))
                    .map_err(not_entered)?;
                user_is_left = false;
                enter(*kind, namespace).map_err(not_entered)?;
            }
            entered => entered.map_err(not_entered)?,
        }
    }
    Ok(user_is_left)
}

fn enter(kind: u64, namespace: &OwnedFd) -> Result<(), CallError> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), None)
        .called(|| format!("setns({})", name_of(kind)))
}

fn not_entered(e: CallError) -> Failure {
    Failure::setup("entering the namespaces", e)
}

fn name_of(kind: u64) -> &'static str {
    match kind {
        flags::NEWNS => "CLONE_NEWNS",
        flags::NEWUTS => "CLONE_NEWUTS",
        flags::NEWIPC => "CLONE_NEWIPC",
        flags::NEWPID => "CLONE_NEWPID",
        flags::NEWNET => "CLONE_NEWNET",
        flags::NEWUSER => "CLONE_NEWUSER",
        flags::NEWCGROUP => "CLONE_NEWCGROUP",
        flags::NEWTIME => "CLONE_NEWTIME",
        _ => "?",
    }
}

fn set_up(
    visit: &Visit,
    process: &Process,
    channel: &Channel,
    stdio: Option<(Stdio, [bool; 3])>,
    brought: Brought,
    user: Option<&OwnedFd>,
) -> Result<(user::Identity, Program), Failure> {
    rustix::process::setsid()
        .called(|| "setsid()".to_owned())
        .step("a new session")?;
    let mounts = visit.enters(flags::NEWNS);
    let mut program = visit.program(process)?;
    // In the user namespace already, its root is this process.
    let owner = visit.root_ids.filter(|_| user.is_some());
    let processes = visit.enters(flags::NEWPID);
    // The modes of what is made there are those that are written where it is made.
    rustix::process::umask(Mode::empty());
    match (&visit.files, brought.tools, brought.kit) {
        (Files::Apart(root), _, Some(kit)) => {
            let owner = visit.root_ids.unwrap_or((0, 0));
            toolbox::stand_beside(root, &kit, None, processes, owner)
                .step("a root folder with the image's programs")?;
        }
        (Files::MachineApart, Some((tools, _)), Some(kit)) => {
            let step = "a root folder with the machine's programs";
            let owner = owner.unwrap_or((0, 0));
            let root = toolbox::empty(owner).step(step)?;
            let tools = tools.step(step)?;
            toolbox::stand_beside(&root, &kit, Some(&tools), processes, owner).step(step)?;
        }
        (Files::Machine | Files::OwnOrMachine, Some((tools, mountinfo)), _)
            if matches!(visit.files, Files::Machine) || is_missing(&program) =>
        {
            let step = "laying the machine's programs over the files";
            let tools = tools.step(step)?;
            let etc = match visit.files {
                Files::Machine => Etc::Guarded,
                _ => Etc::Theirs,
            };
            tools::lay_over(&tools, etc, processes, mountinfo, owner).step(step)?;
            if let Some(path) = tools.program() {
                program.is_at(path);
            }
        }
        _ if !mounts && processes => see_processes()?,
        _ => {}
    }
    if let Some(root) = &visit.root {
        change_root(root).step("the root folder")?;
    }
    if let Some(user) = user {
        enter(flags::NEWUSER, user).map_err(not_entered)?;
    }
    if visit.enters(flags::NEWUSER) {
        become_root()?;
    }
    let root = mask::open_root().step("the root folder")?;
    let made = place_standard_files(&root, process, channel, stdio)?;
    let identity = user::resolve(&root, &process.user, visit.whose_names())?;
    match &visit.working_directory {
        Some(path) => directory::enter(&root, path, false)?,
        // A mount namespace has taken the process to its root.
        None if mounts || visit.root.is_some() => directory::enter(&root, "/", false)?,
        None => {}
    }
    if identity.uid != 0 {
        stdio::own(&identity, made)?;
    }
    Ok((identity, program))
}

/// Root of a user namespace, which may deny all of it to leave their groups (user_namespaces(7), "setgroups"): then they
/// are the caller's own still.
fn become_root() -> Result<(), Failure> {
    match rustix::thread::set_thread_groups(&[]) {
        Ok(()) | Err(Errno::PERM) => super::init::become_root_with_groups(),
        Err(e) => Err(Failure::setup(
            super::init::BECOMING_ROOT,
            CallError::new("setgroups([])", e),
        )),
    }
}

/// Goes where a process is that has changed its root: a view, and no wall to whoever enters with all rights.
#[expect(
    clippy::disallowed_methods,
    reason = "the target has a folder of its mount namespace for its root, and the program is to have the same"
)]
fn change_root(root: &OwnedFd) -> Result<(), CallError> {
    rustix::process::fchdir(root)
        .and_then(|()| rustix::process::chroot("."))
        .called(|| "chroot(the root folder)".to_owned())
}

fn machines_proc() -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/proc", flags, Mode::empty())
        .called(|| "open(\"/proc\")".to_owned())
        .step("looking at what is mounted")
}

fn mountinfo_by(proc: &OwnedFd) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, "self/mountinfo", flags, Mode::empty())
        .called(|| "openat(/proc, \"self/mountinfo\")".to_owned())
        .step("looking at what is mounted")
}

fn is_missing(program: &Program) -> bool {
    program
        .look()
        .is_err_and(|failure| failure.kind == FailureKind::NotFound)
}

/// A /proc of the PID namespace in place of the machine's, which shows the machine's processes: for this process alone.
fn see_processes() -> Result<(), Failure> {
    let step = "a /proc of the PID namespace";
    place::leave_for_a_copy().step(step)?;
    let proc = tools::processes_here().step(step)?;
    place::attach_root_at(&proc, "/proc").step(step)
}
