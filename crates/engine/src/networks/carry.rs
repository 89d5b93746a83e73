//! An interface is carried into a container, or out of one.
//!
//! Where it goes to a container, that one's monitor carries it, and back when the container ends: it holds both network
//! namespaces, so that the kernel does not destroy with one what came from the other.

use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};
use soute_network::route::{self, Carried, Place};
use soute_runtime::proc_stat;

use super::inside::{is_same_network, network_of, own_network};
use crate::error::Error;
use crate::frame::Frame;
use crate::{Container, Engine, Status};

/// Where an interface is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// On the machine: in the network namespace of the command.
    Machine,
    /// In a container, by name or id.
    Container(String),
    /// In the network namespace of a process of the machine.
    Process(i32),
}

/// What a monitor is told to carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The interface.
    pub(crate) interface: String,
    /// The process in whose network it is, and the time that it started at; `None`: the machine's.
    pub(crate) from: Option<(i32, u64)>,
    /// How the user calls that.
    pub(crate) told: String,
}

impl Engine {
    /// Carries an interface, with its addresses and routes, from one network to another. In a container it stays until that
    /// ends, and goes back then.
    ///
    /// # Errors
    /// There is no such interface; its name is taken; it is of a kind that stays where it is; both are the same network.
    pub fn carry(&self, interface: &str, from: &Side, to: &Side) -> Result<(), Error> {
        let there = match to {
            Side::Machine => None,
            Side::Container(name) => {
                let container = self.container(name)?;
                self.pid_of(&container)?;
                Some(container)
            }
            Side::Process(pid) => {
                return Err(Error::Impossible(format!(
                    "an interface in the network of process {pid} would have nobody to bring it back: it can be carried to \
                     a container, or to the machine (host)"
                )));
            }
        };
        let order = Order {
            interface: interface.to_owned(),
            from: match from {
                Side::Machine => None,
                Side::Container(name) => Some(started(self.pid_of(&self.container(name)?)?)?),
                Side::Process(pid) => Some(started(*pid)?),
            },
            told: match from {
                Side::Machine => "the machine".to_owned(),
                Side::Container(name) => name.clone(),
                Side::Process(pid) => format!("process {pid}"),
            },
        };
        match there {
            None => {
                let own = own_network()?;
                order.carry(&own).map(drop)
            }
            Some(container) => {
                let text = serde_json::to_vec(&order).expect("plain data");
                match self.order(&container.record.id, &Frame::Carry(text))? {
                    true => Ok(()),
                    false => Err(Error::Impossible(format!(
                        "container {} has ended",
                        container.record.name
                    ))),
                }
            }
        }
    }

    fn pid_of(&self, container: &Container) -> Result<i32, Error> {
        self.first_process(container)?;
        match &container.status {
            Status::Running(running) => Ok(running.pid),
            _ => Err(Error::NoSuchContainer(container.record.name.clone())),
        }
    }
}

fn started(pid: i32) -> Result<(i32, u64), Error> {
    let started = proc_stat::start_time(pid);
    let started = started.ok_or_else(|| Error::Impossible(format!("there is no process {pid}")))?;
    Ok((pid, started))
}

impl Order {
    /// Carries it into the network namespace `to`. Gives where it came from, too.
    pub(crate) fn carry(&self, to: &OwnedFd) -> Result<(Carried, OwnedFd), Error> {
        let from = match self.from {
            None => own_network()?,
            Some((pid, start_time)) => {
                let held = proc_stat::hold(pid, start_time);
                let _held =
                    held.ok_or_else(|| Error::Impossible(format!("{} has ended", self.told)))?;
                network_of(pid)?
            }
        };
        if is_same_network(&from, to)? {
            return Err(Error::Impossible(format!(
                "{} is in the same network already",
                self.told
            )));
        }
        let (mut here, mut there) = (Place::new(from.as_fd())?, Place::new(to.as_fd())?);
        let carried = route::carry(&self.interface, &mut here, &mut there)
            .map_err(|e| Error::Impossible(format!("carrying {}: {e}", self.interface)))?;
        Ok((carried, from))
    }
}
