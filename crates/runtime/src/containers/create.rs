//! `create` and `run`: from a bundle to a container.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use jiff::Timestamp;
use soute_sys::mount::RDONLY;

use super::error::io;
use super::folder::Folder;
use super::late::run_poststop;
use super::state::{has_been_made, write_config, write_init};
use super::{Containers, Error, Late, Recipients, State, machine};
use crate::cgroups::systemd::{Holder, Unit};
use crate::cgroups::{Cgroup, CgroupError, Layout, Origin, Place};
use crate::hooks::HookState;
use crate::plan::{Mount, MountSource, Plan, Process, User};
use crate::process::gate::Gate;
use crate::process::{Birth, Failure, Started, spawn};
use crate::spec::{self, CONFIG, Config, Machine, Planned};

/// How a container is to be made.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Who hears of the first process.
    pub recipients: Recipients,
    /// How many descriptors, from 3 on, the program keeps.
    pub preserved_descriptors: u32,
    /// How many of them are sockets of systemd's (sd_listen_fds(3)); they come first.
    pub listen_descriptors: u32,
    /// The caller's session keyring stays in use.
    pub keep_keyring: bool,
    /// cgroupsPath names a slice and a scope of systemd.
    pub systemd: bool,
    /// The program starts at once, and need not be waited for at the gate.
    pub start: bool,
    /// Rows and columns of its terminal, if it gets one and the bundle names no size.
    pub terminal_size: Option<(u16, u16)>,
}

impl Containers {
    /// Makes the container `id`, if its configuration passes `check`. Its first process gets the caller's standard
    /// files, unless it has a terminal.
    ///
    /// # Errors
    /// On any, nothing is left of it.
    pub fn create(
        &self,
        id: &str,
        how: &Create,
        check: impl FnOnce(&Config) -> Result<(), Error>,
    ) -> Result<(Started, Late), Error> {
        let path = self.folder(id)?;
        let text = {
            let file = how.bundle.join(CONFIG);
            io("reading", &file, std::fs::read(&file))?
        };
        let bundle = io(
            "the bundle",
            &how.bundle,
            std::fs::canonicalize(&how.bundle),
        )?;
        let config = Config::parse(&text, bundle)?;
        check(&config)?;
        let machine = machine::look(Layout::discover()?)?;
        let (cgroup, unit) = place(&config, &machine, id, how.systemd)?;
        let annotations = config.spec.annotations().clone().unwrap_or_default();
        let mut state = State {
            id: id.to_owned(),
            oci_version: config.spec.version().clone(),
            bundle: config.bundle.clone(),
            rootfs: config.rootfs()?,
            created: Timestamp::now().to_string(),
            owner: rustix::process::getuid().as_raw(),
            cgroup,
            unit,
            // Known when it is planned.
            own_pids: false,
            annotations: annotations.into_iter().collect(),
        };
        let mut planned = spec::plan(&config, &state.cgroup, &machine, state.for_hooks())?;
        state.own_pids = planned.plan.namespaces.pid.is_new();
        preserve(&mut planned.plan.process, how.preserved_descriptors)?;
        size_terminal(&mut planned.plan.process, how.terminal_size);
        if how.listen_descriptors > 0 {
            let env = &mut planned.plan.process.env;
            env.push(format!("LISTEN_FDS={}", how.listen_descriptors));
            env.push("LISTEN_PID=1".to_owned());
        }
        let (poststart, poststop) = spec::late_hooks(&config.spec)?;

        // From here on something is made, and found by its folder if we are killed.
        let folder = self.make(id)?;
        let made = state
            .write(&folder)
            .and_then(|()| write_config(&folder, &text))
            .and_then(|()| make_cgroup(&mut state, &folder, &machine, &planned));
        let (cgroup, holder, origin) = match made {
            Ok(made) => made,
            Err(e) => return Err(undone(e, folder.remove())),
        };
        let rules = &planned.resources.device_rules;
        let populated = populate(
            &folder,
            &planned.plan,
            &cgroup,
            how,
            &mut |cgroup| match origin {
                Some(origin) => cgroup.restrict_devices(rules, origin),
                None => Ok(()),
            },
        );
        // The scope has a process of its own by now, or is to go.
        drop(holder);
        match populated {
            Ok(started) => Ok((
                started,
                Late {
                    path,
                    state,
                    cgroup,
                    poststart,
                    poststop,
                },
            )),
            Err(e) => {
                let undoing = cgroup
                    .kill()
                    .and_then(|()| state.unit.as_ref().map_or(Ok(()), Unit::stop))
                    .and_then(|()| cgroup.remove())
                    .map_err(Error::from)
                    .and(folder.remove());
                // There was a container, and now there is none: what follows its end follows (runtime-spec,
                // "Lifecycle"). That it failed is told; what its last hooks fail with, too, would hide it.
                let _ = run_poststop(&poststop, &state);
                Err(undone(e, undoing))
            }
        }
    }
}

