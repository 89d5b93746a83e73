//! An OCI bundle becomes a plan (runtime-spec 1.3, bundle.md and config.md).
//!
//! Reading touches nothing but the bundle and the namespaces that it names.
//! Every field is applied or refused; properties that the specification does
//! not know are ignored, as it asks ("Extensibility").

mod attributes;
mod devices;
mod error;
mod flags;
mod mounts;
mod namespaces;
mod options;
mod process;

use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

pub use error::SpecError;
pub use flags::readable;
pub use options::OPTIONS as MOUNT_OPTIONS;
pub use process::{not_raised, process};

use crate::cgroups::{Layout, Place, SpecResources};
use crate::hooks::Hook;
use crate::plan::{Hooks, Plan, Propagation, Rootfs};
use crate::seccomp::KernelVersion;
use crate::seccomp::profile::Profile;
use crate::sysctls;

/// The newest version of the specification that is understood.
pub const VERSION: &str = "1.3.0";
/// The configuration's name in its bundle.
pub const CONFIG: &str = "config.json";

/// A bundle's configuration.
#[derive(Debug)]
pub struct Config {
    /// All of it but the filter.
    pub spec: Spec,
    /// `linux.seccomp`
    pub seccomp: Option<Profile>,
    /// The folder that it came from.
    pub bundle: PathBuf,
}

/// What planning must know of the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The cgroup hierarchies.
    pub layout: Layout,
    /// For the filter's conditions.
    pub kernel: KernelVersion,
    /// The kernel's last capability.
    pub last_capability: u8,
}

/// The way to a folder without links: what the kernel calls it once it is open, fewer calls than realpath(3).
pub(crate) fn straight(folder: &Path) -> std::io::Result<PathBuf> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// What a configuration asks for.
#[derive(Debug)]
pub struct Planned {
    /// The container.
    pub plan: Plan,
    /// Its limits, and its devices.
    pub resources: SpecResources,
}

/// Of the configuration only the filter.
#[derive(Deserialize)]
struct WithFilter {
    linux: Option<LinuxWithFilter>,
}

#[derive(Deserialize)]
struct LinuxWithFilter {
    seccomp: Option<Profile>,
}

impl Config {
    /// Reads `config.json` of the bundle.
    ///
    /// # Errors
    /// It is missing, is no such configuration, or one of another major version.
    pub fn read(bundle: &Path) -> Result<Self, SpecError> {
        let file = bundle.join(CONFIG);
        let failed = |why: &dyn std::fmt::Display| SpecError::new(file.display().to_string(), why);
        let bundle = straight(bundle)
            .map_err(|e| SpecError::new(format!("the bundle {}", bundle.display()), e))?;
        let text = std::fs::read(&file).map_err(|e| failed(&e))?;
        Self::parse(&text, bundle).map_err(|mut e| {
            e.at = format!("{}: {}", file.display(), e.at);
            e
        })
    }

    /// What a `config.json` in the folder `bundle` (absolute) says.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &[u8], bundle: PathBuf) -> Result<Self, SpecError> {
        let json = |e: serde_json::Error| SpecError::new("not a configuration", e);
        let spec: Spec = serde_json::from_slice(&readable(text)).map_err(json)?;
        check_version(spec.version())?;
        let filter: WithFilter = serde_json::from_slice(text).map_err(json)?;
        Ok(Self {
            spec,
            seccomp: filter.linux.and_then(|linux| linux.seccomp),
            bundle,
        })
    }

    /// The root file system's folder, absolute.
    ///
    /// # Errors
    /// None is named.
    pub fn rootfs(&self) -> Result<PathBuf, SpecError> {
        let root = self.spec.root().as_ref();
        let root = root.ok_or_else(|| SpecError::new("root", "there is none"))?;
        match root.path().as_os_str().is_empty() {
            true => Err(SpecError::new("root.path", "it is empty")),
            false => Ok(self.bundle.join(root.path())),
        }
    }
}

