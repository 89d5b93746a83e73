//! `linux.namespaces` and the id mappings.

use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Type, Spec};
use rustix::fs::{CWD, Mode, OFlags};

use super::SpecError;
use super::attributes::{offsets, time};
use crate::idmap::{IdMaps, IdRange};
use crate::plan::{Namespace, Namespaces, UserNamespace};
use crate::process::is_own_namespace;
use soute_sys::{CallError, Called as _};

/// The namespaces: one that is not listed is the caller's, one with a path is joined.
pub(super) fn namespaces(spec: &Spec) -> Result<Namespaces, SpecError> {
    let linux = spec.linux().as_ref();
    let listed = linux
        .and_then(|linux| linux.namespaces().as_deref())
        .unwrap_or_default();
    let mut seen = Vec::with_capacity(listed.len());
    let mut namespaces = Namespaces {
        user: UserNamespace::Host,
        pid: Namespace::Host,
        net: Namespace::Host,
        ipc: Namespace::Host,
        uts: Namespace::Host,
        cgroup: Namespace::Host,
        time: None,
    };
    let mut mount = false;
    let maps = maps(spec)?;
    for (index, listed) in listed.iter().enumerate() {
        let at = format!("linux.namespaces[{index}]");
        if seen.contains(&listed.typ()) {
            return Err(SpecError::new(
                at,
                format!("a second one of type {}", listed.typ()),
            ));
        }
        seen.push(listed.typ());
        let path = listed
            .path()
            .as_deref()
            .filter(|path| !path.as_os_str().is_empty());
        let joined = path.map(|path| open(&at, path, listed.typ())).transpose()?;
        if let Some(fd) = &joined
            && is_the_callers(fd, listed.typ()).map_err(|e| SpecError::new(at.clone(), e))?
        {
            // As if it were not listed: what the container may set in a namespace of its own, it may not in this one.
            continue;
        }
        let slot = match listed.typ() {
            Type::Pid => &mut namespaces.pid,
            Type::Network => &mut namespaces.net,
            Type::Ipc => &mut namespaces.ipc,
            Type::Uts => &mut namespaces.uts,
            Type::Cgroup => &mut namespaces.cgroup,
            Type::Mount => {
                if joined.is_some() {
                    let why = "a container gets a mount namespace of its own, which no other process has changed";
                    return Err(SpecError::new(at + ".path", why));
                }
                mount = true;
                continue;
            }
            Type::User => {
                namespaces.user = match joined {
                    Some(fd) => {
                        let maps = match maps.uids.is_empty() && maps.gids.is_empty() {
                            true => crate::idmap::maps_of(&fd)
                                .map_err(|e| SpecError::new(at.clone() + ".path", e))?,
                            false => maps.clone(),
                        };
                        UserNamespace::Join(fd, maps)
                    }
                    None => {
                        maps.validate().map_err(|e| {
                            SpecError::new("linux.uidMappings, linux.gidMappings", e)
                        })?;
                        UserNamespace::New(maps.clone())
                    }
                };
                continue;
            }
            Type::Time => {
                namespaces.time = Some(time(spec, joined)?);
                continue;
            }
        };
        *slot = match joined {
            Some(fd) => Namespace::Join(fd),
            None => Namespace::New,
        };
    }
    if !mount {
        return Err(SpecError::new(
            "linux.namespaces",
            "none of type mount: a root file system of its own takes one",
        ));
    }
    if namespaces.time.is_none() && !offsets(spec)?.is_empty() {
        return Err(SpecError::new(
            "linux.timeOffsets",
            "there is no namespace of type time that they could be of",
        ));
    }
    let has_maps = !maps.uids.is_empty() || !maps.gids.is_empty();
    if has_maps && matches!(namespaces.user, UserNamespace::Host) {
        return Err(SpecError::new(
            "linux.uidMappings, linux.gidMappings",
            "there is no namespace of type user that they could be of",
        ));
    }
    Ok(namespaces)
}

fn maps(spec: &Spec) -> Result<IdMaps, SpecError> {
    let Some(linux) = spec.linux() else {
        return Ok(IdMaps::default());
    };
    Ok(IdMaps {
        uids: ranges(linux.uid_mappings().as_deref().unwrap_or_default()),
        gids: ranges(linux.gid_mappings().as_deref().unwrap_or_default()),
    })
}

/// Mappings as this house writes them.
pub(super) fn ranges(mappings: &[LinuxIdMapping]) -> Vec<IdRange> {
    mappings
        .iter()
        .map(|m| IdRange {
            container: m.container_id(),
            host: m.host_id(),
            size: m.size(),
        })
        .collect()
}

/// Whether a namespace is the one that this process is in.
fn is_the_callers(namespace: &OwnedFd, kind: Type) -> Result<bool, CallError> {
    let name = match kind {
        Type::Mount => "mnt",
        Type::Cgroup => "cgroup",
        Type::Uts => "uts",
        Type::Ipc => "ipc",
        Type::User => "user",
        Type::Pid => "pid",
        Type::Network => "net",
        Type::Time => "time",
    };
    let stat = rustix::fs::fstat(namespace).called(|| "fstat(namespace)".to_owned())?;
    is_own_namespace(&stat, name)
}

fn open(at: &str, path: &Path, kind: Type) -> Result<OwnedFd, SpecError> {
    let at = format!("{at}.path");
    if !path.is_absolute() {
        return Err(SpecError::new(
            at,
            format!("{} is not absolute", path.display()),
        ));
    }
    let fd = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| SpecError::new(at.clone(), format!("open({:?}): {e}", path.display())))?;
    // NS_GET_NSTYPE: what is there is a namespace, and one of this type.
    let flag = soute_sys::nsfs::clone_flag(&fd).map_err(|e| {
        SpecError::new(
            at.clone(),
            format!("{} is no namespace: {e}", path.display()),
        )
    })?;
    match flag == kind as u64 {
        true => Ok(fd),
        false => Err(SpecError::new(
            at,
            format!(
                "{} is a namespace of another type than {kind}",
                path.display()
            ),
        )),
    }
}
