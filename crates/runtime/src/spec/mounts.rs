//! `mounts`

use std::path::Path;

use oci_spec::runtime as oci;
use soute_sys::mount::SLAVE;

use super::namespaces::ranges;
use super::options::Options;
use super::{Config, SpecError};
use crate::cgroups::{Layout, Place};
use crate::idmap::IdMaps;
use crate::mounts::cgroup::hierarchies;
use crate::plan::{Idmap, Mount, MountSource, Namespaces, Propagation};

/// The mounts, in the order of the document.
pub(super) fn mounts(
    config: &Config,
    namespaces: &Namespaces,
    cgroup: &Place,
    layout: &Layout,
    slave: bool,
) -> Result<Vec<Mount>, SpecError> {
    let wanted = config.spec.mounts().as_deref().unwrap_or_default();
    let mut mounts = Vec::with_capacity(wanted.len());
    for (index, wanted) in wanted.iter().enumerate() {
        let at = format!("mounts[{index}]");
        let options = Options::parse(wanted.options().as_deref().unwrap_or_default());
        let kind = wanted.typ().as_deref().unwrap_or_default();
        if matches!(kind, "cgroup" | "cgroup2") && options.bind.is_none() {
            cgroups(
                &at,
                wanted,
                &options,
                namespaces,
                cgroup,
                layout,
                &mut mounts,
            )?;
        } else {
            mounts.push(mount(&at, config, wanted, kind, options, slave)?);
        }
    }
    Ok(mounts)
}

fn mount(
    at: &str,
    config: &Config,
    wanted: &oci::Mount,
    kind: &str,
    options: Options,
    slave: bool,
) -> Result<Mount, SpecError> {
    let target = target(at, wanted.destination())?;
    let source = wanted.source().as_deref().unwrap_or(Path::new(""));
    let maps = IdMaps {
        uids: ranges(wanted.uid_mappings().as_deref().unwrap_or_default()),
        gids: ranges(wanted.gid_mappings().as_deref().unwrap_or_default()),
    };
    let mapped = !maps.uids.is_empty() || !maps.gids.is_empty();
    let is_bind = options.bind.is_some() || kind == "bind";
    if (mapped || options.idmap.is_some()) && !is_bind {
        return Err(SpecError::new(at, "ids are mapped for bind mounts alone"));
    }
    if options.copy_up && kind != "tmpfs" {
        let why = "\"tmpcopyup\" is for a tmpfs";
        return Err(SpecError::new(format!("{at}.options"), why));
    }
    let source = if is_bind {
        // mount(2) would take them, and do nothing of it.
        if let Some((word, _)) = options.data.first() {
            let why = format!("a bind mount knows no option {word:?}");
            return Err(SpecError::new(format!("{at}.options"), why));
        }
        if source.as_os_str().is_empty() {
            return Err(SpecError::new(format!("{at}.source"), "there is none"));
        }
        let idmap = match (mapped, options.idmap) {
            (true, recursive) => {
                maps.validate_of_mount()
                    .map_err(|e| SpecError::new(at, e))?;
                Idmap::Maps {
                    maps,
                    recursive: recursive.unwrap_or(false),
                }
            }
            (false, Some(recursive)) => Idmap::Container { recursive },
            (false, None) => Idmap::None,
        };
        MountSource::Bind {
            // Relative to the bundle, as config.md has it.
            path: config.bundle.join(source),
            recursive: options.bind.unwrap_or(false),
            idmap,
        }
    } else if kind == "tmpfs" && target == "/dev" {
        MountSource::Dev {
            options: options.data,
        }
    } else if kind.is_empty() {
        return Err(SpecError::new(
            format!("{at}.type"),
            "there is none, and it is no bind",
        ));
    } else {
        let mut data = options.data;
        if !source.as_os_str().is_empty() {
            let source = source
                .to_str()
                .ok_or_else(|| SpecError::new(format!("{at}.source"), "it is not UTF-8"))?;
            data.push(("source".to_owned(), source.to_owned()));
        }
        MountSource::Filesystem {
            kind: kind.to_owned(),
            options: data,
            copy_up: options.copy_up,
        }
    };
    let default = match source {
        // As the root.
        MountSource::Bind { .. } if slave => Propagation {
            kind: SLAVE,
            recursive: true,
        },
        _ => Propagation::default(),
    };
    Ok(Mount {
        target,
        source,
        attributes: options.attributes,
        all: options.all,
        propagation: options.propagation.unwrap_or(default),
    })
}

fn target(at: &str, destination: &Path) -> Result<String, SpecError> {
    let at = format!("{at}.destination");
    let text = destination
        .to_str()
        .ok_or_else(|| SpecError::new(&at, "it is not UTF-8"))?;
    match text {
        "" => Err(SpecError::new(at, "it is empty")),
        text if text.contains('\0') => Err(SpecError::new(at, "it contains a NUL")),
        // Old documents have relative ones; they are meant from the root on.
        text => Ok(format!(
            "/{}",
            text.trim_start_matches('/').trim_end_matches('/')
        )),
    }
}

/// The cgroup hierarchies of this machine, whichever of both types the document names. In a cgroup namespace of its own
/// the container sees its part of them; without, its part is bound there.
fn cgroups(
    at: &str,
    wanted: &oci::Mount,
    options: &Options,
    namespaces: &Namespaces,
    cgroup: &Place,
    layout: &Layout,
    mounts: &mut Vec<Mount>,
) -> Result<(), SpecError> {
    let target = target(at, wanted.destination())?;
    let hierarchies = hierarchies(layout);
    let mut mount = |target: String, source| {
        mounts.push(Mount {
            target,
            source,
            attributes: options.attributes,
            all: options.all,
            propagation: options.propagation.unwrap_or_default(),
        });
    };
    if hierarchies.is_empty() {
        return Err(SpecError::new(at, "this machine has no cgroups mounted"));
    }
    if !namespaces.cgroup.is_host() {
        mount(target, MountSource::Cgroup { hierarchies });
        return Ok(());
    }
    let bind = |path| MountSource::Bind {
        path,
        recursive: false,
        idmap: Idmap::None,
    };
    let based = cgroup.layout(layout);
    let folders = based.hierarchies().iter().map(|h| h.dir(cgroup.path()));
    if let [only] = hierarchies.as_slice()
        && only.folder.is_empty()
    {
        for folder in folders {
            mount(target.clone(), bind(folder));
        }
        return Ok(());
    }
    mounts.push(Mount {
        target: target.clone(),
        source: MountSource::Filesystem {
            kind: "tmpfs".to_owned(),
            options: vec![
                ("mode".to_owned(), "0755".to_owned()),
                ("size".to_owned(), "64k".to_owned()),
            ],
            copy_up: false,
        },
        attributes: crate::plan::Attributes::set(
            options.attributes.set & !soute_sys::mount::RDONLY,
        ),
        all: crate::plan::Attributes::default(),
        propagation: Propagation::default(),
    });
    for (hierarchy, folder) in hierarchies.iter().zip(folders) {
        mounts.push(Mount {
            target: format!("{target}/{}", hierarchy.folder),
            source: bind(folder),
            attributes: options.attributes,
            all: options.all,
            propagation: Propagation::default(),
        });
    }
    Ok(())
}
