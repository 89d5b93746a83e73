//! The last steps before execve: the same for a container's first process and for `exec`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal};
use soute_sys::process::exit_now;
use soute_sys::{CallError, Called};

use super::attributes::Label;
use super::channel::Channel;
use super::failure::{Failure, Step};
use super::gate::Gate;
use super::program::Program;
use super::spawn::{LISTENER, OUTSIDE, WAITING};
use super::user::Identity;
use crate::hooks::{Status, Tree};
use crate::plan::{Hooks, Process};
use crate::seccomp::Filter;

/// What a process that is set up still has to do with the outside.
pub(crate) struct Door<'a> {
    /// To whoever made it, until its program runs or waits.
    pub(crate) channel: &'a Channel,
    /// It is to die with its parent, whose end of the channel tells whether it still lives.
    pub(crate) tied: bool,
    /// Where it waits.
    pub(crate) gate: Option<&'a Gate>,
    /// It has been made root of its user namespace, with no other groups.
    pub(crate) is_root: bool,
    /// Those that run right before the program.
    pub(crate) hooks: Option<&'a Hooks>,
}

impl Door<'_> {
    /// Gives up what `process` may not have and becomes its program; a failure is told to whoever waits for it.
    ///
    /// All descriptors but the standard three and those of the door are closed: their owners must not be dropped
    /// afterwards.
    pub(crate) fn become_program(
        &self,
        process: &Process,
        identity: &Identity,
        mut program: Program,
        label: Option<Label>,
    ) -> ! {
        let failure = match self.leave(process, identity, &mut program, label) {
            Ok(()) => program.execute(),
            Err(failure) => failure,
        };
        // Nobody is left to tell if this fails, too.
        let _ = self.channel.send(&failure.encode(), &[]);
        if let Some(gate) = self.gate {
            gate.tell(&failure);
        }
        exit_now(1)
    }

    fn leave(
        &self,
        process: &Process,
        identity: &Identity,
        program: &mut Program,
        label: Option<Label>,
    ) -> Result<(), Failure> {
        self.prepare(process, identity, program, label)?;
        if let Some(gate) = self.gate {
            // By write and read: a filter that is there by now knows these two calls.
            rustix::io::write(self.channel.as_fd(), &[WAITING])
                .called(|| "write(the setup channel)".to_owned())
                .step("telling the parent")?;
            gate.wait()?;
        }
        if let Some(hooks) = self.hooks.filter(|hooks| !hooks.start_container.is_empty()) {
            let own = rustix::process::getpid();
            hooks
                .run(
                    &hooks.start_container,
                    Status::Created,
                    own,
                    Tree::Container,
                )
                .map_err(|e| Failure::setup("startContainer", e))?;
        }
        Ok(())
    }

    fn prepare(
        &self,
        process: &Process,
        identity: &Identity,
        program: &mut Program,
        label: Option<Label>,
    ) -> Result<(), Failure> {
        program.default_env("HOME", &identity.home)?;
        // Nothing of the engine's may reach the program (CVE-2024-21626). Closed, not close-on-exec: execve looks its
        // path up while such descriptors are open, and an image may name its program /proc/self/fd/N/../../bin/sh.
        // What is left is sockets, pipes and files, which no path leads through, and what the caller means to give.
        let mut kept = vec![self.channel.as_fd().as_raw_fd()];
        kept.extend(self.gate.iter().flat_map(|gate| gate.descriptors()));
        kept.extend((3..).take(process.preserved_descriptors as usize));
        // Labels are written to files that are open already.
        kept.extend(label.iter().flat_map(Label::descriptors));
        soute_sys::process::close_all_but(&mut kept).step("closing descriptors")?;
        program.avoid_magic();
        if self.gate.is_some() {
            program.look()?;
        }
        self.give_up(process, identity, label)
    }

    /// Gives up what `process` may not have, and sets what it is to have.
    pub(crate) fn give_up(
        &self,
        process: &Process,
        identity: &Identity,
        label: Option<Label>,
    ) -> Result<(), Failure> {
        // The engine makes its own files with exact modes; the program starts as after a login.
        rustix::process::umask(Mode::from_raw_mode(process.umask));
        for &(resource, soft, hard) in &process.rlimits {
            let limit = |n| (n != u64::MAX).then_some(n);
            rustix::process::setrlimit(
                resource,
                Rlimit {
                    current: limit(soft),
                    maximum: limit(hard),
                },
            )
            .called(|| format!("setrlimit({resource:?}, {soft}, {hard})"))
            .step("resource limits")?;
        }
        soute_sys::signals::reset_all().step("signals")?;
        if process.attributes.is_set_from_outside() {
            self.channel
                .send(&[OUTSIDE], &[])
                .step("telling the parent")?;
            match self.channel.receive().step("waiting for the parent")? {
                Some(message) if message.bytes == [OUTSIDE] => {}
                // It gave up (it knows why) or died.
                _ => exit_now(1),
            }
        }
        process.attributes.apply(label)?;
        let capabilities = process.grant.for_user(identity.uid);
        // The bounding set shrinks while CAP_SETPCAP is still effective.
        capabilities.apply_bounding().step("capabilities")?;
        let filter = process.seccomp.as_ref();
        // Without no_new_privs the kernel wants CAP_SYS_ADMIN for a filter: now or never. With it the filter comes
        // last, so that it need not allow what follows here.
        if let (Some(filter), false) = (filter, process.no_new_privileges) {
            self.load(filter)?;
        }
        if !self.is_root || !identity.is_root() {
            become_user(identity)?;
        }
        capabilities.apply().step("capabilities")?;
        if self.tied {
            // Changing the user cleared it (prctl(2), PR_SET_PDEATHSIG).
            die_with_parent(self.channel.as_fd())?;
        } else {
            outlive_parent()?;
        }
        if process.no_new_privileges {
            rustix::thread::set_no_new_privs(true)
                .called(|| "prctl(PR_SET_NO_NEW_PRIVS)".to_owned())
                .step("no_new_privs")?;
            if let Some(filter) = filter {
                self.load(filter)?;
            }
        }
        Ok(())
    }

    /// Loads the filter. Whoever made this process takes the listener's descriptor, if there is one, and sends it to
    /// where the profile says; it is told by write(2), since that call is never the listener's to decide.
    fn load(&self, filter: &Filter) -> Result<(), Failure> {
        let Some(listener) = filter.load().step("the seccomp filter")? else {
            return Ok(());
        };
        let step = "handing over the seccomp listener";
        let mut message = vec![LISTENER];
        message.extend(listener.as_raw_fd().to_ne_bytes());
        rustix::io::write(self.channel.as_fd(), &message)
            .called(|| "write(the setup channel)".to_owned())
            .step(step)?;
        let mut answer = [0];
        let answered =
            rustix::io::retry_on_intr(|| rustix::io::read(self.channel.as_fd(), &mut answer))
                .called(|| "read(the setup channel)".to_owned())
                .step(step)?;
        match (answered, answer) {
            (1, [LISTENER]) => Ok(()),
            // It gave up (it knows why) or died.
            _ => exit_now(1),
        }
    }
}

