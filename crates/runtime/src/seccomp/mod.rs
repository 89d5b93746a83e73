//! System-call filters: a profile becomes a program of the kernel's (seccomp(2)).
//!
//! [`Filter::docker_default`] is on the way of every container and looks up no
//! name; [`Filter::compile`] takes any [`profile::Profile`]. Both make sections of
//! decisions by number (`sections.rs`), of which `compile.rs` makes one program.

mod action;
mod arch;
mod compile;
mod docker_default;
mod multiplex;
mod names;
pub mod profile;
mod program;
mod resolve;
mod sections;
mod summary;
#[cfg(test)]
mod tests;
mod version;

use std::os::fd::OwnedFd;

use soute_sys::CallError;
use soute_sys::seccomp::{self as sys, SockFilter};

pub use action::Action;
pub use summary::Summary;
pub use version::{KernelVersion, VersionError};

use crate::capabilities::CapSet;
use arch::Machine;
use profile::{Flag, Profile};
use resolve::{Here, Resolved};

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    instructions: Vec<SockFilter>,
    /// `SECCOMP_FILTER_FLAG_*`
    flags: u32,
    listener: Option<Listener>,
    unknown_names: Vec<String>,
}

/// Where the listener's descriptor goes (runtime-spec, config-linux.md, `listenerPath`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// A Unix socket that is listened on.
    pub path: String,
    /// Sent with it.
    pub metadata: String,
}

/// Why there is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeccompError {
    /// The tables have no calls of this machine's.
    #[error("seccomp filters are made for x86_64 and aarch64; this machine is neither")]
    Machine,
    /// The kernel takes 4096 instructions.
    #[error("the seccomp profile makes a filter longer than the kernel's 4096 instructions")]
    TooLong,
    /// A bad default action.
    #[error("seccomp profile, defaultAction: {0}")]
    Default(String),
    /// Both ways to say it.
    #[error("seccomp profile: both \"architectures\" and \"archMap\" are given")]
    Architectures,
    /// A rule that says nothing that can be done.
    #[error("seccomp profile, syscalls[{index}]: {why}")]
    Rule {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody must listen.
    #[error("seccomp profile: SCMP_ACT_NOTIFY needs a \"listenerPath\"")]
    NoListener,
    /// A flag of the listener's without one.
    #[error("seccomp profile: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs an SCMP_ACT_NOTIFY")]
    NoNotify,
}

impl Filter {
    /// The default profile, which is Docker's, for a container that has at most `caps`.
    pub fn docker_default(caps: CapSet, kernel: KernelVersion) -> Result<Self, SeccompError> {
        let machine = Machine::this().ok_or(SeccompError::Machine)?;
        let sections = docker_default::sections(machine, caps, kernel);
        Ok(Self {
            instructions: compile::compile(&sections).ok_or(SeccompError::TooLong)?,
            flags: sys::FLAG_SPEC_ALLOW,
            listener: None,
            unknown_names: Vec::new(),
        })
    }

    /// A profile for a container that has at most `caps`.
    pub fn compile(
        profile: &Profile,
        caps: CapSet,
        kernel: KernelVersion,
    ) -> Result<Self, SeccompError> {
        let here = Here::new(caps, kernel)?;
        let resolved = Resolved::new(profile, here)?;
        let numbered = resolved.numbered();
        let (flags, listener) = flags(profile, resolved.notifies())?;
        Ok(Self {
            instructions: compile::compile(&numbered.sections()).ok_or(SeccompError::TooLong)?,
            flags,
            listener,
            unknown_names: resolved.unknown_names(),
        })
    }

    /// Puts it on the calling thread for good; allocates nothing unless it fails.
    ///
    /// Answers the listener's descriptor if there is a [`Filter::listener`]. Errors as in [`sys::load`].
    pub fn load(&self) -> Result<Option<OwnedFd>, CallError> {
        sys::load(&self.instructions, self.flags)
    }

    /// Where the descriptor that [`Filter::load`] answers is to be sent.
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }

    /// The program.
    pub fn instructions(&self) -> &[SockFilter] {
        &self.instructions
    }

    /// Names in the profile that are no call of any of its architectures. As in runc they are
    /// ignored, since profiles name calls of later kernels and of other machines.
    pub fn unknown_names(&self) -> &[String] {
        &self.unknown_names
    }
}

impl Summary {
    /// That of [`Filter::docker_default`].
    pub fn docker_default(caps: CapSet, kernel: KernelVersion) -> Result<Self, SeccompError> {
        let machine = Machine::this().ok_or(SeccompError::Machine)?;
        Ok(Self::new(
            machine,
            machine.arches(),
            &docker_default::sections(machine, caps, kernel),
            (docker_default::DEFAULT, docker_default::ABOVE),
            Vec::new(),
        ))
    }

    /// That of [`Filter::compile`].
    pub fn of(
        profile: &Profile,
        caps: CapSet,
        kernel: KernelVersion,
    ) -> Result<Self, SeccompError> {
        let here = Here::new(caps, kernel)?;
        let resolved = Resolved::new(profile, here)?;
        Ok(Self::new(
            here.machine,
            &resolved.arches,
            &resolved.numbered().sections(),
            (resolved.default, resolved.above),
            resolved.unknown_names(),
        ))
    }
}

/// The flags of seccomp(2), and the listener.
fn flags(profile: &Profile, notifies: bool) -> Result<(u32, Option<Listener>), SeccompError> {
    let mut flags = match &profile.flags {
        // What the filter guards is not secret from the program, and the mitigation slows all of it down.
        None => sys::FLAG_SPEC_ALLOW,
        Some(flags) => flags.iter().fold(0, |bits, flag| {
            bits | match flag {
                Flag::Tsync => 0,
                Flag::Log => sys::FLAG_LOG,
                Flag::SpecAllow => sys::FLAG_SPEC_ALLOW,
                Flag::WaitKillableRecv => sys::FLAG_WAIT_KILLABLE_RECV,
            }
        }),
    };
    if !notifies {
        return if flags & sys::FLAG_WAIT_KILLABLE_RECV == 0 {
            Ok((flags, None))
        } else {
            Err(SeccompError::NoNotify)
        };
    }
    flags |= sys::FLAG_NEW_LISTENER;
    match &profile.listener_path {
        Some(path) if !path.is_empty() => Ok((
            flags,
            Some(Listener {
                path: path.clone(),
                metadata: profile.listener_metadata.clone().unwrap_or_default(),
            }),
        )),
        _ => Err(SeccompError::NoListener),
    }
}
