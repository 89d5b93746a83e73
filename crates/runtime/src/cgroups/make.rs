//! The folders of a cgroup: made, with what a process needs before it can be in them, and unmade.

use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use soute_sys::CallError;

use super::layout::WANTED_V2;
use super::settings::Setting;
use super::{CgroupError, CgroupPath, Hierarchy, files};

/// How often a parent may vanish (its last child's remover may take it along) before we give up.
const MAKE_TRIES: u32 = 16;

fn mkdir(dir: &Path) -> Result<(), Errno> {
    rustix::fs::mkdir(dir, Mode::from_raw_mode(0o755))
}

/// Makes the folder and, if they are missing, its parents. Every folder that
/// was made here goes on the list, parents first. False: it is there already.
pub(super) fn make(
    hierarchy: &Hierarchy,
    path: &CgroupPath,
    dir: &Path,
    made: &mut Vec<PathBuf>,
) -> Result<bool, CgroupError> {
    let failed =
        |dir: &Path, errno| CallError::new(format!("mkdir(\"{}\", 0755)", dir.display()), errno);
    let mut tries = 0;
    loop {
        match mkdir(dir) {
            Ok(()) => {
                made.push(dir.to_owned());
                return Ok(true);
            }
            Err(Errno::EXIST) => return Ok(false),
            Err(Errno::NOENT) if tries < MAKE_TRIES => tries += 1,
            Err(errno) => return Err(failed(dir, errno).into()),
        }
        for parent in path.ancestors() {
            let parent_dir = hierarchy.dir(parent);
            match mkdir(&parent_dir) {
                Ok(()) => made.push(parent_dir),
                // Another creator was first, or it was there all along.
                Err(Errno::EXIST) => {}
                // Another remover took its parent meanwhile: begin again.
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(failed(&parent_dir, errno).into()),
            }
            if !hierarchy.v2 && hierarchy.has("cpuset") {
                match fill_cpuset(hierarchy, parent) {
                    // Removed again meanwhile; ENODEV if that was between open and read.
                    Err(CgroupError::Call(e))
                        if matches!(e.errno(), Errno::NOENT | Errno::NODEV) =>
                    {
                        break;
                    }
                    done => done?,
                }
            }
        }
    }
}

/// Removes what [`make`] made, children first. A parent that another container
/// lives in by now stays, as does one that somebody else has removed already.
pub(super) fn unmake(made: &[PathBuf]) -> Vec<CgroupError> {
    made.iter()
        .rev()
        .filter_map(|dir| match rustix::fs::rmdir(dir) {
            Ok(()) | Err(Errno::NOENT | Errno::BUSY) => None,
            Err(errno) => {
                Some(CallError::new(format!("rmdir(\"{}\")", dir.display()), errno).into())
            }
        })
        .collect()
}

/// Gives a v1 cpuset the CPUs and memory nodes of its parent: it is made empty, and
/// then no process may join it (ENOSPC). Parents that are empty themselves are filled first.
///
/// Sets `cgroup.clone_children`, so that the kernel does this for cgroups made
/// below: one read then says that all is well. It is set last, so that a
/// creator at work at the same time never sees it before the lists are there.
pub(super) fn fill_cpuset(hierarchy: &Hierarchy, path: &str) -> Result<(), CgroupError> {
    let dir = hierarchy.dir(path);
    if !files::read(&dir.join("cpuset.mems"))?.trim().is_empty()
        && !files::read(&dir.join("cpuset.cpus"))?.trim().is_empty()
    {
        return Ok(());
    }
    let parent = match path.rfind('/') {
        Some(0) | None => hierarchy.dir(""),
        Some(at) => {
            fill_cpuset(hierarchy, &path[..at])?;
            hierarchy.dir(&path[..at])
        }
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let list = files::read(&parent.join(file))?;
        files::write(&dir.join(file), list.trim())?;
    }
    files::write(&dir.join("cgroup.clone_children"), "1")?;
    Ok(())
}

