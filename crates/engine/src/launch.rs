//! Starting a container: everything is prepared, then the monitor is forked.

use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with, socketpair,
};
use soute_runtime::cgroups::Cgroup;
use soute_runtime::plan::Plan;
use soute_runtime::process::{FailureKind, shares_namespace};
use soute_runtime::socket::at_path;
use soute_sys::process::{Cloned, clone3};
use soute_sys::{CallError, Called};

use crate::create::Created;
use crate::error::{Error, io};
use crate::etc_files::MachineFiles;
use crate::frame::{Connection, Frame, Received};
use crate::lock::Lock;
use crate::monitor::{self, Home, Prepared};
use crate::networks::Wires;
use crate::places::{Places, remove_if_there};
use crate::plan::{Joined, Joins, Machine};
use crate::record::Record;
use crate::remove::Remains;
use crate::request::{MountKind, Network, Request, Share};
use crate::{Engine, limits, reconcile};

/// How the caller takes part in a start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Start {
    /// The output is wanted from the first byte on.
    pub attach: bool,
    /// Rows and columns of the caller's terminal; `None`: 24 by 80.
    pub terminal_size: Option<(u16, u16)>,
}

/// A container that runs, and the conversation with its monitor.
#[derive(Debug)]
pub struct Started {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its first process.
    pub pid: i32,
    /// Frames come and go here, if [`Start::attach`] was asked for.
    pub connection: Connection,
    /// What the start has changed on the machine, for its administrator to know.
    pub notices: Vec<String>,
}

/// All that a start is made of before there is a process.
struct Ready {
    plan: Plan,
    cgroup: Cgroup,
    home: Home,
    networks: Wires,
    notices: Vec<String>,
}

impl Engine {
    /// `soute create`: the container is made and not started.
    pub fn create(&self, request: Request) -> Result<Record, Error> {
        let Created { record, lock } = self.make(request, false)?;
        lock.remove_folder()?;
        Ok(record)
    }

    /// `soute run`: the container is made and started. `made` hears its id in between: if the start fails, there is
    /// a container all the same (unless it was to be removed).
    pub fn run(
        &self,
        request: Request,
        start: Start,
        made: impl FnOnce(&str) -> std::io::Result<()>,
    ) -> Result<Started, Error> {
        let ephemeral = request.remove;
        let Created { record, lock } = self.make(request, ephemeral)?;
        match made(&record.id) {
            Ok(()) => self.launch(record, lock, start),
            Err(e) => Err(self.undo(&record, lock, Error::Impossible(e.to_string()))),
        }
    }

    /// `soute start`: a container that was made, or has run, is started.
    pub fn start(&self, name: &str, start: Start) -> Result<Started, Error> {
        let record = self.find(name)?;
        let lock = match self.status(&record)? {
            crate::Status::Running(_) => None,
            _ => reconcile::take_over(&self.places, &self.layout, &record)?,
        }
        .ok_or_else(|| Error::Runs {
            name: record.name.clone(),
        })?;
        // Read anew: it may have been removed before the lock was ours, and must not come to life without a record.
        match Record::read(&self.places, &record.id) {
            Ok(record) => self.launch(record, lock, start),
            Err(e) => {
                reconcile::clean(&self.places, &self.layout, &record.id, lock)?;
                Err(e)
            }
        }
    }

