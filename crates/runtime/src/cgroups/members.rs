//! The processes of a cgroup: listing, freezing, killing; and its removal.
//!
//! All of it covers the whole subtree: a container may make cgroups below its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use soute_sys::CallError;

use super::cgroup::{Cgroup, Node};
use super::tree::{self, Deadline};
use super::{CgroupError, files};

/// For a freeze, a kill or a removal. A process can be in uninterruptible sleep for long (a dead NFS
/// server), and then neither dies nor freezes: better an error than a wait without end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// The processes (thread group leaders) in the cgroup and below it, in any hierarchy, in ascending
    /// order, as this process's PID namespace counts them.
    pub fn pids(&self) -> Result<Vec<Pid>, CgroupError> {
        let mut all = BTreeSet::new();
        for node in &self.nodes {
            collect(&node.dir, &mut all)?;
        }
        Ok(all.into_iter().filter_map(Pid::from_raw).collect())
    }

    /// How many processes the kernel has killed here for want of memory. None without a memory controller.
    ///
    /// v2 counts those of descendants too, also of removed ones; v1 counts each folder on
    /// its own, and those of removed descendants are gone (cgroup-v1/memory.rst).
    pub fn oom_kills(&self) -> Result<Option<u64>, CgroupError> {
        let Some(node) = self.carrier("memory") else {
            return Ok(None);
        };
        if node.hierarchy.v2 {
            let text = files::read_if_any(&node.file("memory.events"))?;
            // Mounted with memory_localevents, the first file counts the folder itself only.
            let local = files::read_if_any(&node.file("memory.events.local"))?;
            let count = |t: Option<String>| t.and_then(|t| files::keyed(&t, "oom_kill"));
            return Ok(count(text).max(count(local)));
        }
        let mut sum = None;
        tree::visit(&node.dir, Deadline::after(PATIENCE), |folder| {
            let text = files::read_at(folder, "memory.oom_control", &node.dir)?;
            if let Some(count) = text.and_then(|t| files::keyed(&t, "oom_kill")) {
                sum = Some(sum.unwrap_or(0) + count);
            }
            Ok(())
        })?;
        Ok(sum)
    }

    /// Stops all processes where they are, and returns when all have stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.freeze_within(PATIENCE)
    }

    fn freeze_within(&self, patience: Duration) -> Result<(), CgroupError> {
        let node = self.freezer()?;
        if node.hierarchy.v2 {
            files::write(&node.file("cgroup.freeze"), "1")?;
            let events = node.file("cgroup.events");
            let frozen = wait(&node.dir, patience, "it is not frozen", || {
                Ok(files::keyed(&files::read(&events)?, "frozen") == Some(1))
            });
            return frozen.map_err(|error| error.undone(self.thaw().err().into_iter().collect()));
        }
        let state = node.file("freezer.state");
        // A task that forks or is traced while the kernel goes through the list leaves it
        // FREEZING; each further write goes through the list again (cgroup-v1/freezer-subsystem.rst).
        let frozen = wait(&node.dir, patience, "it is not frozen", || {
            files::write(&state, "FROZEN")?;
            Ok(files::read(&state)?.trim() == "FROZEN")
        });
        // Half frozen is worse than running.
        frozen.map_err(|error| error.undone(self.thaw().err().into_iter().collect()))
    }

    /// Lets frozen processes go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let node = self.freezer()?;
        if node.hierarchy.v2 {
            return Ok(files::write(&node.file("cgroup.freeze"), "0")?);
        }
        Ok(files::write(&node.file("freezer.state"), "THAWED")?)
    }

    /// Whether it was asked to freeze; a cgroup above it that is frozen, with this one in it, does not count.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        frozen(self.freezer()?)
    }

    /// Refuses ([`CgroupError::Frozen`]) a cgroup in which whoever joins it would stop: it is frozen, or one above it.
    /// [`Cgroup::prepare_join`] must have been called.
    pub fn refuse_frozen(&self) -> Result<(), CgroupError> {
        for node in &self.nodes {
            if stops(node)? {
                let dir = node.dir.display().to_string();
                return Err(CgroupError::Frozen { dir });
            }
        }
        Ok(())
    }

    /// The folder by which all its processes are frozen.
    pub fn freezer_dir(&self) -> Result<&Path, CgroupError> {
        Ok(&self.freezer()?.dir)
    }

    /// v1's freezer, or the v2 folder (which needs no controller to freeze).
    fn freezer(&self) -> Result<&Node, CgroupError> {
        self.carrier("freezer")
            .or_else(|| self.nodes.iter().find(|n| n.hierarchy.v2))
            .ok_or_else(|| self.layout.missing("freeze", "freezer"))
    }

    /// Kills every process in the cgroup and below, and returns when none is left
    /// in it (zombies aside: those are their parents' to reap).
    pub fn kill(&self) -> Result<(), CgroupError> {
        if self.pids()?.is_empty() {
            return Ok(());
        }
        // One write, and no fork escapes it (Linux 5.14). On a hybrid layout too,
        // though a privileged process may have left that hierarchy: the loop sees.
        if let Some(node) = self.nodes.iter().find(|n| n.hierarchy.v2) {
            files::write_if_any(&node.file("cgroup.kill"), "1")?;
        }
        let dir = self
            .nodes
            .first()
            .map(|n| n.dir.clone())
            .unwrap_or_default();
        let mut first = true;
        wait(&dir, PATIENCE, "processes remain though killed", || {
            if self.pids()?.is_empty() {
                return Ok(true);
            }
            // cgroup.kill has been given a moment.
            if !std::mem::take(&mut first) {
                self.kill_once()?;
            }
            Ok(false)
        })
    }

    /// v1: a frozen process dies when it is thawed, and a container can freeze cgroups that it made below its own.
    fn thaw_all(&self) -> Result<(), CgroupError> {
        let Some(node) = self.carrier("freezer") else {
            return self.thaw();
        };
        tree::visit(&node.dir, Deadline::after(PATIENCE), |folder| {
            Ok(files::write_at(
                folder,
                "freezer.state",
                "THAWED",
                &node.dir,
            )?)
        })
    }

    /// SIGKILL to each process. Frozen, none of them can fork out of the list that was read.
    fn kill_once(&self) -> Result<(), CgroupError> {
        let v1_freezer = self.carrier("freezer").is_some();
        // A process that cannot be frozen can be killed nevertheless; the loop comes round again.
        let _frozen = v1_freezer && self.freeze_within(Duration::from_millis(50)).is_ok();
        let signalled = self.signal_all();
        // One that was paused by the user has to be thawed too, or it would outlive its SIGKILL.
        if v1_freezer || self.is_frozen().unwrap_or(false) {
            self.thaw_all()?;
        }
        signalled
    }

    fn signal_all(&self) -> Result<(), CgroupError> {
        let mut held: Vec<(Pid, OwnedFd)> = Vec::new();
        for pid in self.pids()? {
            match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                Ok(fd) => held.push((pid, fd)),
                Err(Errno::SRCH) => {}
                // Out of descriptors: these first, the others in the next round.
                Err(Errno::MFILE | Errno::NFILE) if !held.is_empty() => break,
                Err(errno) => {
                    return Err(CallError::new(
                        format!("pidfd_open({})", pid.as_raw_nonzero()),
                        errno,
                    )
                    .into());
                }
            }
        }
        // A number may have changed hands between the list and pidfd_open. What
        // is listed still is either the process that we hold, or we hold a dead one.
        let still = self.pids()?;
        for (pid, fd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
            match rustix::process::pidfd_send_signal(fd, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => {
                    let call = format!("pidfd_send_signal({}, SIGKILL)", pid.as_raw_nonzero());
                    return Err(CallError::new(call, errno).into());
                }
            }
        }
        Ok(())
    }

    /// Removes the cgroup from every hierarchy, with the cgroups that the container made below.
    /// Processes that are left in it are killed. What is gone already is no error;
    /// one hierarchy's failure does not keep the others.
    pub fn remove(self) -> Result<(), CgroupError> {
        let deadline = Deadline::after(PATIENCE);
        let mut failed: Vec<CgroupError> = Vec::new();
        for node in &self.nodes {
            // In the normal case this is all: one system call.
            match rustix::fs::rmdir(&node.dir) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::BUSY | Errno::NOTEMPTY) => {
                    failed.extend(self.remove_busy(node, deadline).err());
                }
                Err(errno) => failed.push(rmdir_failed(&node.dir, errno)),
            }
        }
        match failed.len() {
            0 => Ok(()),
            _ => Err(failed.remove(0).undone(failed)),
        }
    }

    fn remove_busy(&self, node: &Node, deadline: Deadline) -> Result<(), CgroupError> {
        let mut round = 0;
        wait_until(&node.dir, deadline, "it cannot be removed", || {
            round += 1;
            let gone = tree::remove(&node.dir, deadline)?;
            // The last process may be on its way out: EBUSY lasts some microseconds
            // after its death is known. From the third try on it is alive.
            if !gone && round > 2 {
                self.kill()?;
            }
            Ok(gone)
        })
    }
}

