//! Limits of containers that are there already, and what else `soute update` changes.

use soute_network::plan::ports::Wanted;
use soute_runtime::cgroups::{Cgroup, OldLimits, Resources};

use crate::error::Error;
use crate::{Engine, Record, Status};

/// What is to become of a container.
#[derive(Debug, Default)]
pub struct Update {
    /// Limits, those that are named.
    pub limits: Resources,
    /// Further ports that lead to it.
    pub publish: Vec<Wanted>,
    /// Ports that lead to it no more.
    pub unpublish: Vec<Wanted>,
}

/// What brings a container's limits back.
#[derive(Default)]
struct Limited {
    old: Resources,
    new: Resources,
    /// Of the cgroup, if the container runs.
    cgroup: OldLimits,
}

impl Update {
    fn has_ports(&self) -> bool {
        !self.publish.is_empty() || !self.unpublish.is_empty()
    }

    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        !self.has_ports() && self.limits == Resources::default()
    }
}

impl Engine {
    /// The container `name` becomes another: at once if it runs, and for its further starts. All of it, or nothing (but for
    /// whom the kernel killed at a lower limit on memory, before a port was refused). Gives what the user is to know.
    ///
    /// # Errors
    /// The machine cannot give a limit, or the kernel refuses it; a port that is to be taken back is not
    /// published, or one that is to be added is taken.
    pub fn update(&self, name: &str, update: &Update) -> Result<Vec<String>, Error> {
        let record = self.container(name)?.record;
        if update.has_ports() {
            // Before a limit that has processes killed: what is lost by it no undoing brings back.
            crate::networks::takes_ports(&record)?;
        }
        let id = record.id;
        let limited = match update.limits == Resources::default() {
            true => None,
            false => Some(self.limit(&id, &update.limits)?),
        };
        if !update.has_ports() {
            return Ok(Vec::new());
        }
        let published = self.update_ports(&id, &update.publish, &update.unpublish);
        published.map_err(|e| match limited {
            Some(limited) => e.undone(self.unlimit(&id, limited)),
            None => e,
        })
    }

    fn limit(&self, id: &str, change: &Resources) -> Result<Limited, Error> {
        let container = self.container(id)?;
        // Records of containers that run change under it, whatever of them it is that changes.
        let _lock = crate::networks::lock(&self.places)?;
        let mut limited = Limited::default();
        let mut merge = |record: &mut Record| {
            limited.old = record.request.resources.clone();
            merge(&mut record.request.resources, change);
            limited.new = record.request.resources.clone();
            Ok(limited.new.validate(&self.layout)?)
        };
        let Status::Running(_) = container.status else {
            self.rewrite_stopped(&container, merge)?;
            return Ok(limited);
        };
        let mut record = self.find(id)?;
        merge(&mut record)?;
        let mut now = change.clone();
        if change.memory.is_some() {
            // What was asked for of memory and swap together leaves another rest for swap alone.
            now.memory_swap = limited.new.memory_swap;
        }
        let cgroup = Cgroup::open(&self.layout, &record.cgroup)?;
        limited.cgroup = cgroup.update(&by_default(&now))?;
        match record.write(&self.places) {
            Ok(()) => Ok(limited),
            Err(e) => Err(e.undone(limited.cgroup.bring_back().map_err(Error::from))),
        }
    }

    /// The limits are again what they were; what others have changed meanwhile stays.
    fn unlimit(&self, id: &str, limited: Limited) -> Result<(), Error> {
        let _lock = crate::networks::lock(&self.places)?;
        let mut record = self.find(id)?;
        if record.request.resources == limited.new {
            record.request.resources = limited.old;
            record.write(&self.places)?;
            limited.cgroup.bring_back()?;
        }
        Ok(())
    }
}

/// As much swap as memory where `--memory` comes alone: Docker's default, and without it a limit on memory is none.
pub(crate) fn by_default(wanted: &Resources) -> Resources {
    let mut limits = wanted.clone();
    if let (None, Some(memory @ 1..)) = (limits.memory_swap, limits.memory) {
        limits.memory_swap = Some(memory.saturating_mul(2));
        limits.memory_swap_where_accounted = true;
    }
    limits
}

/// Those that `soute update` knows.
fn merge(limits: &mut Resources, change: &Resources) {
    fn set<T: Clone>(limit: &mut Option<T>, change: &Option<T>) {
        if change.is_some() {
            limit.clone_from(change);
        }
    }
    set(&mut limits.memory, &change.memory);
    set(&mut limits.memory_swap, &change.memory_swap);
    set(&mut limits.memory_reservation, &change.memory_reservation);
    set(&mut limits.cpu_shares, &change.cpu_shares);
    set(&mut limits.cpu_quota, &change.cpu_quota);
    set(&mut limits.cpu_period, &change.cpu_period);
    set(&mut limits.cpuset_cpus, &change.cpuset_cpus);
    set(&mut limits.cpuset_mems, &change.cpuset_mems);
    set(&mut limits.pids_limit, &change.pids_limit);
    set(&mut limits.blkio_weight, &change.blkio_weight);
}
