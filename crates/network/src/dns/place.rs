//! Where a container finds its name server: at port 53 of an address of its loopback.
//!
//! The sockets have other ports, to which the container's own nf_tables translate that one: a program of the container
//! that serves port 53 of all addresses finds it free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use soute_sys::{CallError, Called, inside};

use super::ADDRESS;
use crate::Protocol;
use crate::nft::{
    Batch, Chain, ChainKind, Compare, Expr, Family, Header, Hook, Meta, Nat, Nftables, Reg, Rule,
    Table,
};

/// The table of the container's network namespace.
const TABLE: Table = Table {
    family: Family::IPV4,
    name: "soute-dns",
};
const OUTPUT: Chain = Chain::base("output", ChainKind::Nat, Hook::Output, -100);
const PORT: u16 = 53;

/// Where the queries of one container come in.
#[derive(Debug)]
pub struct Sockets {
    pub(super) datagrams: UdpSocket,
    pub(super) listener: TcpListener,
}

/// Makes the sockets in a container's network namespace, and has [`ADDRESS`] lead to them. The caller has one thread
/// ([`soute_sys::process::fork`]).
///
/// # Errors
/// The kernel's.
pub fn place(container: BorrowedFd<'_>) -> Result<Sockets, CallError> {
    let [datagrams, listener] = inside::network(container, || {
        Ok([socket(SocketType::DGRAM)?, socket(SocketType::STREAM)?])
    })?;
    listen(&listener, 16).called(|| format!("listen({ADDRESS})"))?;
    let sockets = Sockets {
        datagrams: datagrams.into(),
        listener: listener.into(),
    };
    let ports = [
        (Protocol::Udp, sockets.datagrams.local_addr()),
        (Protocol::Tcp, sockets.listener.local_addr()),
    ];
    let mut batch = Batch::new(TABLE);
    batch.add_table("name resolution of this container");
    batch.add_chain(&OUTPUT);
    for (protocol, address) in ports {
        let address = address.called(|| format!("getsockname({protocol})"))?;
        batch.add_rule(&redirect(protocol, address.port()));
    }
    Nftables::open_in(container)?.commit(&batch, None)?;
    Ok(sockets)
}

fn socket(kind: SocketType) -> Result<OwnedFd, CallError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, kind, flags, None)
        .called(|| format!("socket(AF_INET, {kind:?})"))?;
    // The container's loopback may be down still.
    sockopt::set_ip_freebind(&socket, true).called(|| "IP_FREEBIND".to_owned())?;
    let address = SocketAddr::from((ADDRESS, 0));
    bind(&socket, &address).called(|| format!("bind({address})"))?;
    Ok(socket)
}

/// `ip daddr 127.0.0.11 PROTOCOL dport 53 dnat to 127.0.0.11:PORT`
fn redirect(protocol: Protocol, port: u16) -> Rule {
    let (first, second) = (Reg::word(0), Reg::word(1));
    let field = |base, offset, length| Expr::Payload {
        base,
        offset,
        length,
        to: first,
    };
    let is = |value: Vec<u8>| Expr::Cmp(first, Compare::Equal, value);
    let address = |address: Ipv4Addr| address.octets().to_vec();
    Rule {
        chain: OUTPUT.name,
        expressions: vec![
            field(Header::Network, 16, 4),
            is(address(ADDRESS)),
            Expr::Meta(Meta::L4proto, first),
            is(vec![protocol.number()]),
            field(Header::Transport, 2, 2),
            is(PORT.to_be_bytes().to_vec()),
            Expr::Immediate(first, address(ADDRESS)),
            Expr::Immediate(second, port.to_be_bytes().to_vec()),
            Expr::Nat {
                kind: Nat::Destination,
                family: Family::IPV4,
                address: first,
                port: Some(second),
                flags: 0,
            },
        ],
        comment: format!("names, by {protocol}"),
    }
}
