//! The monitor: one small process per running container.
//!
//! It makes the container's first process and alone can wait for it; it owns
//! the program's standard files, log and exit status, so that `soute run` may
//! detach or die. If it is killed, the container is killed with it.
//!
//! ```text
//! soute run ──fork──▶ monitor ──clone3──▶ PID 1 of the container
//!      └───── frames over a socket ──┘
//! ```

mod carried;
mod clients;
mod name_server;
mod ports;
mod streams;
mod upkeep;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use soute_runtime::cgroups::{Cgroup, Layout};
use soute_runtime::plan::Plan;
use soute_runtime::process::{Birth, Caller, Failure, Started, exit_code, spawn};
use soute_sys::netlink::Socket;
use soute_sys::process::exit_now;

use crate::error::Error;
use crate::frame::{Connection, Frame};
use crate::lock::Lock;
use crate::networks::Wires;
use crate::networks::names::Names;
use crate::places::{Places, make_folder};
use crate::record::{LastRun, Record, Running};
use crate::remove::Remains;
use crate::settings::LogSettings;
use carried::Luggage;
use clients::Clients;
use name_server::NameServer;
use ports::Ports;
use soute_network::dns;
use soute_runtime::proc_stat;
use streams::Streams;
use upkeep::Upkeep;

/// A container that ends sooner does not wait while its monitor gives back what it holds: all of it goes with the
/// monitor's end.
const SHORT_LIFE: Duration = Duration::from_millis(200);

/// All that a monitor needs, prepared by the command that starts the container.
pub(crate) struct Prepared {
    pub(crate) places: Places,
    pub(crate) log: LogSettings,
    pub(crate) record: Record,
    pub(crate) plan: Plan,
    pub(crate) cgroup: Cgroup,
    pub(crate) home: Home,
    pub(crate) networks: Wires,
    pub(crate) lock: Lock,
    /// The monitor's end of the conversation with that command.
    pub(crate) connection: Connection,
}

/// The cgroup that the monitor is in.
pub(crate) enum Home {
    /// Its own, open.
    Own(Cgroup),
    /// Its caller's, for as long as a short container lasts: to move takes longer than all the rest.
    Callers(Layout),
}

/// What the monitor does while the container sets itself up.
struct Beside<'a> {
    places: &'a Places,
    record: &'a Record,
    networks: &'a Wires,
    begun: Timestamp,
    /// The socket where clients come in, and the signals that the monitor heeds.
    own: Option<(OwnedFd, OwnedFd)>,
    /// Where the container's name server is asked.
    names: Option<dns::Sockets>,
    upkeep: Upkeep,
}

impl Caller for Beside<'_> {
    fn made(&mut self, first: Pid) -> Result<(), Failure> {
        let own = write_state(self.places, self.record, first, self.begun)
            .and_then(|own| {
                crate::networks::note(self.places, &self.record.id, self.networks)?;
                Ok(own)
            })
            .map_err(|e| Failure::setup("keeping the container's state", e))?;
        self.own = Some(own);
        Ok(())
    }

    fn connect(&mut self, network: BorrowedFd<'_>, inside: Socket) -> Result<(), Failure> {
        self.upkeep = Upkeep::new(true, self.networks.noted().heeds_firewall());
        self.names = crate::networks::connect(self.places, self.networks, network, inside)
            .map_err(|e| Failure::setup("the container's networks", e))?;
        Ok(())
    }
}

/// What stays of it while the container runs.
struct Monitor {
    places: Places,
    remove: bool,
    own_pids: bool,
    stop_signal: i32,
    started: Timestamp,
    cgroup: Cgroup,
    in_callers_cgroup: Option<Layout>,
    pidfd: OwnedFd,
    signals: OwnedFd,
    clients: Clients,
    streams: Streams,
    names: NameServer,
    upkeep: Upkeep,
    luggage: Luggage,
    pid: i32,
    id: String,
    ports: Ports,
}

/// Runs in the forked process and never returns.
pub(crate) fn run(prepared: Prepared) -> ! {
    let (mut monitor, lock, remains) = start(prepared);
    monitor.watch(&lock);
    monitor.finish(lock, &remains)
}

