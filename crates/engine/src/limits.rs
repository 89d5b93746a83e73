//! Limits of containers that are there already.

use soute_runtime::cgroups::{Cgroup, Resources};

use crate::error::Error;
use crate::{Engine, Record, Status};

impl Engine {
    /// Sets the limits that `change` names, at once if the container `name` runs, and for its further starts.
    ///
    /// # Errors
    /// The machine cannot give it, or the kernel refuses: then all is as it was.
    pub fn update_limits(&self, name: &str, change: &Resources) -> Result<(), Error> {
        let container = self.container(name)?;
        // Records of containers that run change under it, whatever of them it is that changes.
        let _lock = crate::networks::lock(&self.places)?;
        let Status::Running(_) = container.status else {
            return self.rewrite_stopped(&container, |record| self.change(record, change));
        };
        let mut record = self.find(&container.record.id)?;
        self.change(&mut record, change)?;
        // The default goes with the memory that it is of, where nobody has asked for another.
        let now = match change.memory.and(record.request.resources.memory_swap) {
            None => by_default(change),
            Some(_) => change.clone(),
        };
        let cgroup = Cgroup::open(&self.layout, &record.cgroup)?;
        cgroup.update(&now)?;
        record.write(&self.places)
    }

    fn change(&self, record: &mut Record, change: &Resources) -> Result<(), Error> {
        merge(&mut record.request.resources, change);
        Ok(record.request.resources.validate(&self.layout)?)
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