/// Of one hierarchy, which can freeze.
pub(super) fn frozen(node: &Node) -> Result<bool, CgroupError> {
    if node.hierarchy.v2 {
        return Ok(files::read(&node.file("cgroup.freeze"))?.trim() == "1");
    }
    Ok(files::read(&node.file("freezer.self_freezing"))?.trim() == "1")
}

/// Whether who joins is frozen there.
fn stops(node: &Node) -> Result<bool, CgroupError> {
    if !node.hierarchy.v2 {
        let state = files::read_if_any(&node.file("freezer.state"))?;
        return Ok(state.is_some_and(|state| state.trim() != "THAWED"));
    }
    let Some(folder) = &node.entry else {
        return Ok(false);
    };
    let read = |name| files::read_at(folder.as_fd(), name, &node.dir);
    // What it was asked, before the last of its processes has stopped; and what it is, by one above it.
    let asked = read("cgroup.freeze")?.is_some_and(|asked| asked.trim() == "1");
    let events = read("cgroup.events")?.unwrap_or_default();
    Ok(asked || files::keyed(&events, "frozen") == Some(1))
}

/// Removes the folder `path` (a `--cgroup-parent` that is no longer needed) from every hierarchy
/// where it holds neither processes nor cgroups.
pub fn remove_if_empty(layout: &super::Layout, path: &str) -> Result<(), CgroupError> {
    let path = super::CgroupPath::new(path)?;
    for hierarchy in layout.hierarchies() {
        let dir = hierarchy.dir(path.as_str());
        match rustix::fs::rmdir(&dir) {
            Ok(()) | Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(rmdir_failed(&dir, errno)),
        }
    }
    Ok(())
}