/// Makes the v2 controllers available in `path`: each ancestor must hand them on.
///
/// Those that a limit asks for must be there; the others only serve
/// statistics, and where they cannot be had the statistics lack them.
pub(super) fn enable_controllers(
    hierarchy: &Hierarchy,
    path: &CgroupPath,
    dir: &Path,
    settings: &[Setting<'_>],
) -> Result<(), CgroupError> {
    let asked = |controller: &str| {
        settings
            .iter()
            .find(|s| s.hierarchy.v2 && s.controller == controller)
    };
    let mut wanted: Vec<&str> = WANTED_V2.into_iter().filter(|c| hierarchy.has(c)).collect();
    for setting in settings.iter().filter(|s| s.hierarchy.v2) {
        if !setting.controller.is_empty() && !wanted.contains(&setting.controller) {
            wanted.push(setting.controller);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let has_all = |file: &Path| -> Result<Vec<&str>, CgroupError> {
        let there = files::read(file)?;
        Ok(wanted
            .iter()
            .copied()
            .filter(|w| !there.split_whitespace().any(|c| c == *w))
            .collect())
    };
    // The usual case: the first container of this parent has enabled them all.
    let own = dir.join("cgroup.controllers");
    if has_all(&own)?.is_empty() {
        return Ok(());
    }
    let mut failed: Vec<(&str, CallError)> = Vec::new();
    for ancestor in std::iter::once("").chain(path.ancestors()) {
        let ancestor = hierarchy.dir(ancestor);
        let file = ancestor.join("cgroup.subtree_control");
        let missing = has_all(&file)?;
        if missing.is_empty() {
            continue;
        }
        let inhabited = is_inhabited(&ancestor)?;
        for controller in missing {
            let text = format!("+{controller}");
            let result = if inhabited {
                Err(CallError::new(
                    format!("write(\"{}\", \"{text}\")", file.display()),
                    Errno::BUSY,
                ))
            } else {
                // One by one: the kernel takes all of a write or nothing of it.
                files::write(&file, &text)
            };
            if let Err(error) = result
                && !failed.iter().any(|(known, _)| *known == controller)
            {
                failed.push((controller, error));
            }
        }
    }
    for controller in has_all(&own)? {
        if let Some(setting) = asked(controller) {
            let source = failed
                .into_iter()
                .find(|(known, _)| *known == controller)
                .map(|(_, error)| error)
                .unwrap_or_else(|| {
                    CallError::new(
                        format!("{controller} in \"{}\"", own.display()),
                        Errno::NOENT,
                    )
                });
            return Err(CgroupError::Enable {
                limit: setting.limit,
                controller: controller.to_owned(),
                source,
            });
        }
    }
    Ok(())
}

/// Whether processes are in a v2 folder where they keep controllers from being
/// handed down: anywhere but in the root of the whole hierarchy, which has no `cgroup.type`.
///
/// Asked beforehand, as the kernel refuses only some controllers then. By others
/// (`cpu`, `cpuset`, `pids`) it makes the folder the root of a threaded subtree, and
/// what is below it becomes a "domain invalid", which no process can join.
fn is_inhabited(dir: &Path) -> Result<bool, CgroupError> {
    Ok(files::read_if_any(&dir.join("cgroup.type"))?.is_some()
        && files::read_if_any(&dir.join("cgroup.procs"))?.is_none_or(|procs| !procs.is_empty()))
}

/// Writes one limit to the cgroup's folder in its hierarchy.
pub(super) fn apply(setting: &Setting<'_>, dir: &Path) -> Result<(), CgroupError> {
    for (file, text) in &setting.writes {
        match files::write(&dir.join(file.as_ref()), text) {
            Ok(()) => return Ok(()),
            Err(e) if e.errno() == Errno::NOENT => {}
            Err(source) => {
                return Err(CgroupError::Limit {
                    limit: setting.limit,
                    source,
                });
            }
        }
    }
    if setting.moot_if_absent {
        return Ok(());
    }
    let names: Vec<&str> = setting
        .writes
        .iter()
        .map(|(file, _)| file.as_ref())
        .collect();
    Err(CgroupError::MissingFile {
        limit: setting.limit,
        files: names.join(" or "),
        dir: dir.display().to_string(),
        why: setting.why_absent,
    })
}
