//! What can be done to a container that is there: signal, stop, wait, remove, read its log.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use soute_runtime::mounts::overlay;

use crate::container::{Container, Status};
use crate::error::{Error, io};
use crate::frame::{Connection, Frame, Received};
use crate::lock::Lock;
use crate::log::{self, Filter, Line};
use crate::record::Record;
use crate::remove::Remains;
use crate::{Engine, Start, reconcile, remove};

/// `--stop-timeout` where neither container nor command names one, as Docker's.
const STOP_TIMEOUT: i64 = 10;

impl Engine {
    /// Sends a signal to the container's first process.
    pub fn kill(&self, name: &str, signal: i32) -> Result<(), Error> {
        let container = self.container(name)?;
        let pidfd = self.running_process(&container, "kill")?;
        Ok(soute_sys::process::pidfd_send_signal(&pidfd, signal)?)
    }

    /// Asks the container to end (its stop signal), and kills it after `timeout` seconds (-1: never). One that does not
    /// run is left alone. Returns its exit status.
    pub fn stop(&self, name: &str, signal: Option<i32>, timeout: Option<i64>) -> Result<(), Error> {
        let container = self.container(name)?;
        if !matches!(container.status, Status::Running(_)) {
            return Ok(());
        }
        let record = &container.record;
        let reached = self
            .running_process(&container, "stop")
            .and_then(|pidfd| Ok((pidfd, self.connect(&record.id)?)));
        let (pidfd, connection) = match reached {
            Ok(both) => both,
            // It may have ended between the two looks: then that is done.
            Err(_) if self.ends(record)? => return Ok(()),
            Err(e) => return Err(e),
        };
        let signal = signal.unwrap_or(record.stop_signal);
        send_unless_gone(&pidfd, signal)?;
        let timeout = timeout
            .or(record.request.stop_timeout)
            .unwrap_or(STOP_TIMEOUT);
        if timeout >= 0 {
            let patience = Duration::from_secs(timeout.unsigned_abs());
            if wait_for_exit(&connection, Some(patience))?.is_some() {
                return Ok(());
            }
            send_unless_gone(&pidfd, Signal::KILL.as_raw())?;
        }
        wait_for_exit(&connection, None).map(drop)
    }

    /// Stops the container, if it runs, and starts it. One that was to be removed at its end (`--rm`) outlives this end
    /// and is removed at its next.
    pub fn restart(
        &self,
        name: &str,
        signal: Option<i32>,
        timeout: Option<i64>,
    ) -> Result<(), Error> {
        let container = self.container(name)?;
        let id = container.record.id.clone();
        let ephemeral = container.record.ephemeral;
        if container.record.request.remove && matches!(container.status, Status::Running(_)) {
            self.keep(container.record)?;
        }
        self.stop(&id, signal, timeout)?;
        if ephemeral {
            overlay::end_volatile(&self.places.container(&id))?;
        }
        self.start(&id, Start::default()).map(drop)
    }

    /// Makes a container that goes with its program one that stays: its record moves to the disk.
    fn keep(&self, mut record: Record) -> Result<(), Error> {
        let note = self.places.kept(&record.id);
        io("writing", &note, std::fs::write(&note, ""))?;
        if record.ephemeral {
            record.ephemeral = false;
            record.write(&self.places)?;
        }
        Ok(())
    }

    /// Waits until the container does not run; returns its exit status.
    pub fn wait(&self, name: &str) -> Result<i32, Error> {
        let container = self.container(name)?;
        match &container.status {
            Status::Exited(last) => Ok(last.exit_code),
            Status::Created | Status::Dead => Ok(0),
            Status::Running(_) => match self.connect(&container.record.id) {
                Ok(connection) => Ok(wait_for_exit(&connection, None)?.unwrap_or(137)),
                // It ended between the two looks.
                Err(_) if !self.ends(&container.record)? => Err(Error::MonitorLost),
                Err(_) => match self.status(&container.record)? {
                    Status::Exited(last) => Ok(last.exit_code),
                    _ => Err(Error::MonitorLost),
                },
            },
        }
    }

