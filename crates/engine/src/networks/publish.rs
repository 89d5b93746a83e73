//! Ports that a container has published are others from now on.

use soute_network::plan::ports::{PortOfMachine, Wanted};
use soute_network::route::Rtnetlink;
use soute_network::ruleset::Published;

use super::mark::Mark;
use super::{Noted, closed, connect, firewall, noted, parent, ports, upkeep, wires_path};
use crate::error::Error;
use crate::record::{Record, write_json};
use crate::request::Network;
use crate::{Engine, Status};

/// Refuses a container that no port can lead into.
pub(crate) fn takes_ports(record: &Record) -> Result<(), Error> {
    match record.request.network {
        Network::Networks(_) => Ok(()),
        _ => Err(Error::Impossible(format!(
            "container {} has no network of its own that ports could lead into: it was made with --network {}",
            record.name, record.request.network
        ))),
    }
}

impl Engine {
    /// Takes ports back that lead to a container, and has others lead to it: now if it runs, and whenever it is started.
    /// All of it is done, or nothing. Gives what the user is to know of them.
    ///
    /// # Errors
    /// One that is to be taken back is not published; those of a start that publishes the others.
    pub(crate) fn update_ports(
        &self,
        name: &str,
        add: &[Wanted],
        remove: &[Wanted],
    ) -> Result<Vec<String>, Error> {
        let container = self.container(name)?;
        takes_ports(&container.record)?;
        let Status::Running(_) = container.status else {
            let _lock = super::lock(&self.places)?;
            self.rewrite_stopped(&container, |record| {
                let gone: Vec<Published> = Vec::new();
                change_record(record, add, remove, &gone)
            })?;
            return Ok(Vec::new());
        };
        let id = container.record.id.clone();
        let whole;
        let (mark, old_record, new_record, old, new) = {
            let _lock = super::lock(&self.places)?;
            let old_record = self.find(&id)?;
            let old = noted(&self.places, &id)?;
            let gone = old.published.iter();
            let gone = gone.filter(|port| remove.iter().any(|wanted| means(wanted, port)));
            let gone: Vec<Published> = gone.cloned().collect();
            let mut record = old_record.clone();
            change_record(&mut record, add, remove, &gone)?;
            let mut new = old.clone();
            new.published.retain(|port| !gone.contains(port));
            // Who has a port of those is told now. The monitor takes them again, and holds them.
            let led_by = match add.is_empty() {
                true => Vec::new(),
                false => parent::ways_in(&old.wires)?,
            };
            for reserved in ports::reserve(&self.places, &record, &led_by, add)? {
                new.published.push(reserved.published);
            }
            if old.published.is_empty() {
                self.let_come_back(&old)?;
            }
            // From here on it is done, if not by this command, by the next one.
            let mut mark = Mark::publish(&self.places, &record, &old, &new)?;
            whole = upkeep::suspend(&self.places)?;
            self.note_ports(&id, &record.request.published, &new.published)?;
            mark.leave(&old.published_only(&new))?;
            (mark, old_record, record, old, new)
        };
        let (gone, fresh) = (old.published_only(&new), new.published_only(&old));
        if let Err(e) = self.tell_monitor(&id) {
            let undone = self.take_back_ports(&new_record, &old_record, &gone, &fresh);
            return Err(e.undone(undone.and_then(|()| mark.remove())));
        }
        firewall::unpublish(&self.places, &gone)?;
        firewall::publish(&self.places, &fresh, new.publish_open)?;
        mark.remove()?;
        let commits = [&gone, &fresh]
            .iter()
            .filter(|ports| !ports.is_empty())
            .count();
        upkeep::resume(&self.places, whole, commits)?;
        closed::told(&Noted {
            published: fresh,
            ..new
        })
    }