fn become_user(identity: &Identity) -> Result<(), Failure> {
    let unmapped = |e: CallError| {
        if e.errno() == Errno::INVAL {
            Failure::setup(
                format!("user {}:{}", identity.uid, identity.gid),
                "the container's user namespace does not map this id",
            )
        } else {
            Failure::setup("changing the user", e)
        }
    };
    let groups: Vec<Gid> = identity.groups.iter().map(|&g| Gid::from_raw(g)).collect();
    rustix::thread::set_thread_groups(&groups)
        .called(|| format!("setgroups({:?})", identity.groups))
        .map_err(unmapped)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .called(|| format!("setresgid({})", identity.gid))
        .map_err(unmapped)?;
    if identity.uid != 0 {
        // The capability sets are set one by one next; the kernel shall not empty the permitted one before.
        rustix::thread::set_keep_capabilities(true)
            .called(|| "prctl(PR_SET_KEEPCAPS)".to_owned())
            .step("changing the user")?;
    }
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .called(|| format!("setresuid({})", identity.uid))
        .map_err(unmapped)
}

/// First thing in a process that is going to be the container's: nothing of the engine's or of its caller's is to be
/// found in it from inside.
pub(crate) fn leave_caller(keep_keyring: bool) -> Result<(), Failure> {
    let step = "leaving the caller";
    // Another process in there must not look at this one: memory, descriptors and executable are the machine's until
    // execve, which makes the program dumpable again (CVE-2016-9962, CVE-2019-5736).
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .called(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned())
        .step(step)?;
    // Whoever possesses a session keyring may use the keys in it, whatever its user namespace.
    match keep_keyring {
        true => Ok(()),
        false => soute_sys::process::new_session_keyring().step(step),
    }
}

/// Raises this process's hard limits to those that the program is to have, as only the machine's root can.
pub(crate) fn raise_hard_limits(limits: &[(Resource, u64, u64)]) -> Result<(), Failure> {
    raise_hard_limits_of(None, limits)
}

/// [`raise_hard_limits`] of the process `pid`, which has the same limits as this one.
pub(crate) fn raise_hard_limits_of(
    pid: Option<Pid>,
    limits: &[(Resource, u64, u64)],
) -> Result<(), Failure> {
    for &(resource, _, hard) in limits {
        let now = rustix::process::getrlimit(resource);
        if now.maximum.is_none_or(|have| hard <= have) {
            continue;
        }
        let wanted = Rlimit {
            current: now.current,
            maximum: (hard != u64::MAX).then_some(hard),
        };
        rustix::process::prlimit(pid, resource, wanted)
            .called(|| format!("prlimit({resource:?}, hard={hard})"))
            .step("resource limits")?;
    }
    Ok(())
}

/// This process is on its own.
fn outlive_parent() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(None)
        .called(|| "prctl(PR_SET_PDEATHSIG, 0)".to_owned())
        .step("outliving the parent")
}

/// This process is killed when its parent dies; if the parent is dead already, it ends here.
pub(crate) fn die_with_parent(parent: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .called(|| "prctl(PR_SET_PDEATHSIG)".to_owned())
        .step("dying with the parent")?;
    let mut fds = [PollFd::new(&parent, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&now)) {
        Ok(n) if n > 0 && fds[0].revents().contains(PollFlags::HUP) => {
            soute_sys::process::exit_now(137)
        }
        _ => Ok(()),
    }
}
