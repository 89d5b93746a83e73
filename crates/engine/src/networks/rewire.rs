//! A container is joined to a network, or taken out of one, while it runs or not.
//!
//! What is about to change is marked first, until all of it has changed and the container's monitor knows. A mark that nobody
//! is at work on is what a killed command left: the next one takes the container out of that network, whether it was on its
//! way in or out, or gives it the ports that it was to have, and tells the monitor.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use soute_network::plan::ports::Wanted;
use soute_network::route::{Place, Rtnetlink};
use soute_network::ruleset::Published;

use super::inside::network_of;
use super::mark::{Mark, Step};
use super::record::NetworkRecord;
use super::{Noted, Wire, connect, firewall, leases, names, noted, parent, upkeep, wires_path};
use crate::error::Error;
use crate::etc_files::MachineFiles;
use crate::frame::Frame;
use crate::lock::Lock;
use crate::record::{Record, write_json};
use crate::request::{Endpoint, Network};
use crate::{Container, Engine, Status};

impl Engine {
    /// Joins a container to a further network, now if it runs, and whenever it is started. Says what that changed on the
    /// machine, and what of it did not succeed.
    ///
    /// # Errors
    /// It is in the network already, or in no networks of its own; those of a start in that network.
    pub fn connect_network(
        &self,
        endpoint: Endpoint,
        container: &str,
    ) -> Result<Vec<String>, Error> {
        let container = self.container(container)?;
        let known = self.network(&endpoint.network)?;
        let Some(running) = self.running(&container)? else {
            let lock = super::lock(&self.places)?;
            self.rewrite_stopped(&container, |record| {
                self.add_endpoint(record, &known, &endpoint)
            })?;
            drop(lock);
            return Ok(Vec::new());
        };
        let lock = super::lock(&self.places)?;
        let network = NetworkRecord::read(&self.places, &known.name)?;
        let network = network.ok_or_else(|| Error::NoSuchNetwork(known.name.clone()))?;
        let mut record = self.find(&container.record.id)?;
        self.add_endpoint(&mut record, &network, &endpoint)?;
        let step = Step::Unplug(network.name.clone());
        let mut mark = Mark::make(&self.places, &record.id, step)?;
        let plugged = self
            .plug(&record, &endpoint, &network, &running)
            .and_then(|notices| {
                record.write(&self.places)?;
                // Still alive after all: else its monitor may have given back what it had before this was there.
                running.check(&container)?;
                Ok(notices)
            });
        let mut notices = match plugged {
            Ok(notices) => notices,
            Err(e) => {
                let undone = self.unplug(&record.id, &network.name);
                return Err(e.undone(undone.and_then(|()| mark.remove())));
            }
        };
        mark.leave_telling()?;
        // A monitor that ends waits for this lock, and is not to be waited for under it.
        drop(lock);
        notices.extend(self.tell_of_networks(&record, &running));
        mark.remove()?;
        Ok(notices)
    }

    /// Takes a container out of a network, now if it runs, and for when it is started again. Says what did not succeed.
    ///
    /// # Errors
    /// It is not in the network.
    pub fn disconnect_network(&self, network: &str, container: &str) -> Result<Vec<String>, Error> {
        let network = self.network(network)?;
        let container = self.container(container)?;
        let Some(running) = self.running(&container)? else {
            let _lock = super::lock(&self.places)?;
            self.rewrite_stopped(&container, |record| {
                self.drop_endpoint(record, &network.name)
            })?;
            return Ok(Vec::new());
        };
        let lock = super::lock(&self.places)?;
        let mut record = self.find(&container.record.id)?;
        self.drop_endpoint(&mut record, &network.name)?;
        let before = noted(&self.places, &record.id)?.published.len();
        let step = Step::Unplug(network.name.clone());
        let mut mark = Mark::make(&self.places, &record.id, step)?;
        self.unplug(&record.id, &network.name)?;
        mark.leave_telling()?;
        let after = noted(&self.places, &record.id)?.published.len();
        drop(lock);
        let mut notices = self.tell_of_networks(&record, &running);
        mark.remove()?;
        if after < before {
            notices.push(format!(
                "{} of its published ports lead nowhere until it is started in a network again",
                before - after
            ));
        }
        Ok(notices)
    }