    /// Removes the container; `force`: also one that runs. `volumes`: its anonymous volumes, too.
    pub fn remove(&self, name: &str, force: bool, volumes: bool) -> Result<(), Error> {
        let found = self.container(name);
        let Container { record, status } = &match found {
            Err(Error::Corrupt { .. }) if force => {
                return self.remove_wreck(name, &self.id_of(name)?, volumes);
            }
            // Its record is gone, and something that could not be removed has stayed.
            Err(Error::NoSuchContainer(_)) => match self.id_of(name) {
                Ok(id) if self.is_in_trouble(&id) => return self.remove_wreck(name, &id, true),
                _ => found?,
            },
            other => other?,
        };
        if matches!(status, Status::Running(_)) {
            if !force {
                return Err(Error::WrongState {
                    name: record.name.clone(),
                    is: "running".to_owned(),
                    operation: "rm",
                    needs: "a stopped one, or --force",
                });
            }
            let removes_itself = record.request.remove;
            self.stop(name, Some(Signal::KILL.as_raw()), None)?;
            if removes_itself && !self.is_recorded(record)? {
                return Ok(());
            }
        }
        let lock = reconcile::take_over(&self.places, &self.layout, record)?
            .ok_or_else(|| in_use(&record.name))?;
        // It may have been removed before the lock was ours, if perhaps not to the end.
        if !self.is_recorded(record)? {
            return remove::leftovers(&self.places, &record.id, lock);
        }
        remove::everything(&self.places, &Remains::of(record, volumes), lock)
    }

    fn remove_wreck(&self, name: &str, id: &str, volumes: bool) -> Result<(), Error> {
        match remove::wreck(&self.places, &self.layout, id, volumes)? {
            true => Ok(()),
            false => Err(in_use(name)),
        }
    }

    /// Gives each line of the container's log to `each` until it says `false`; `follow`: until the container ends.
    pub fn logs(
        &self,
        name: &str,
        filter: &Filter,
        follow: bool,
        each: &mut dyn FnMut(Line) -> bool,
    ) -> Result<(), Error> {
        let record = self.find(name)?;
        let folder = self.places.container(&record.id);
        let mut runs = || matches!(self.status(&record), Ok(Status::Running(_)));
        let follow: log::Follow<'_> = if follow { Some(&mut runs) } else { None };
        log::read(&folder, filter, follow, each)
    }

    /// Whether a container whose monitor does not answer has ended, or does as soon as the monitor is gone.
    fn ends(&self, record: &Record) -> Result<bool, Error> {
        match Lock::take_soon(&self.places.running(&record.id))? {
            Some(lock) => {
                reconcile::clean(&self.places, &self.layout, &record.id, lock).map(|()| true)
            }
            None => Ok(false),
        }
    }

    fn is_recorded(&self, record: &Record) -> Result<bool, Error> {
        match Record::read(&self.places, &record.id) {
            Err(Error::NoSuchContainer(_)) => Ok(false),
            other => other.map(|_| true),
        }
    }

    fn running_process(
        &self,
        container: &Container,
        operation: &'static str,
    ) -> Result<std::os::fd::OwnedFd, Error> {
        self.first_process(container).map_err(|e| match e {
            Error::WrongState { name, is, .. } => Error::WrongState {
                name,
                is,
                operation,
                needs: "a running one",
            },
            other => other,
        })
    }
}

fn in_use(name: &str) -> Error {
    Error::WrongState {
        name: name.to_owned(),
        is: "being started or removed".to_owned(),
        operation: "rm",
        needs: "a stopped one",
    }
}

fn send_unless_gone(pidfd: &std::os::fd::OwnedFd, signal: i32) -> Result<(), Error> {
    match soute_sys::process::pidfd_send_signal(pidfd, signal) {
        Err(e) if e.errno() != rustix::io::Errno::SRCH => Err(e.into()),
        _ => Ok(()),
    }
}

/// The exit status; `None` when `patience` ends first. A monitor that dies took the container with it: 137.
fn wait_for_exit(
    connection: &Connection,
    patience: Option<Duration>,
) -> Result<Option<i32>, Error> {
    // One beyond the end of time is none.
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    loop {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let mut fds = [PollFd::new(connection, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                _ => {}
            }
        }
        match connection.receive()? {
            Received::Frame(Frame::Exited(code)) => return Ok(Some(code)),
            Received::End => return Ok(Some(137)),
            _ => {}
        }
    }
}
