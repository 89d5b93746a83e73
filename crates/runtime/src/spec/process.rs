//! `process`: of the container itself, and of `exec`.

use oci_spec::runtime::{self as oci, PosixRlimitType};
use rustix::process::Resource;

use super::{Config, Machine, SpecError};
use crate::capabilities::{Cap, CapSet, Capabilities};
use crate::plan::{Grant, Process, User};
use crate::seccomp::Filter;
use crate::seccomp::profile::{ActionName, Profile, Syscalls};

/// The container's own process.
pub(super) fn process_of(config: &Config, machine: &Machine) -> Result<Process, SpecError> {
    match config.spec.process() {
        Some(wanted) => any_process(config, wanted, machine, false),
        None => Err(SpecError::new("process", "there is none")),
    }
}

/// A process in the container of `config`, whose filter it gets.
///
/// # Errors
/// The first field that cannot be had.
pub fn process(
    config: &Config,
    wanted: &oci::Process,
    machine: &Machine,
) -> Result<Process, SpecError> {
    any_process(config, wanted, machine, true)
}

fn any_process(
    config: &Config,
    wanted: &oci::Process,
    machine: &Machine,
    exec: bool,
) -> Result<Process, SpecError> {
    let args = wanted.args().clone().unwrap_or_default();
    if args.is_empty() {
        return Err(SpecError::new("process.args", "it is empty"));
    }
    let working_directory = wanted
        .cwd()
        .to_str()
        .filter(|path| path.starts_with('/'))
        .ok_or_else(|| SpecError::new("process.cwd", "it is no absolute path"))?;
    for (index, entry) in wanted.env().iter().flatten().enumerate() {
        let at = format!("process.env[{index}]");
        match entry.find('=') {
            Some(0) => return Err(SpecError::new(at, format!("{entry:?} has no name"))),
            None => return Err(SpecError::new(at, format!("{entry:?} has no \"=\""))),
            _ => {}
        }
    }
    let sets = capabilities(wanted, machine)?;
    let own_user_namespace = config.spec.linux().as_ref().is_some_and(|linux| {
        linux
            .namespaces()
            .iter()
            .flatten()
            .any(|namespace| namespace.typ() == oci::LinuxNamespaceType::User)
    });
    if !own_user_namespace {
        check_given(&sets)?;
    }
    let user = wanted.user();
    check_ids(user)?;
    Ok(Process {
        args,
        env: wanted.env().clone().unwrap_or_default(),
        working_directory: working_directory.to_owned(),
        user: User::Ids {
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
        },
        umask: user.umask().unwrap_or(0o022),
        grant: Grant::Exactly(sets),
        no_new_privileges: wanted.no_new_privileges().unwrap_or(false),
        seccomp: config
            .seccomp
            .as_ref()
            .map(|profile| filter(profile, &sets, machine))
            .transpose()?,
        rlimits: rlimits(wanted)?,
        oom_score_adj: oom_score(wanted)?,
        terminal: terminal(wanted)?,
        attributes: super::attributes::attributes(config, wanted, exec)?,
        preserved_descriptors: 0,
    })
}

/// To the kernel the last number is -1 and means "as it is" (setresuid(2)): the program would stay root.
fn check_ids(user: &oci::User) -> Result<(), SpecError> {
    let groups = user.additional_gids().iter().flatten().copied();
    let ids = [("uid", user.uid()), ("gid", user.gid())];
    let ids = ids
        .into_iter()
        .chain(groups.map(|gid| ("additionalGids", gid)));
    for (name, id) in ids {
        if id == u32::MAX {
            let at = format!("process.user.{name}");
            return Err(SpecError::new(at, format!("{id} is nobody's")));
        }
    }
    Ok(())
}

fn filter(profile: &Profile, sets: &Capabilities, machine: &Machine) -> Result<Filter, SpecError> {
    let at = "linux.seccomp";
    // The process tells by this call that there is a listener: nobody would hear of it.
    let notify = ActionName::Notify;
    let of_write =
        |rule: &Syscalls| rule.action == notify && rule.names.iter().any(|name| name == "write");
    if profile.default_action == notify || profile.syscalls.iter().any(of_write) {
        let why = "SCMP_ACT_NOTIFY cannot be the default action, nor that of write";
        return Err(SpecError::new(at, why));
    }
    Filter::compile(profile, sets.bounding, machine.kernel).map_err(|e| SpecError::new(at, e))
}