fn rmdir_failed(dir: &Path, errno: Errno) -> CgroupError {
    CallError::new(format!("rmdir(\"{}\")", dir.display()), errno).into()
}

/// Asks `done` again and again, at first after 50 µs, later each 10 ms.
fn wait(
    dir: &Path,
    patience: Duration,
    what: &str,
    done: impl FnMut() -> Result<bool, CgroupError>,
) -> Result<(), CgroupError> {
    wait_until(dir, Deadline::after(patience), what, done)
}

fn wait_until(
    dir: &Path,
    deadline: Deadline,
    what: &str,
    mut done: impl FnMut() -> Result<bool, CgroupError>,
) -> Result<(), CgroupError> {
    let mut pause = Duration::from_micros(50);
    while !done()? {
        if deadline.is_over() {
            return Err(deadline.error(dir, what));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(())
}

/// Adds the processes in `dir` and below it.
pub(super) fn collect(dir: &Path, pids: &mut BTreeSet<i32>) -> Result<(), CgroupError> {
    tree::visit(dir, Deadline::after(PATIENCE), |folder| {
        // EOPNOTSUPP: a threaded v2 cgroup; its processes are listed by the
        // domain above it, which is part of the same subtree.
        let Some(text) = files::read_at(folder, "cgroup.procs", dir)? else {
            return Ok(());
        };
        for line in text.lines() {
            match line.parse::<i32>() {
                Ok(pid) if pid > 0 => {
                    pids.insert(pid);
                }
                // 0: a process of a PID namespace that is not ours or below it.
                Ok(0) => {}
                _ => return Err(files::unexpected(&dir.join("cgroup.procs"), line)),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Hierarchy;
    use super::*;

    #[test]
    fn who_joins_stops_where_it_is_frozen() {
        let folder = tempfile::tempdir().unwrap();
        let node = |v2| Node {
            hierarchy: Hierarchy {
                v2,
                controllers: vec!["freezer".to_owned()],
                mount: folder.path().into(),
                root: "/".to_owned(),
                own: "/".to_owned(),
            },
            dir: "/elsewhere".into(),
            entry: v2.then(|| fs::File::open(folder.path()).unwrap().into()),
        };
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        // Version 2, as of the folder that is joined, which may be one below the cgroup.
        assert!(!stops(&node(true)).unwrap());
        for (asked, events, expected) in [
            ("0\n", "populated 1\nfrozen 0\n", false),
            ("1\n", "populated 1\nfrozen 0\n", true),
            ("0\n", "populated 1\nfrozen 1\n", true),
        ] {
            write("cgroup.freeze", asked);
            write("cgroup.events", events);
            assert_eq!(stops(&node(true)).unwrap(), expected, "{asked}{events}");
        }
        // Version 1, itself or by one above it.
        let v1 = || Node {
            dir: folder.path().into(),
            ..node(false)
        };
        assert!(!stops(&v1()).unwrap());
        for (state, expected) in [
            ("THAWED\n", false),
            ("FREEZING\n", true),
            ("FROZEN\n", true),
        ] {
            write("freezer.state", state);
            assert_eq!(stops(&v1()).unwrap(), expected, "{state}");
        }
    }
}