    /// Finishes what killed commands were about to change.
    pub(super) fn finish_rewiring(&self) -> Result<(), Error> {
        if Mark::all(&self.places)?.is_empty() {
            return Ok(());
        }
        // Whoever was at work has finished when the lock is ours.
        let lock = super::lock(&self.places)?;
        upkeep::suspend(&self.places)?;
        let mut marks = Mark::all(&self.places)?;
        for mark in &mut marks {
            match &mark.step {
                Step::Unplug(network) => self.unplug(&mark.id, network)?,
                Step::Publish {
                    wanted,
                    published,
                    gone,
                } => {
                    self.note_ports(&mark.id, wanted, published)?;
                    firewall::unpublish(&self.places, gone)?;
                }
                Step::Settle(gone) => {
                    firewall::unpublish(&self.places, gone)?;
                    continue;
                }
            }
            mark.leave_telling()?;
        }
        drop(lock);
        let mut notices = Vec::new();
        for mark in marks {
            // One that has ended reads what is written when it is started again.
            let container = self.container(&mark.id);
            if let Ok(container) = container
                && let Ok(Some(running)) = self.running(&container)
            {
                notices.extend(self.tell_of_networks(&container.record, &running));
            }
            mark.remove()?;
        }
        match notices.is_empty() {
            true => Ok(()),
            false => Err(Error::Impossible(notices.join("; "))),
        }
    }