fn capabilities(wanted: &oci::Process, machine: &Machine) -> Result<Capabilities, SpecError> {
    let known = CapSet::up_to(machine.last_capability);
    // Without any mention a process has none.
    let Some(wanted) = wanted.capabilities() else {
        return Ok(Capabilities::default());
    };
    let set = |name: &str, list: &Option<oci::Capabilities>| {
        let mut set = CapSet::EMPTY;
        for word in list.iter().flatten() {
            let at = format!("process.capabilities.{name}");
            let cap: Cap = word
                .to_string()
                .parse()
                .map_err(|e| SpecError::new(at.clone(), e))?;
            if !known.contains(cap) {
                return Err(SpecError::new(at, format!("this kernel has no {cap}")));
            }
            set = set.union(CapSet::of(&[cap]));
        }
        Ok(set)
    };
    let [permitted, inheritable] = [
        set("permitted", wanted.permitted())?,
        set("inheritable", wanted.inheritable())?,
    ];
    Ok(Capabilities {
        bounding: set("bounding", wanted.bounding())?,
        effective: set("effective", wanted.effective())?,
        inheritable,
        permitted,
        // The others cannot be raised (PR_CAP_AMBIENT_RAISE): not_raised() tells of them.
        ambient: set("ambient", wanted.ambient())?
            .intersection(permitted)
            .intersection(inheritable),
    })
}

/// What the kernel does not let be ambient, since it is not both permitted and inheritable (capabilities(7)).
///
/// A warning, as config.md asks ("Linux Process"), and no error: `runc spec` wrote such configurations up to 1.1.
pub fn not_raised(wanted: &oci::Process) -> Option<String> {
    let sets = wanted.capabilities().as_ref()?;
    let has = |set: &Option<oci::Capabilities>, cap| set.as_ref().is_some_and(|s| s.contains(cap));
    let mut missing: Vec<String> = sets
        .ambient()
        .iter()
        .flatten()
        .filter(|cap| !has(sets.permitted(), cap) || !has(sets.inheritable(), cap))
        .map(|cap| format!("CAP_{cap}"))
        .collect();
    missing.sort();
    (!missing.is_empty()).then(|| {
        format!(
            "process.capabilities.ambient: {}: not both permitted and inheritable, so not ambient",
            missing.join(", ")
        )
    })
}

/// In the caller's user namespace nobody can give what he has not.
fn check_given(sets: &Capabilities) -> Result<(), SpecError> {
    let own = CapSet::own_permitted().map_err(|e| SpecError::new("process.capabilities", e))?;
    match sets.permitted.without(own).iter().next() {
        Some(missing) => Err(SpecError::new(
            "process.capabilities.permitted",
            format!("{missing}: the runtime was not given it, so it cannot be given on"),
        )),
        None => Ok(()),
    }
}

fn rlimits(wanted: &oci::Process) -> Result<Vec<(Resource, u64, u64)>, SpecError> {
    let mut limits: Vec<(Resource, u64, u64)> = Vec::new();
    for (index, limit) in wanted.rlimits().iter().flatten().enumerate() {
        let at = format!("process.rlimits[{index}]");
        if limit.soft() > limit.hard() {
            let why = format!("soft {} is above hard {}", limit.soft(), limit.hard());
            return Err(SpecError::new(at, why));
        }
        let resource = resource(limit.typ());
        if limits.iter().any(|(other, ..)| *other == resource) {
            return Err(SpecError::new(
                at,
                format!("a second one of type {}", limit.typ()),
            ));
        }
        limits.push((resource, limit.soft(), limit.hard()));
    }
    Ok(limits)
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

fn oom_score(wanted: &oci::Process) -> Result<Option<i32>, SpecError> {
    match wanted.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => Err(SpecError::new(
            "process.oomScoreAdj",
            format!("{score}: from -1000 to 1000"),
        )),
        score => Ok(score),
    }
}

fn terminal(wanted: &oci::Process) -> Result<Option<(u16, u16)>, SpecError> {
    if !wanted.terminal().unwrap_or(false) {
        return Ok(None);
    }
    let Some(size) = wanted.console_size() else {
        return Ok(Some((0, 0)));
    };
    match (u16::try_from(size.height()), u16::try_from(size.width())) {
        (Ok(rows), Ok(columns)) => Ok(Some((rows, columns))),
        _ => Err(SpecError::new("process.consoleSize", "65535 is the most")),
    }
}