/// Within a major version configurations are understood, whatever they add (config.md, "Specification version").
fn check_version(version: &str) -> Result<(), SpecError> {
    let mut parts = version.split(['.', '-', '+']);
    let numbers = [parts.next(), parts.next(), parts.next()]
        .map(|part| part.and_then(|part| part.parse::<u32>().ok()));
    match numbers {
        [Some(1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => Err(SpecError::new(
            "ociVersion",
            format!("{version} is of another major version than {VERSION}"),
        )),
        _ => Err(SpecError::new(
            "ociVersion",
            format!("{version:?} is no version number"),
        )),
    }
}

/// The plan that the configuration asks for.
///
/// `cgroup` is where the container's is; `state` is what hooks are told.
///
/// # Errors
/// The first field that cannot be had.
pub fn plan(
    config: &Config,
    cgroup: &Place,
    machine: &Machine,
    state: crate::hooks::HookState,
) -> Result<Planned, SpecError> {
    let spec = &config.spec;
    for (field, foreign) in [
        ("windows", spec.windows().is_some()),
        ("solaris", spec.solaris().is_some()),
        ("vm", spec.vm().is_some()),
    ] {
        if foreign {
            return Err(SpecError::new(
                field,
                "this is a runtime for Linux containers",
            ));
        }
    }
    let rootfs = config.rootfs()?;
    // Links in it are the caller's own.
    let rootfs = straight(&rootfs).map_err(|e| {
        SpecError::new(
            "root.path",
            format!("{} is no folder: {e}", rootfs.display()),
        )
    })?;
    let namespaces = namespaces::namespaces(spec)?;
    let linux = spec.linux().as_ref();
    let root_propagation = linux
        .and_then(|linux| linux.rootfs_propagation().as_deref())
        .filter(|word| !word.is_empty())
        .map(|word| {
            options::propagation(word).ok_or_else(|| {
                SpecError::new("linux.rootfsPropagation", format!("there is no {word:?}"))
            })
        })
        .transpose()?;
    if linux.is_some_and(|linux| linux.intel_rdt().is_some()) {
        return Err(SpecError::new(
            "linux.intelRdt",
            "resource control of this kind is not supported",
        ));
    }
    let process = process::process_of(config, machine)?;
    let own_uts = namespaces.uts.is_new();
    for (field, name) in [
        ("hostname", spec.hostname()),
        ("domainname", spec.domainname()),
    ] {
        if !own_uts && name.as_ref().is_some_and(|name| !name.is_empty()) {
            return Err(SpecError::new(
                field,
                "the container has no new UTS namespace",
            ));
        }
    }
    let mounts = mounts::mounts(
        config,
        &namespaces,
        cgroup,
        &machine.layout,
        slave(root_propagation),
    )?;
    let devices = devices::devices(spec, &mounts)?;
    let none = oci_spec::runtime::LinuxResources::default();
    let wanted = linux.and_then(|linux| linux.resources().as_ref());
    let resources = SpecResources::new(wanted.unwrap_or(&none))
        .map_err(|e| SpecError::new("linux.resources", e))?;
    let list = |paths: Option<&Option<Vec<String>>>| paths.cloned().flatten().unwrap_or_default();
    let sysctls = match linux.and_then(|linux| linux.sysctl().as_ref()) {
        Some(wanted) => {
            // In an order of our own, since the document has none.
            let mut wanted: Vec<_> = wanted.clone().into_iter().collect();
            wanted.sort();
            for (name, value) in &wanted {
                sysctls::check(name, value, &namespaces)
                    .map_err(|why| SpecError::new(format!("linux.sysctl[{name:?}]"), why))?;
            }
            wanted
        }
        None => Vec::new(),
    };
    Ok(Planned {
        plan: Plan {
            hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
            domain_name: spec.domainname().clone().filter(|name| !name.is_empty()),
            rootfs: Rootfs::Folder {
                path: rootfs,
                slave: slave(root_propagation),
            },
            read_only: spec
                .root()
                .as_ref()
                .and_then(|root| root.readonly())
                .unwrap_or(false),
            root_propagation,
            mounts,
            neighbour: None,
            devices,
            masked_paths: list(linux.map(|linux| linux.masked_paths())),
            readonly_paths: list(linux.map(|linux| linux.readonly_paths())),
            net_devices: attributes::net_devices(spec, &namespaces)?,
            connected: false,
            sysctls,
            process,
            init: false,
            hooks: hooks(spec, state)?,
            namespaces,
        },
        resources,
    })
}

/// Whether the machine's mounts go on coming in: unless something else is asked for, they do, as in runc.
fn slave(asked: Option<Propagation>) -> bool {
    asked.is_none_or(|propagation| propagation.kind == soute_sys::mount::SLAVE)
}

fn hooks(spec: &Spec, state: crate::hooks::HookState) -> Result<Hooks, SpecError> {
    let mut hooks = Hooks {
        state,
        ..Hooks::default()
    };
    if let Some(wanted) = spec.hooks() {
        #[allow(deprecated, reason = "deprecated in the specification, and in use")]
        let prestart = wanted.prestart();
        hooks.create_runtime = list_of_hooks("hooks.prestart", prestart)?;
        let more = list_of_hooks("hooks.createRuntime", wanted.create_runtime())?;
        hooks.create_runtime.extend(more);
        hooks.create_container = list_of_hooks("hooks.createContainer", wanted.create_container())?;
        hooks.start_container = list_of_hooks("hooks.startContainer", wanted.start_container())?;
    }
    Ok(hooks)
}

/// Hooks that run when the container has started, and when it has been deleted.
///
/// # Errors
/// One that cannot be run.
pub fn late_hooks(spec: &Spec) -> Result<(Vec<Hook>, Vec<Hook>), SpecError> {
    match spec.hooks() {
        Some(hooks) => Ok((
            list_of_hooks("hooks.poststart", hooks.poststart())?,
            list_of_hooks("hooks.poststop", hooks.poststop())?,
        )),
        None => Ok((Vec::new(), Vec::new())),
    }
}

fn list_of_hooks(
    at: &str,
    wanted: &Option<Vec<oci_spec::runtime::Hook>>,
) -> Result<Vec<Hook>, SpecError> {
    wanted
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, hook)| {
            let hook = Hook {
                path: hook.path().to_string_lossy().into_owned(),
                args: hook.args().clone().unwrap_or_default(),
                env: hook.env().clone().unwrap_or_default(),
                timeout: hook.timeout(),
            };
            hook.check()
                .map_err(|e| SpecError::new(format!("{at}[{index}]"), e))?;
            Ok(hook)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["1.0.0", "1.3.0", "1.0.2-dev", "1.0.0-rc5", "1.99.0+x"] {
            check_version(good).unwrap();
        }
        for bad in ["", "2.0.0", "0.9.0", "1", "1.x.0", "one"] {
            check_version(bad).unwrap_err();
        }
    }
}