    fn launch(&self, record: Record, lock: Lock, start: Start) -> Result<Started, Error> {
        let (id, name) = (record.id.clone(), record.name.clone());
        let (ours, theirs) = conversation()?;
        if start.attach {
            // Said before there is a monitor: it hears this before it reads a byte of output.
            ours.send(&Frame::Attach)?;
        }
        let ready = match self.prepare(&record, start) {
            Ok(ready) => ready,
            Err(e) => return Err(self.undo(&record, lock, e)),
        };
        let notices = ready.notices;
        let prepared = Prepared {
            places: self.places.clone(),
            log: self.settings.log.clone(),
            record,
            plan: ready.plan,
            cgroup: ready.cgroup,
            home: ready.home,
            networks: ready.networks,
            lock,
            connection: theirs,
        };
        let home = match &prepared.home {
            Home::Own(home) => home.v2_fd(),
            Home::Callers(_) => None,
        };
        match clone3(0, home)? {
            Cloned::Child => {
                drop(ours);
                monitor::run(prepared)
            }
            Cloned::Parent { .. } => {
                let Prepared {
                    connection,
                    lock,
                    cgroup,
                    home,
                    ..
                } = prepared;
                // What tells that the monitor lives is the monitor's alone. The rest waits until it has begun: a new
                // process is given this one's processor as soon as this one waits, often before it gets another.
                drop(connection);
                let answer = ours.receive();
                // The lock and the cgroup are the monitor's now.
                drop((lock, cgroup, home));
                match answer? {
                    Received::Frame(Frame::Started(pid)) => Ok(Started {
                        id,
                        name,
                        pid,
                        connection: ours,
                        notices,
                    }),
                    Received::Frame(Frame::Failed(failure)) => Err(Error::Start(failure)),
                    _ => Err(Error::MonitorLost),
                }
            }
        }
    }

    fn prepare(&self, record: &Record, start: Start) -> Result<Ready, Error> {
        crate::sealed::require(record.id_maps.as_ref())?;
        let mut machine = Machine {
            layout: self.layout.clone(),
            kernel: self.kernel,
            last_capability: self.last_capability,
            joins: self.joins(&record.request)?,
            files: MachineFiles::read(&record.request),
            networks: self.reserve(record)?,
        };
        if let Some((_, maps)) = &machine.joins.user
            && *maps != record.id_maps
        {
            return Err(Error::Impossible(
                "the container whose namespaces it shares was made anew since, with ids of its own: make this one \
                 anew, too"
                    .to_owned(),
            ));
        }
        let notices = self.open_ways(&machine.networks)?;
        let size = start.terminal_size.unwrap_or((24, 80));
        let (plan, rules) = crate::plan::plan(&self.places, record, &mut machine, size)?;
        for mount in &record.request.mounts {
            if let MountKind::Bind {
                path, propagation, ..
            } = &mount.source
            {
                io("the mount source", path, std::fs::metadata(path))?;
                crate::propagation::check(path, propagation.as_deref())?;
            }
        }
        // Detached, the monitor is to outlive its caller's session or unit.
        let home = match start.attach {
            true => Home::Callers(self.layout.clone()),
            false => Home::Own(crate::monitors::cgroup(&self.layout)?),
        };
        let cgroup = Cgroup::create(
            &self.layout,
            &record.cgroup,
            &limits::by_default(&record.request.resources),
            &rules,
        )?;
        Ok(Ready {
            plan,
            cgroup,
            home,
            networks: machine.networks,
            notices,
        })
    }

    /// Namespaces of another container, or of whoever, open.
    fn joins(&self, request: &Request) -> Result<Joins, Error> {
        let mut joins = Joins::default();
        let mut join = |name: &str, kind: &str, mounts: bool| -> Result<Joined, Error> {
            let container = self.container(name)?;
            let pidfd = self.first_process(&container)?;
            let crate::Status::Running(running) = &container.status else {
                return Err(Error::NoSuchContainer(name.to_owned()));
            };
            let open = |kind: &str| {
                let path = format!("/proc/{}/ns/{kind}", running.pid);
                io(
                    "opening the namespace",
                    path.as_ref(),
                    std::fs::File::open(&path),
                )
                .map(OwnedFd::from)
            };
            if joins.user.is_none() && container.record.id_maps.is_some() {
                joins.user = Some((open("user")?, container.record.id_maps.clone()));
            }
            if mounts && joins.mnt.is_none() {
                joins.mnt = Some(open("mnt")?);
            }
            let joined = match shares_namespace(running.pid, kind)? {
                true => Joined::Machines,
                false => Joined::Own(open(kind)?),
            };
            // Still alive after the open: what was opened is the container's.
            soute_sys::process::pidfd_send_signal(&pidfd, 0)?;
            Ok(joined)
        };
        let (mut pid, mut ipc, mut net) = (None, None, None);
        if let Share::Container(name) = &request.pid {
            pid = Some(join(name, "pid", false)?);
        }
        if let Share::Container(name) = &request.ipc {
            ipc = Some(join(name, "ipc", true)?);
        }
        if let Network::Container(name) = &request.network {
            net = Some(join(name, "net", true)?);
        }
        if let Network::Namespace(path) = &request.network {
            net = Some(crate::namespace_file::open_network(path)?);
        }
        (joins.pid, joins.ipc, joins.net) = (pid, ipc, net);
        Ok(joins)
    }