    /// The ports that a container has are these, as they were asked for and as they are.
    pub(super) fn note_ports(
        &self,
        id: &str,
        wanted: &[Wanted],
        published: &[Published],
    ) -> Result<(), Error> {
        if super::is_noted(&self.places, id) {
            let mut noted = noted(&self.places, id)?;
            noted.published = published.to_vec();
            write_json(&wires_path(&self.places, id), &noted, false)?;
        }
        match Record::read(&self.places, id) {
            Ok(mut record) => {
                record.request.published = wanted.to_vec();
                record.write(&self.places)
            }
            Err(Error::NoSuchContainer(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// The container's network, if it runs.
    fn running(&self, container: &Container) -> Result<Option<Alive>, Error> {
        let Status::Running(running) = &container.status else {
            return Ok(None);
        };
        let process = self.first_process(container)?;
        let alive = Alive {
            pid: running.pid,
            process,
            network: network_of(running.pid)?,
        };
        // What was opened is the container's.
        alive.check(container)?;
        Ok(Some(alive))
    }

    /// Changes what is kept of a container that does not run.
    pub(crate) fn rewrite_stopped(
        &self,
        container: &Container,
        change: impl FnOnce(&mut Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let id = &container.record.id;
        let lock = Lock::take_soon(&self.places.running(id))?;
        let lock = lock.ok_or_else(|| Error::Runs {
            name: container.record.name.clone(),
        })?;
        let changed = Record::read(&self.places, id).and_then(|mut record| {
            change(&mut record)?;
            record.write(&self.places)
        });
        changed.and(lock.remove_folder())
    }

    fn add_endpoint(
        &self,
        record: &mut Record,
        network: &NetworkRecord,
        endpoint: &Endpoint,
    ) -> Result<(), Error> {
        if self.place_of(record, &network.name).is_some() {
            return Err(Error::Impossible(format!(
                "container {} is in network {} already",
                record.name, network.name
            )));
        }
        // Refused now, not when it is started.
        super::known_by(record, endpoint, network)?;
        match &mut record.request.network {
            Network::Networks(all) => all.push(endpoint.clone()),
            none @ Network::None => *none = Network::Networks(vec![endpoint.clone()]),
            other => {
                return Err(Error::Impossible(format!(
                    "container {} has no network of its own that could be joined to {}: it was made with --network {other}",
                    record.name, network.name
                )));
            }
        }
        Ok(())
    }

    fn drop_endpoint(&self, record: &mut Record, network: &str) -> Result<(), Error> {
        let place = self.place_of(record, network);
        match (&mut record.request.network, place) {
            (Network::Networks(all), Some(place)) => {
                all.remove(place);
                if all.is_empty() {
                    record.request.network = Network::None;
                }
                Ok(())
            }
            _ => Err(Error::NotConnected {
                container: record.name.clone(),
                network: network.to_owned(),
            }),
        }
    }

    /// Which of the networks of a record is this one, which may be called by its id there.
    fn place_of(&self, record: &Record, network: &str) -> Option<usize> {
        let Network::Networks(all) = &record.request.network else {
            return None;
        };
        all.iter().position(|endpoint| {
            endpoint.network == network
                || self
                    .known_network(&endpoint.network)
                    .is_ok_and(|known| known.is_some_and(|known| known.name == network))
        })
    }

    fn plug(
        &self,
        record: &Record,
        endpoint: &Endpoint,
        network: &NetworkRecord,
        running: &Alive,
    ) -> Result<Vec<String>, Error> {
        let mut noted = noted(&self.places, &record.id)?;
        let wire = self.reserve_one(record, endpoint, network, &noted.wires)?;
        noted.wires.push(wire.clone());
        write_json(&wires_path(&self.places, &record.id), &noted, false)?;
        names::write(&self.places, &record.id, &wire)?;
        let notices = self.open_ways_of(&[network], true)?;
        let mut machine = Rtnetlink::open()?;
        let hairpin = !noted.published.is_empty();
        let mut container = Place::new(running.network.as_fd())?;
        connect::join(&mut machine, network, &mut container, &wire, hairpin)?;
        Ok(notices)
    }

    /// Takes a container, whatever is left of it, out of a network. It may be done again.
    fn unplug(&self, id: &str, network: &str) -> Result<(), Error> {
        let places = &self.places;
        let old = noted(places, id)?;
        let (gone, left): (Vec<Wire>, Vec<Wire>) = old
            .wires
            .iter()
            .cloned()
            .partition(|wire| wire.network == network);
        let mut machine = Rtnetlink::open()?;
        for wire in &gone {
            if !wire.is_bridged() {
                self.unplug_inside(id, &mut machine, wire, &left)?;
            } else if let Some(link) = machine.link(&wire.peer)? {
                machine.delete_link(link.index)?;
            }
        }
        let mut new = Noted {
            published: led_elsewhere(&old.published, &gone, &left),
            wires: left,
            publish_open: old.publish_open,
        };
        if !gone.is_empty() {
            self.take_over_ways(id, &mut new.wires)?;
            firewall::unpublish(places, &old.published_only(&new))?;
            write_json(&wires_path(places, id), &new, false)?;
            firewall::publish(places, &new.published_only(&old), new.publish_open)?;
        }
        names::forget(places, network, id)?;
        leases::free_in(places, network, id)?;
        match Record::read(places, id) {
            Ok(mut record) => match self.drop_endpoint(&mut record, network) {
                Ok(()) => record.write(places),
                Err(_) => Ok(()),
            },
            Err(Error::NoSuchContainer(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Removes a link that has no other end on the machine. That of a container that has ended is gone, too.
    fn unplug_inside(
        &self,
        id: &str,
        machine: &mut Rtnetlink,
        wire: &Wire,
        left: &[Wire],
    ) -> Result<(), Error> {
        let running = self.container(id).and_then(|c| self.running(&c));
        let network = NetworkRecord::read(&self.places, &wire.network)?;
        match (running, network) {
            (Ok(Some(running)), Some(network)) => {
                parent::leave(machine, &network, running.network.as_fd(), left)
            }
            _ => Ok(()),
        }
    }

    /// Gives a container that has lost its way outside that of another of its networks.
    fn take_over_ways(&self, id: &str, wires: &mut [Wire]) -> Result<(), Error> {
        for ipv4 in [true, false] {
            let mut ways = wires.iter().flat_map(|wire| &wire.gateways);
            if ways.any(|way| way.is_ipv4() == ipv4) {
                continue;
            }
            for wire in wires.iter_mut() {
                let Some(network) = NetworkRecord::read(&self.places, &wire.network)? else {
                    continue;
                };
                let range = network
                    .subnets
                    .iter()
                    .find(|range| range.subnet.is_ipv4() == ipv4);
                if let Some(way) = range.and_then(|range| network.way_out(range)) {
                    wire.gateways.push(way);
                    // A container that has ended meanwhile needs none.
                    if let Ok(Some(running)) = self.container(id).and_then(|c| self.running(&c)) {
                        connect::lead_out(running.network.as_fd(), &wire.interface, way)?;
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Has the container's monitor and its files know of the networks that it is in now. What does not succeed is told:
    /// the container is where it is to be, and finds less than it could.
    fn tell_of_networks(&self, record: &Record, running: &Alive) -> Vec<String> {
        let mut notices = Vec::new();
        if let Err(e) = self.tell_monitor(&record.id) {
            notices.push(format!(
                "its names and ports are as they were until it is started again: {e}"
            ));
        }
        let told = noted(&self.places, &record.id).and_then(|noted| {
            let machine = MachineFiles::read(&record.request);
            let gateways = super::gateways(&self.places, &noted.wires)?;
            crate::etc_files::rewrite(running.pid, record, &machine, &noted.wires, &gateways)
        });
        if let Err(e) = told {
            notices.push(format!("its own files are as they were: {e}"));
        }
        notices
    }

    pub(super) fn tell_monitor(&self, id: &str) -> Result<(), Error> {
        // One that has ended has nothing left to change.
        self.order(id, &Frame::Networks).map(drop)
    }
}

/// A container that runs.
struct Alive {
    pid: i32,
    process: OwnedFd,
    network: OwnedFd,
}

impl Alive {
    /// # Errors
    /// It has ended.
    fn check(&self, container: &Container) -> Result<(), Error> {
        soute_sys::process::pidfd_send_signal(&self.process, 0).map_err(|_| Error::WrongState {
            name: container.record.name.clone(),
            is: "ended".to_owned(),
            operation: "this",
            needs: "a container that goes on running",
        })
    }
}

/// The published ports, those that led to a wire that is gone by another one of the container's.
fn led_elsewhere(published: &[Published], gone: &[Wire], left: &[Wire]) -> Vec<Published> {
    let has = |wires: &[Wire], address: IpAddr| {
        let mut all = wires.iter().flat_map(|wire| &wire.addresses);
        all.any(|(one, _)| *one == address)
    };
    let other = |address: IpAddr| {
        let bridged = left.iter().filter(|wire| wire.is_bridged());
        let mut all = bridged.flat_map(|wire| &wire.addresses);
        all.find(|(one, _)| one.is_ipv4() == address.is_ipv4())
            .map(|(one, _)| *one)
    };
    let mut all = published.to_vec();
    all.retain_mut(|port| {
        if has(gone, port.to.ip()) {
            match other(port.to.ip()) {
                Some(address) => port.to.set_ip(address),
                None => return false,
            }
        }
        true
    });
    all
}

#[cfg(test)]
mod tests {
    use soute_network::{Mac, Protocol};

    use super::*;

    fn wire(addresses: &[&str]) -> Wire {
        Wire {
            network: "net".to_owned(),
            interface: "eth0".to_owned(),
            peer: "veth0".to_owned(),
            mac: Mac::local([0; 6]),
            addresses: addresses.iter().map(|a| (a.parse().unwrap(), 24)).collect(),
            gateways: Vec::new(),
            names: Vec::new(),
        }
    }

    #[test]
    fn ports_lead_by_the_wire_that_is_left() {
        let port = |to: &str| Published {
            address: None,
            protocol: Protocol::Tcp,
            port: 80,
            to: to.parse().unwrap(),
            owner: String::new(),
            local: false,
        };
        let published = [port("10.0.0.2:80"), port("[fd00::2]:80")];
        let (gone, left) = ([wire(&["10.0.0.2", "fd00::2"])], [wire(&["10.0.1.2"])]);
        // Nothing of IPv6 is left.
        assert_eq!(
            led_elsewhere(&published, &gone, &left),
            [port("10.0.1.2:80")]
        );
        assert_eq!(led_elsewhere(&published, &left, &gone), published);
        assert!(led_elsewhere(&published, &gone, &[]).is_empty());
    }
}
