//! The state on disk and the kernel's, made one before a command answers.

use soute_runtime::cgroups::{Cgroup, Layout};

use crate::error::{Error, io};
use crate::lock::{Attempt, Lock};
use crate::places::Places;
use crate::record::{LastRun, Record, Running, read_json};
use crate::remove::Remains;
use soute_runtime::proc_stat;

use crate::{ids, remove, subids};

/// Containers, by their ids, that could not be cleaned up or read: each is its own affair.
pub(crate) type Troubles = Vec<(String, Error)>;

/// Finishes what killed processes left half-done: monitors, creations and removals.
///
/// Only folders in /run are looked at, one for each container that runs or is being worked on; those that nobody
/// holds the lock of are left-overs.
pub(crate) fn reconcile(places: &Places, layout: &Layout) -> Result<Troubles, Error> {
    let mut troubles = index_after_boot(places)?;
    let folder = places.run.join("containers");
    for entry in io("reading the folder", &folder, std::fs::read_dir(&folder))? {
        let entry = io("reading the folder", &folder, entry)?;
        let Some(id) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let cleaned = match Lock::try_existing(&entry.path()) {
            Ok(Attempt::Taken(lock)) => clean(places, layout, &id, lock),
            other => other.map(drop),
        };
        troubles.extend(cleaned.err().map(|why| (id, why)));
    }
    Ok(troubles)
}

/// The lock on a container that is about to be started or removed, as soon as it is free; `None`: it runs. Its last
/// holder may have been killed since the command looked: what that one left is cleaned up first, and the container's
/// record, too, if it was to remove itself.
pub(crate) fn take_over(
    places: &Places,
    layout: &Layout,
    record: &Record,
) -> Result<Option<Lock>, Error> {
    let folder = places.running(&record.id);
    match Lock::take_soon(&folder)? {
        Some(lock) if has_left(places, layout, record)? => {
            clean(places, layout, &record.id, lock)?;
            Lock::take_soon(&folder)
        }
        other => Ok(other),
    }
}

/// Whether there is something of a run of the container.
fn has_left(places: &Places, layout: &Layout, record: &Record) -> Result<bool, Error> {
    Ok(Running::read_at_any_time(places, &record.id)?.is_some()
        || Cgroup::open(layout, &record.cgroup).is_ok())
}

/// Cleans up after whoever held the lock on container `id` last.
pub(crate) fn clean(places: &Places, layout: &Layout, id: &str, lock: Lock) -> Result<(), Error> {
    let record = match Record::read(places, id) {
        Ok(record) => record,
        Err(Error::NoSuchContainer(_)) => return remove::leftovers(places, id, lock),
        Err(e) => return Err(e),
    };
    // A monitor that was killed took PID 1 with it, unless that had changed its user (prctl(2), PR_SET_PDEATHSIG).
    let running = Running::read_at_any_time(places, id)?;
    if let Some(running) = &running {
        kill(running);
    }
    if let Ok(cgroup) = Cgroup::open(layout, &record.cgroup) {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    let remains = Remains::of(&record, true);
    if record.ephemeral || (record.request.remove && running.is_some()) {
        return remove::everything(places, &remains, lock);
    }
    remains.leave_networks(places)?;
    let last = match (LastRun::read_unsettled(places, id)?, running) {
        (Some(last), _) => last,
        (None, Some(running)) => LastRun {
            started: running.started,
            finished: Some(jiff::Timestamp::now()),
            exit_code: 137,
            oom_killed: false,
            error: Some(format!(
                "its monitor was killed, and it with it{}",
                lost(places, id)
            )),
        },
        (None, None) => return lock.remove_folder(),
    };
    last.settle(places, id, lock)
}

/// What the kernel has destroyed with the container's network, or given to the machine if it is of hardware: nobody was left
/// to carry it back.
fn lost(places: &Places, id: &str) -> String {
    let carried = read_json::<Vec<(String, String)>>(&places.carried(id));
    let carried = carried.ok().flatten().unwrap_or_default();
    let told = carried
        .iter()
        .map(|(interface, from)| format!("; the interface {interface} of {from} is lost with it"));
    told.collect()
}

pub(crate) fn kill(running: &Running) {
    if let Some(pidfd) = proc_stat::hold(running.pid, running.start_time) {
        let _ =
            soute_sys::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL.as_raw());
    }
}

/// The first command after a boot finds /run empty: names and id ranges are put back from the records.
fn index_after_boot(places: &Places) -> Result<Troubles, Error> {
    let mut troubles = Troubles::new();
    let marker = places.indexed();
    if marker.exists() {
        return Ok(troubles);
    }
    let _lock = wait_for(&places.run)?;
    if marker.exists() {
        return Ok(troubles);
    }
    for id in ids::all(places)? {
        match Record::read(places, &id) {
            Ok(record) => {
                match ids::take_name(places, &record.name, &id) {
                    Ok(()) | Err(Error::NameTaken { .. }) => {}
                    Err(e) => return Err(e),
                }
                if let Some(maps) = &record.id_maps {
                    subids::keep_range(places, &id, maps)?;
                }
            }
            // Without a record: it was --rm, or half-made, when the machine went down.
            Err(Error::NoSuchContainer(_)) => {
                if let Some(lock) = Lock::take(&places.running(&id))?
                    && let Err(why) = remove::leftovers(places, &id, lock)
                {
                    troubles.push((id, why));
                }
            }
            Err(why) => troubles.push((id, why)),
        }
    }
    io("writing", &marker, std::fs::write(&marker, ""))?;
    Ok(troubles)
}

/// The lock on the whole of /run/soute, as soon as it is free.
fn wait_for(folder: &std::path::Path) -> Result<std::fs::File, Error> {
    let file = io("opening", folder, std::fs::File::open(folder))?;
    io("locking", folder, file.lock())?;
    Ok(file)
}