/// The process, and all that its caller is told of it. On failure the process is dead. `restrict` is done to the cgroup
/// while the process sets itself up: long before its program, and what it costs (0.2 ms on v2) costs no time.
fn populate(
    folder: &Folder,
    plan: &Plan,
    cgroup: &Cgroup,
    how: &Create,
    restrict: &mut dyn FnMut(&Cgroup) -> Result<(), CgroupError>,
) -> Result<Started, Error> {
    let gate = match how.start {
        true => None,
        false => Some(Gate::make(folder.path())?),
    };
    let birth = Birth {
        cgroup,
        stdio: None,
        lock: folder.as_fd(),
        tied: false,
        keep_keyring: how.keep_keyring,
        gate: gate.as_ref(),
    };
    let started = spawn(plan, birth, &mut |pid| {
        write_init(folder, pid).map_err(|e| Failure::setup("keeping the container's state", e))?;
        restrict(cgroup).map_err(|e| Failure::setup("the device rules", e))
    })?;
    how.recipients.tell(started, || has_been_made(folder))
}

/// A terminal without a size of its own has this one, from before its program looks.
pub(super) fn size_terminal(process: &mut Process, size: Option<(u16, u16)>) {
    if let (Some(own @ (0, 0)), Some(size)) = (&mut process.terminal, size) {
        *own = size;
    }
}

/// The program keeps the caller's first descriptors, which must be open.
pub(super) fn preserve(process: &mut Process, count: u32) -> Result<(), Error> {
    for number in (3..).take(count as usize) {
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        io("the descriptor to be kept", &path, path.symlink_metadata())?;
    }
    process.preserved_descriptors = count;
    Ok(())
}

/// Where its cgroup is to be; `systemd`: in which scope.
fn place(
    config: &Config,
    machine: &Machine,
    id: &str,
    systemd: bool,
) -> Result<(Place, Option<Unit>), Error> {
    let wanted = config
        .spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.cgroups_path().as_ref());
    let wanted = wanted
        .map(|path| path.to_string_lossy())
        .unwrap_or_default();
    if !systemd {
        return Ok((Place::from_spec(&machine.layout, &wanted, id)?, None));
    }
    let unit = Unit::from_spec(&wanted, id)?;
    Ok((Place::absolute(&unit.path())?, Some(unit)))
}

/// Makes the cgroup, or has systemd make it; then there is a process that keeps it until the container's own is there.
/// With an [`Origin`] come no device rules yet.
fn make_cgroup(
    state: &mut State,
    folder: &Folder,
    machine: &Machine,
    planned: &Planned,
) -> Result<(Cgroup, Option<Holder>, Option<Origin>), Error> {
    let limits = &planned.resources;
    let (cgroup, holder, origin) = match &state.unit {
        Some(unit) => {
            let annotations = &state.annotations;
            let scope = unit.start(
                &machine.layout,
                &limits.resources,
                &limits.device_rules,
                annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())),
            )?;
            // Where it is, systemd decides.
            if state.cgroup != scope.place {
                state.cgroup = scope.place;
                state.write(folder)?;
            }
            (scope.cgroup, Some(scope.holder), None)
        }
        None => {
            let (cgroup, origin) = Cgroup::create_or_adopt(
                &state.cgroup.layout(&machine.layout),
                state.cgroup.path(),
                &limits.resources,
                &[],
            )?;
            (cgroup, None, Some(origin))
        }
    };
    if let Some(owner) = delegate(&planned.plan) {
        cgroup.delegate(owner)?;
    }
    Ok((cgroup, holder, origin))
}

/// Who gets the cgroup to make others in, as systemd does inside: whoever the container's user is outside, if its own
/// part of the hierarchy is mounted such that it can be written to.
fn delegate(plan: &Plan) -> Option<u32> {
    let writable = |mount: &Mount| {
        matches!(mount.source, MountSource::Cgroup { .. })
            && (mount.attributes.set | mount.all.set) & RDONLY == 0
    };
    if plan.namespaces.cgroup.is_host() || !plan.mounts.iter().any(writable) {
        return None;
    }
    let User::Ids { uid, .. } = plan.process.user else {
        return None;
    };
    match plan.namespaces.user.maps() {
        Some(maps) => maps.host_uid(uid),
        None => Some(uid),
    }
}

/// The error, and that of the undoing if there was one.
fn undone(error: Error, undoing: Result<(), Error>) -> Error {
    match undoing {
        Ok(()) => error,
        Err(undoing) => Error::Undoing {
            error: Box::new(error),
            undoing: Box::new(undoing),
        },
    }
}

impl State {
    /// What its hooks are told of it.
    pub(super) fn for_hooks(&self) -> HookState {
        HookState {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            bundle: self.bundle.to_string_lossy().into_owned(),
            annotations: self.annotations.clone(),
        }
    }
}