/// The container runs when this returns. Apart from [`run`]: what it has on the stack, tens of KiB, is no more when the
/// monitor gives back what it does not need ([`Monitor::settle`]).
#[inline(never)]
fn start(prepared: Prepared) -> (Monitor, Lock, Remains) {
    // Its caller's terminal, pipes and folder are not the monitor's to hold.
    let detached = soute_sys::process::detach();
    let Prepared {
        places,
        log,
        record,
        plan,
        cgroup,
        home,
        networks,
        lock,
        connection,
    } = prepared;
    let (moved, in_callers_cgroup) = match home {
        // On v2 it was born there.
        Home::Own(home) => (home.join_self_v1().map_err(Error::from), None),
        Home::Callers(layout) => (Ok(()), Some(layout)),
    };
    let pipes = moved
        .and(detached.map_err(Error::from))
        .and_then(|()| Ok(Streams::prepare(&plan, record.request.interactive)?))
        .map_err(|e| Failure::setup("preparing the monitor", e));
    let (pipes, stdio) = match pipes {
        Ok(both) => both,
        Err(failure) => give_up(&places, &record, cgroup, lock, &connection, failure),
    };
    let own_pids = plan.namespaces.pid.is_new();
    let begun = Timestamp::now();
    // All that the container and its monitor need on disk is made while the child sets itself up.
    let birth = Birth {
        cgroup: &cgroup,
        stdio,
        lock: lock.as_fd(),
        tied: true,
        keep_keyring: false,
        gate: None,
    };
    let mut beside = Beside {
        places: &places,
        record: &record,
        networks: &networks,
        begun,
        own: None,
        names: None,
        upkeep: Upkeep::new(false, false),
    };
    let spawned = spawn(&plan, birth, &mut beside);
    let Beside {
        own, names, upkeep, ..
    } = beside;
    let (started, (listener, signals)) = match (spawned, own) {
        (Ok(started), Some(own)) => (started, own),
        (Ok(_), None) => unreachable!("a spawn that succeeds has told of the first process"),
        (Err(failure), _) => give_up(&places, &record, cgroup, lock, &connection, failure),
    };
    if let Err(e) = announce(&places, &record, begun) {
        let failure = Failure::setup("keeping the container's state", e);
        give_up(&places, &record, cgroup, lock, &connection, failure)
    }
    drop(plan);
    let Started {
        pid,
        pidfd,
        terminal,
        layers,
    } = started;
    // Closed with all else when it settles, or ends: now the start would wait for it.
    std::mem::forget(layers);
    let pid = pid.as_raw_nonzero().get();
    let ports = match Ports::new(networks.into_ports()) {
        Ok(ports) => ports,
        Err(e) => {
            let failure = Failure::setup("the container's ports", e);
            give_up(&places, &record, cgroup, lock, &connection, failure)
        }
    };
    let log = crate::log::Writer::new(&places.container(&record.id), log);
    let mut monitor = Monitor {
        remove: record.request.remove,
        own_pids,
        stop_signal: record.stop_signal,
        started: begun,
        cgroup,
        in_callers_cgroup,
        pidfd,
        signals,
        clients: Clients::new(listener, connection),
        streams: Streams::new(pipes, terminal, log),
        names: NameServer::new(names, Names::new(&places, &record.id, &record.request.dns)),
        upkeep,
        luggage: Luggage::default(),
        pid,
        id: record.id.clone(),
        ports,
        places,
    };
    monitor.clients.greet(&Frame::Started(pid));
    // What was needed to start is not needed to watch.
    let remains = Remains::of(&record, true);
    (monitor, lock, remains)
}

impl Monitor {
    /// For a long life: what the start has left behind is given back, and many can talk to the container at once.
    fn settle(&mut self, lock: &Lock) {
        self.cgroup.finish_joins();
        // Nobody may be there to be told; then it ends with its caller's session, as it would have.
        if let Some(layout) = self.in_callers_cgroup.take() {
            let _ = crate::monitors::cgroup(&layout)
                .and_then(|home| Ok(home.join(rustix::process::getpid())?));
        }
        // Descriptors that the caller had open (its shell's pipes, the image store) are nothing to hold for months.
        let mut keep: Vec<RawFd> = [
            self.pidfd.as_raw_fd(),
            self.signals.as_raw_fd(),
            lock.as_fd().as_raw_fd(),
        ]
        .into_iter()
        .chain(self.clients.descriptors())
        .chain(self.streams.descriptors())
        .chain(self.names.descriptors())
        .chain(self.upkeep.descriptors())
        .chain(self.luggage.descriptors())
        .chain(self.ports.descriptors())
        .collect();
        let _ = soute_sys::process::close_all_but(&mut keep);
        soute_sys::memory::trim();
        // Now, and not before the clone: the program starts with the limits that it was given, or its caller's.
        let now = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: now.maximum,
            ..now
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }

