//! Removing containers, whole or half-made.

use soute_runtime::cgroups::{Cgroup, Layout, default_parent};
use soute_runtime::idmap::IdMaps;

use crate::error::{Error, io};
use crate::lock::Lock;
use crate::places::Places;
use crate::record::{Record, Running};
use crate::request::Network;
use crate::{ids, reconcile, subids, tree};

/// What must be known of a container to remove it: little, since its monitor keeps it in memory.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) id: String,
    name: String,
    ephemeral: bool,
    on_networks: bool,
    id_maps: Option<IdMaps>,
    anonymous_volumes: Vec<String>,
    /// It has such volumes, and they are to stay.
    keeps_volumes: bool,
}

impl Remains {
    /// `volumes`: the anonymous ones go, too.
    pub(crate) fn of(record: &Record, volumes: bool) -> Self {
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            ephemeral: record.ephemeral,
            on_networks: matches!(record.request.network, Network::Networks(_)),
            keeps_volumes: !volumes && !record.anonymous_volumes.is_empty(),
            id_maps: record.id_maps.clone(),
            anonymous_volumes: if volumes {
                record.anonymous_volumes.clone()
            } else {
                Vec::new()
            },
        }
    }
}

impl Remains {
    /// It does not run any more: its addresses are free.
    pub(crate) fn leave_networks(&self, places: &Places) -> Result<(), Error> {
        // One that was made with none may have been joined to some since.
        match self.on_networks || crate::networks::is_noted(places, &self.id) {
            true => crate::networks::release(places, &self.id),
            false => Ok(()),
        }
    }
}

/// Everything of a container that does not run.
pub(crate) fn everything(places: &Places, remains: &Remains, lock: Lock) -> Result<(), Error> {
    forget(places, remains)?;
    files(places, remains, lock)
}

/// The container is no more: record, name and ids are free. The record goes first: what is left if this is
/// interrupted is a container without one, which the next command finishes off.
pub(crate) fn forget(places: &Places, remains: &Remains) -> Result<(), Error> {
    let Remains { id, name, .. } = remains;
    if remains.keeps_volumes {
        crate::volumes::keep(places, id)?;
    }
    Record::remove(places, id, remains.ephemeral)?;
    remains.leave_networks(places)?;
    ids::free_name(places, name, id)?;
    // Before the folder, in which they are noted.
    for volume in &remains.anonymous_volumes {
        crate::volumes::remove(places, volume)?;
    }
    // Freed with files of its ids still there: they are the engine's alone to reach, and about to go.
    if let Some(maps) = &remains.id_maps {
        subids::free_range(places, id, maps)?;
    }
    Ok(())
}

/// What a forgotten container has left on disk.
pub(crate) fn files(places: &Places, remains: &Remains, lock: Lock) -> Result<(), Error> {
    tree::remove(&places.container(&remains.id))?;
    // The lock's folder is what leads to all the rest: last.
    lock.remove_folder()
}

/// A container that was never finished, or never finished being removed: names and ranges are found by search.
pub(crate) fn leftovers(places: &Places, id: &str, lock: Lock) -> Result<(), Error> {
    crate::volumes::remove_unrecorded(places, id)?;
    tree::remove(&places.container(id))?;
    for name in ids::links_to(&places.names(), id)? {
        io("removing", &name, std::fs::remove_file(&name))?;
    }
    subids::free_ranges(places, id)?;
    crate::networks::release(places, id)?;
    lock.remove_folder()
}

/// A container of which nothing can be read: what its id leads to. `false`: somebody is at work on it, for longer than
/// anybody should. `volumes`: its anonymous volumes go, too.
pub(crate) fn wreck(
    places: &Places,
    layout: &Layout,
    id: &str,
    volumes: bool,
) -> Result<bool, Error> {
    // If it runs, its monitor ends with it.
    if let Ok(Some(running)) = Running::read_at_any_time(places, id) {
        reconcile::kill(&running);
    }
    let Some(lock) = Lock::take_soon(&places.running(id))? else {
        return Ok(false);
    };
    if let Ok(cgroup) = Cgroup::open(layout, &format!("{}/{id}", default_parent(layout))) {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    if !volumes {
        crate::volumes::keep(places, id)?;
    }
    leftovers(places, id, lock).map(|()| true)
}