    /// A start that failed before there was a monitor.
    fn undo(&self, record: &Record, lock: Lock, error: Error) -> Error {
        let remains = Remains::of(record, true);
        let undone = if record.ephemeral {
            crate::remove::everything(&self.places, &remains, lock)
        } else {
            remains
                .leave_networks(&self.places)
                .and_then(|()| lock.remove_folder())
        };
        match undone {
            Ok(()) => error,
            Err(undoing) => {
                Error::Impossible(format!("{error} (and cleaning up failed: {undoing})"))
            }
        }
    }

    /// A conversation with the monitor of a container that runs.
    pub fn connect(&self, id: &str) -> Result<Connection, Error> {
        let socket = packets()?;
        let path = self.places.running(id).join("attach");
        at_path(&path, |address| {
            connect(&socket, address).called(|| format!("connect(\"{}\")", path.display()))
        })?;
        Ok(Connection::new(socket))
    }

    /// Has the monitor of a container that runs do something, and waits until it has. `false`: the container has ended.
    ///
    /// # Errors
    /// The monitor's; it knows of no such order.
    pub(crate) fn order(&self, id: &str, order: &Frame) -> Result<bool, Error> {
        let connection = self.connect(id)?;
        connection.send(order)?;
        match connection.receive()? {
            Received::Frame(Frame::Settled) => Ok(true),
            Received::Frame(Frame::Exited(_)) => Ok(false),
            Received::Frame(Frame::Failed(failure)) => Err(Error::Start(failure)),
            _ => Err(Error::Impossible(
                "the container's monitor is of a soute that cannot do that".to_owned(),
            )),
        }
    }
}

fn packets() -> Result<OwnedFd, CallError> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .called(|| "socket(AF_UNIX, SOCK_SEQPACKET)".to_owned())
}

fn conversation() -> Result<(Connection, Connection), CallError> {
    let (a, b) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .called(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)".to_owned())?;
    Ok((Connection::new(a), Connection::new(b)))
}

/// Where further clients of a container come in.
pub(crate) fn listen_in(places: &Places, record: &Record) -> Result<OwnedFd, Error> {
    let path = places.running(&record.id).join("attach");
    let socket = packets()?;
    // A file, not an abstract name: those are open to whoever shares the network namespace (CVE-2020-15257).
    // Its folder lets only root in; connecting needs the right to write.
    remove_if_there("removing the old socket", &path)?;
    at_path(&path, |address| {
        bind(&socket, address).called(|| format!("bind(\"{}\")", path.display()))
    })?;
    rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o600))
        .called(|| format!("chmod(\"{}\", 0600)", path.display()))?;
    listen(&socket, 16).called(|| "listen()".to_owned())?;
    Ok(socket)
}

/// Docker's exit status for a program that could not be started.
pub fn exit_code(kind: FailureKind) -> i32 {
    match kind {
        FailureKind::Setup => 125,
        FailureKind::NotExecutable => 126,
        FailureKind::NotFound => 127,
    }
}