    /// Until the first process ends.
    fn watch(&mut self, lock: &Lock) {
        let mut settling = Some(Instant::now() + SHORT_LIFE);
        loop {
            let now = Instant::now();
            if settling.is_some_and(|at| at <= now) {
                self.settle(lock);
                settling = None;
            }
            if self.streams.accepts_input() {
                self.clients.ask_for_input();
            }
            let wake = [
                settling,
                self.clients.deaf_until(now),
                self.names.due(),
                self.upkeep.due(),
                self.ports.due(),
            ];
            let timeout = wake.into_iter().flatten().min().map(|at| at - now);
            let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
            let mut wanted: Vec<(Source, PollFd<'_>)> = vec![
                (Source::Program, PollFd::new(&self.pidfd, PollFlags::IN)),
                (Source::Signals, PollFd::new(&self.signals, PollFlags::IN)),
            ];
            // A client that does not keep up holds the container's output back, as a full pipe would.
            self.streams.poll(&mut wanted, !self.clients.congested());
            self.clients.poll(&mut wanted);
            self.names.poll(&mut wanted);
            self.upkeep.poll(&mut wanted);
            self.ports.poll(&mut wanted);
            let mut fds: Vec<PollFd<'_>> = wanted.iter().map(|(_, p)| p.clone()).collect();
            if poll(&mut fds, timeout.as_ref()).is_err() {
                continue;
            }
            let ready: Vec<(Source, PollFlags)> = wanted
                .iter()
                .zip(&fds)
                .map(|((source, _), fd)| (*source, fd.revents()))
                .filter(|(_, events)| !events.is_empty())
                .collect();
            drop(fds);
            drop(wanted);
            let mut ended = false;
            for (source, _) in ready {
                match source {
                    Source::Program => ended = true,
                    Source::Signals => self.signalled(),
                    Source::Output(stream) => self.streams.forward(stream, &mut self.clients),
                    Source::Input => self.streams.flush_input(),
                    Source::Listener => self.clients.accept(),
                    Source::Client(number) => self.converse(number),
                    Source::Names(token) => self.names.ready(token),
                    Source::Rules => self.upkeep.ready(),
                    Source::Keeper => self.upkeep.kept(),
                    Source::Port(token) => self.ports.ready(token),
                }
            }
            self.clients.sweep();
            self.names.sweep();
            self.upkeep.act(&self.places);
            self.ports.sweep();
            if ended {
                return;
            }
        }
    }

    fn converse(&mut self, number: usize) {
        for frame in self.clients.receive(number) {
            match frame {
                Frame::Input(bytes) => {
                    self.streams.input(&bytes);
                    self.clients.owe(number);
                }
                Frame::InputEnd => self.streams.end_input(),
                Frame::Resize(rows, columns) => self.streams.resize(rows, columns),
                Frame::Signal(signal) => self.send(signal),
                Frame::Carry(order) => {
                    let carried = self.luggage.carry(&order, &self.places, &self.id, self.pid);
                    self.answer(number, carried);
                }
                Frame::Networks => {
                    let followed = self.follow_networks();
                    self.answer(number, followed);
                }
                // Anything else is not a client's to say.
                _ => {}
            }
        }
    }

    fn answer(&mut self, number: usize, done: Result<(), Error>) {
        let answer = match done {
            Ok(()) => Frame::Settled,
            Err(e) => Frame::Failed(Failure::setup("the container's networks", e)),
        };
        self.clients.tell(number, &answer);
    }

    /// The container is in other networks, or has other ports, than before.
    fn follow_networks(&mut self) -> Result<(), Error> {
        if self.upkeep.is_idle() {
            self.upkeep = Upkeep::new(true, false);
        }
        let noted = crate::networks::noted(&self.places, &self.id)?;
        self.upkeep.heed_firewall(noted.heeds_firewall());
        self.ports.follow(&noted.published)?;
        self.names.follow_networks(self.pid)
    }

    /// The machine shuts down, or somebody means the container: its program shall end in its own way.
    fn signalled(&mut self) {
        while let Ok(Some(number)) = soute_sys::signals::read_signal(&self.signals) {
            if number == Signal::TERM.as_raw() {
                self.send(self.stop_signal);
            }
        }
    }

