//! What `create` and `restore` begin with: a bundle that is read, and a folder and a cgroup for its container.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use soute_sys::mount::RDONLY;

use super::error::io;
use super::folder::Folder;
use super::late::run_poststop;
use super::state::write_config;
use super::{Containers, Error, Late, State, machine};
use crate::cgroups::systemd::{Holder, Unit};
use crate::cgroups::{Cgroup, CgroupError, Layout, Origin, Place};
use crate::hooks::{Hook, HookState};
use crate::plan::{Mount, MountSource, Plan, User};
use crate::spec::{self, CONFIG, Config, Machine, Planned};

/// A bundle of which a container can be made, as far as can be told without making it.
pub(super) struct Prepared {
    text: Vec<u8>,
    pub(super) machine: Machine,
    pub(super) state: State,
    pub(super) planned: Planned,
    poststart: Vec<Hook>,
    poststop: Vec<Hook>,
}

/// What is made before the first process.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) folder: Folder,
    pub(super) cgroup: Cgroup,
    /// Keeps systemd's scope until the container's own process is in it.
    holder: Option<Holder>,
    /// The cgroup has no device rules yet.
    origin: Option<Origin>,
}

impl Made {
    /// Sets the device rules, if systemd has not been told of them.
    pub(super) fn restrict_devices(&self, planned: &Planned) -> Result<(), CgroupError> {
        match self.origin {
            Some(origin) => {
                let rules = &planned.resources.device_rules;
                self.cgroup.restrict_devices(rules, origin)
            }
            None => Ok(()),
        }
    }

    /// The first process is in the scope, which keeps itself now; or it is to go.
    pub(super) fn let_go_of_the_scope(&mut self) {
        self.holder = None;
    }
}

impl Prepared {
    /// Reads the bundle, whose configuration passes `check`. Nothing is made.
    pub(super) fn read(
        id: &str,
        bundle: &Path,
        systemd: bool,
        check: impl FnOnce(&Config) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let text = {
            let file = bundle.join(CONFIG);
            io("reading", &file, std::fs::read(&file))?
        };
        let bundle = io("the bundle", bundle, spec::straight(bundle))?;
        let config = Config::parse(&text, bundle)?;
        check(&config)?;
        let machine = machine::look(Layout::discover()?)?;
        let (cgroup, unit) = place(&config, &machine, id, systemd)?;
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
        let planned = spec::plan(&config, &state.cgroup, &machine, state.for_hooks())?;
        state.own_pids = planned.plan.namespaces.pid.is_new();
        let (poststart, poststop) = spec::late_hooks(&config.spec)?;
        Ok(Self {
            text,
            machine,
            state,
            planned,
            poststart,
            poststop,
        })
    }

    /// Makes the folder and the cgroup; on failure neither is left.
    pub(super) fn make(&mut self, containers: &Containers) -> Result<Made, Error> {
        let folder = containers.make(&self.state.id)?;
        let made = self
            .state
            .write(&folder)
            .and_then(|()| write_config(&folder, &self.text))
            .and_then(|()| make_cgroup(&mut self.state, &folder, &self.machine, &self.planned));
        match made {
            Ok((cgroup, holder, origin)) => Ok(Made {
                folder,
                cgroup,
                holder,
                origin,
            }),
            Err(e) => Err(undone(e, folder.remove())),
        }
    }

    /// Takes both back, with all processes in the cgroup, after `error`; the answer tells if that failed, too.
    pub(super) fn undo(&self, made: Made, error: Error) -> Error {
        let Made { folder, cgroup, .. } = made;
        let unit = self.state.unit.as_ref();
        let undoing = cgroup
            .kill()
            .and_then(|()| unit.map_or(Ok(()), Unit::stop))
            .and_then(|()| cgroup.remove())
            .map_err(Error::from)
            .and(folder.remove());
        // There was a container, and now there is none: what follows its end follows (runtime-spec,
        // "Lifecycle"). That it failed is told; what its last hooks fail with, too, would hide it.
        let _ = run_poststop(&self.poststop, &self.state);
        undone(error, undoing)
    }

    /// The container's later life; its folder is `path`.
    pub(super) fn into_late(self, path: PathBuf, cgroup: Cgroup) -> Late {
        Late {
            path,
            state: self.state,
            cgroup,
            poststart: self.poststart,
            poststop: self.poststop,
        }
    }
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