    /// The ports are again what they were; what others have changed meanwhile stays.
    fn take_back_ports(
        &self,
        new: &Record,
        old: &Record,
        gone: &[Published],
        fresh: &[Published],
    ) -> Result<(), Error> {
        let _lock = super::lock(&self.places)?;
        let mut noted = noted(&self.places, &new.id)?;
        noted.published.retain(|port| !fresh.contains(port));
        noted.published.extend_from_slice(gone);
        write_json(&wires_path(&self.places, &new.id), &noted, false)?;
        let mut record = self.find(&new.id)?;
        if record.request.published == new.request.published {
            record.request.published = old.request.published.clone();
        }
        record.write(&self.places)
    }

    /// What a container sends to its own published ports may come back to it.
    fn let_come_back(&self, noted: &Noted) -> Result<(), Error> {
        let mut machine = Rtnetlink::open()?;
        for wire in noted.wires.iter().filter(|wire| wire.is_bridged()) {
            connect::let_come_back(&mut machine, wire)?;
        }
        Ok(())
    }
}

/// The record after the change. `gone`: the ports that led to the container and are to do so no more.
fn change_record(
    record: &mut Record,
    add: &[Wanted],
    remove: &[Wanted],
    gone: &[Published],
) -> Result<(), Error> {
    for wanted in remove {
        let kept = record.request.published.len();
        record.request.published.retain(|one| {
            let by_number = match (wanted.port, one.port) {
                (PortOfMachine::Any, _) => true,
                (asked, kept) if asked == kept => true,
                // It was any port: which one it became is known while it runs.
                _ => gone
                    .iter()
                    .any(|port| means(wanted, port) && means(one, port)),
            };
            let same = one.container == wanted.container
                && one.protocol == wanted.protocol
                && (wanted.address.is_none() || wanted.address == one.address);
            !(same && by_number)
        });
        if record.request.published.len() == kept {
            return Err(Error::Impossible(format!(
                "container {} publishes no port {}",
                record.name,
                ports::told(wanted).trim_start_matches("-p ")
            )));
        }
    }
    record.request.published.extend(add);
    Ok(())
}

/// Whether the words are for this port: what they do not name is as it may be.
fn means(wanted: &Wanted, port: &Published) -> bool {
    let number = match wanted.port {
        PortOfMachine::Any => true,
        PortOfMachine::One(one) => one == port.port,
        PortOfMachine::Of(first, last) => (first..=last).contains(&port.port),
    };
    number
        && wanted.container == port.to.port()
        && wanted.protocol == port.protocol
        && (wanted.address.is_none() || wanted.address == port.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        soute_network::plan::ports::parse(text).unwrap().remove(0)
    }

    fn record(published: &[&str]) -> Record {
        let mut record = Record::lost("1".into(), "web".into(), Default::default());
        record.request.published = published.iter().map(|text| wanted(text)).collect();
        record
    }

    fn port(number: u16, to: &str) -> Published {
        Published {
            address: None,
            protocol: soute_network::Protocol::Tcp,
            port: number,
            to: to.parse().unwrap(),
            owner: String::new(),
            local: false,
        }
    }

    #[test]
    fn what_is_named_goes_and_the_rest_stays() {
        let mut one = record(&["8080:80", "8081:80", "81"]);
        change_record(&mut one, &[wanted("9:9")], &[wanted("8080:80")], &[]).unwrap();
        let left: Vec<Wanted> = ["8081:80", "81", "9:9"].map(wanted).into();
        assert_eq!(one.request.published, left);
        // All that lead to the container's port.
        change_record(&mut one, &[], &[wanted("80")], &[]).unwrap();
        assert_eq!(one.request.published, [wanted("81"), wanted("9:9")]);
        let why = change_record(&mut one, &[], &[wanted("8080:80")], &[]).unwrap_err();
        assert!(why.to_string().contains("no port 8080:80/tcp"), "{why}");
    }

    /// One that was given by the kernel is named by the number that it has.
    #[test]
    fn any_port_is_known_by_what_it_became() {
        let mut one = record(&["80"]);
        let gone = [port(32768, "10.0.0.2:80")];
        assert!(means(&wanted("32768:80"), &gone[0]));
        assert!(!means(&wanted("32769:80"), &gone[0]));
        change_record(&mut one, &[], &[wanted("32768:80")], &gone).unwrap();
        assert!(one.request.published.is_empty());
    }
}