    fn send(&self, signal: i32) {
        // It may just have ended: then the next round sees that.
        let _ = soute_sys::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// The program has ended: what it wrote is passed on, what it was made of is removed, its end is told. Apart from
    /// [`run`], on whose stack it would be all the time.
    #[inline(never)]
    fn finish(mut self, lock: Lock, remains: &Remains) -> ! {
        let exit_code = exit_code(&self.pidfd).unwrap_or(255);
        // With a PID namespace of its own the kernel has killed all the rest by now.
        if !self.own_pids {
            let _ = self.cgroup.kill();
        }
        self.streams.drain(&mut self.clients);
        let oom_killed = matches!(self.cgroup.oom_kills(), Ok(Some(n)) if n > 0);
        let mut error = self.cgroup.remove().err().map(|e| e.to_string());
        let cgroup_remains = error.is_some();
        if let Some(lost) = self.luggage.back() {
            error.get_or_insert(lost);
        }
        if let Err(e) = self.streams.finish_log() {
            error.get_or_insert_with(|| format!("writing the log: {e}"));
        }
        let last = LastRun {
            started: self.started,
            finished: Some(Timestamp::now()),
            exit_code,
            oom_killed,
            error,
        };
        // Nobody is left to tell what fails here; what could not be removed is tried again by the next command.
        if cgroup_remains {
            // Only the record tells where it is.
            let _ = last.leave(&self.places, &remains.id);
            self.clients.farewell(&Frame::Exited(exit_code));
        } else if self.remove && !self.places.kept(&remains.id).exists() {
            let _ = crate::remove::forget(&self.places, remains);
            // Whoever is told of the end may want its ports.
            self.ports.clear();
            self.clients.farewell(&Frame::Exited(exit_code));
            // Who was told waits for this processor: a message's receiver is woken where its sender runs.
            rustix::thread::sched_yield();
            // Nobody need wait for files that no name leads to any more.
            let _ = crate::remove::files(&self.places, remains, lock);
        } else {
            let _ = remains.leave_networks(&self.places);
            self.ports.clear();
            let _ = last.settle(&self.places, &remains.id, lock);
            self.clients.farewell(&Frame::Exited(exit_code));
        }
        exit_now(0)
    }
}

/// What a poll watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Program,
    Signals,
    Output(crate::log::Stream),
    Input,
    Listener,
    Client(usize),
    Names(dns::Token),
    Rules,
    Keeper,
    Port(soute_network::proxy::Token),
}

/// What other commands read of a container that runs; gives the socket where they come in, and
/// the signals that the monitor heeds.
fn write_state(
    places: &Places,
    record: &Record,
    pid: rustix::process::Pid,
    started: Timestamp,
) -> Result<(OwnedFd, OwnedFd), Error> {
    make_folder(&places.container(&record.id), 0o700)?;
    let listener = crate::launch::listen_in(places, record)?;
    let signals =
        soute_sys::signals::signalfd([Signal::TERM, Signal::INT, Signal::HUP].map(Signal::as_raw))?;
    let pid = pid.as_raw_nonzero().get();
    Running {
        pid,
        start_time: proc_stat::start_time(pid).unwrap_or(0),
        monitor: rustix::process::getpid().as_raw_nonzero().get(),
        started,
    }
    .write_at_start(places, &record.id)?;
    Ok((listener, signals))
}

/// The program runs: others may know.
fn announce(places: &Places, record: &Record, started: Timestamp) -> Result<(), Error> {
    if !record.ephemeral {
        // Should the machine die, this tells that the container ran.
        LastRun {
            started,
            finished: None,
            exit_code: 137,
            oom_killed: false,
            error: None,
        }
        .write(places, &record.id)?;
    }
    Running::has_started(places, &record.id)
}

/// Nothing runs: what was made goes, and the command is told why.
fn give_up(
    places: &Places,
    record: &Record,
    cgroup: Cgroup,
    lock: Lock,
    connection: &Connection,
    mut failure: Failure,
) -> ! {
    // A first process may be there already (dying with us); its cgroup must be empty to be removed.
    let mut undone: Result<(), Error> = cgroup
        .kill()
        .and_then(|()| cgroup.remove())
        .map_err(Error::from);
    let rest = if record.ephemeral {
        crate::remove::everything(places, &Remains::of(record, true), lock)
    } else {
        undone = undone.and(Remains::of(record, true).leave_networks(places));
        let last = LastRun {
            started: record.created,
            finished: Some(Timestamp::now()),
            exit_code: crate::exit_code(failure.kind),
            oom_killed: false,
            error: Some(failure.message.clone()),
        };
        last.settle(places, &record.id, lock)
    };
    undone = undone.and(rest);
    if let Err(e) = undone {
        failure.message = format!("{} (and cleaning up failed: {e})", failure.message);
    }
    let _ = connection.send(&Frame::Failed(failure));
    exit_now(1)
}
