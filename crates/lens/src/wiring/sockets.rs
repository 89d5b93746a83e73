//! The sockets that have a port and wait for whoever comes, in every network namespace, and the processes that hold them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use serde::Serialize;
use soute_network::Protocol;
use soute_network::sockets::{BoundSocket, Doing, SockDiag};
use soute_sys::CallError;

use super::NetworkNamespace;
use super::read::{hidden, others};
use crate::Error;
use crate::proc::Look;
use crate::text::lossy;
use crate::view::Survey;

/// The sockets of all network namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets {
    /// The namespaces, without their links: the caller's own first.
    pub namespaces: Vec<NetworkNamespace>,
    /// By namespace, protocol and port.
    pub sockets: Vec<OpenSocket>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// A socket with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSocket {
    /// The inode of its network namespace.
    pub ns: u64,
    /// What the kernel tells of it.
    pub socket: BoundSocket,
    /// The processes that have it open. None: the kernel's own (NFS), or processes that are hidden.
    pub owners: Vec<Owner>,
}

impl OpenSocket {
    /// Whether packets to that address and port of its namespace come to it, and are taken.
    pub fn takes(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        self.socket.doing != Doing::Keeps && self.socket.takes(protocol, address, port)
    }
}

/// A process that has a socket open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// Its number here.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl Survey {
    /// The sockets of all network namespaces. The caller has one thread.
    ///
    /// # Errors
    /// The caller's own namespace cannot be asked.
    pub fn sockets(&self) -> Result<Sockets, Error> {
        let (mut namespaces, fds) = self.network_namespaces()?;
        let mut all = Vec::new();
        let mut add = |namespace: &NetworkNamespace, found: Vec<BoundSocket>| {
            all.extend(found.into_iter().map(|socket| OpenSocket {
                ns: namespace.ns,
                socket,
                owners: Vec::new(),
            }));
        };
        if let Some(own) = namespaces.iter().find(|namespace| namespace.here) {
            add(own, bound(&mut SockDiag::open()?)?);
        }
        let (theirs, open) = others(&namespaces, &fds);
        SockDiag::open_in_each(&open, |number, opened| {
            let namespace = &mut namespaces[theirs[number]];
            match opened.and_then(|mut socket| bound(&mut socket)) {
                Ok(found) => add(namespace, found),
                Err(e) => namespace.hidden = Some(e.to_string()),
            }
        })?;
        let place = |ns| namespaces.iter().position(|namespace| namespace.ns == ns);
        all.sort_by_key(|open: &OpenSocket| {
            let BoundSocket {
                protocol,
                port,
                address,
                ..
            } = open.socket;
            (place(open.ns), protocol, port, address)
        });
        let mut notes = self.notes();
        notes.extend(hidden(&namespaces));
        notes.extend(self.own(&mut all)?);
        Ok(Sockets {
            namespaces,
            sockets: all,
            notes,
        })
    }

    /// Finds who has the sockets open; what is said of those whom it does not find.
    fn own(&self, sockets: &mut [OpenSocket]) -> Result<Option<String>, Error> {
        let wanted: HashSet<u64> = sockets.iter().map(|open| open.socket.inode).collect();
        let mut owners: HashMap<u64, Vec<Owner>> = HashMap::new();
        let mut closed = 0;
        for pid in self.proc.pids()? {
            let Look::Seen(folder) = self.proc.process(pid)? else {
                continue;
            };
            let descriptors = match folder.descriptors()? {
                Look::Seen(descriptors) => descriptors,
                Look::Gone => continue,
                Look::Hidden => {
                    closed += 1;
                    continue;
                }
            };
            let mut found: Vec<u64> = Vec::new();
            for fd in descriptors {
                if let Look::Seen(Some(inode)) = folder.descriptor_socket(fd)?
                    && wanted.contains(&inode)
                    && !found.contains(&inode)
                {
                    found.push(inode);
                }
            }
            if found.is_empty() {
                continue;
            }
            let Look::Seen(stat) = folder.stat()? else {
                continue;
            };
            for inode in found {
                owners.entry(inode).or_default().push(Owner {
                    pid,
                    name: lossy(&stat.comm),
                });
            }
        }
        for open in &mut *sockets {
            open.owners = owners.get(&open.socket.inode).cloned().unwrap_or_default();
        }
        let nobodys = sockets.iter().any(|open| open.owners.is_empty());
        Ok((nobodys && closed > 0).then(|| {
            format!(
                "{closed} processes hide their descriptors from this user: sockets without an owner here may be theirs"
            )
        }))
    }
}

/// Those of all protocols that the kernel has and tells of.
fn bound(socket: &mut SockDiag) -> Result<Vec<BoundSocket>, CallError> {
    let mut all = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        all.extend(socket.bound(protocol)?.unwrap_or_default());
    }
    Ok(all)
}
