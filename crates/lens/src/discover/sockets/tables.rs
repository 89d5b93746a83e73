//! The sockets that a network namespace lists in /proc/PID/net: there is no need to ask whose those are.

use std::collections::BTreeMap;

use crate::discover::Discovery;
use crate::proc::{Look, Proc, ProcessFolder, number};
use crate::{Error, Kind, Namespace, NamespaceId};

/// The files, and in which column each has a socket's number in sockfs. Not in any are those that have never had an address
/// (but AF_UNIX), and kinds that have no file (AF_VSOCK, AF_XDP, AF_ALG).
const TABLES: [(&str, usize); 16] = [
    ("icmp", 9),
    ("icmp6", 9),
    ("netlink", 9),
    ("packet", 8),
    ("pfkey", 5),
    ("raw", 9),
    ("raw6", 9),
    ("sctp/assocs", 10),
    ("sctp/eps", 7),
    ("tcp", 9),
    ("tcp6", 9),
    ("udp", 9),
    ("udp6", 9),
    ("udplite", 9),
    ("udplite6", 9),
    ("unix", 6),
];

/// How many of those in a namespace are tried.
const TRIES: usize = 4;

/// The sockets of all namespaces that somebody is in.
pub(super) fn read(proc: &Proc, found: &Discovery) -> Result<BTreeMap<u64, NamespaceId>, Error> {
    let mut known = BTreeMap::new();
    for namespace in found.of_kind(Kind::Net) {
        let Some(folder) = somebody_in(proc, namespace)? else {
            continue;
        };
        for (table, column) in TABLES {
            // Not there: the kernel has no such sockets.
            if let Look::Seen(text) = folder.read(&format!("net/{table}"))? {
                known.extend(sockets(&text, column).map(|socket| (socket, namespace.id)));
            }
        }
    }
    Ok(known)
}

/// The numbers in a table.
fn sockets(text: &[u8], column: usize) -> impl Iterator<Item = u64> {
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(move |line| {
        let fields = line.split(|byte| *byte == b' ');
        let field = fields.filter(|field| !field.is_empty()).nth(column)?;
        // 0: nobody has it open any more.
        number(field).filter(|socket| *socket != 0)
    })
}

/// Somebody who is still in the namespace.
fn somebody_in(proc: &Proc, namespace: &Namespace) -> Result<Option<ProcessFolder>, Error> {
    let is_in_it = |folder: &ProcessFolder| -> Result<bool, Error> {
        Ok(folder.namespace(Kind::Net.name())? == Look::Seen(namespace.id))
    };
    for pid in namespace.processes.iter().take(TRIES) {
        if let Look::Seen(folder) = proc.process(*pid)?
            && is_in_it(&folder)?
        {
            return Ok(Some(folder));
        }
    }
    for thread in namespace.threads.iter().take(TRIES) {
        if let Look::Seen(folder) = proc.process(thread.pid)?
            && let Look::Seen(folder) = folder.thread(thread.tid)?
            && is_in_it(&folder)?
        {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::os::unix::net::UnixDatagram;

    use rustix::net::{
        AddressFamily, SocketFlags, SocketType, ipproto, netlink, socket, socket_with,
    };

    use super::*;
    use crate::Scope;

    /// Of each family one: none of them is ever borrowed.
    #[test]
    fn sockets_of_ones_own_namespace_are_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        let six = TcpListener::bind("[::1]:0").unwrap();
        let (one, other) = UnixDatagram::pair().unwrap();
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::TCP)).expect("root");
        let packet = socket(AddressFamily::PACKET, SocketType::RAW, None).unwrap();
        let route = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        rustix::net::bind(&route, &netlink::SocketAddrNetlink::new(0, 0)).unwrap();
        let sockets: [OwnedFd; 11] = [
            listener.into(),
            client.into(),
            server.into(),
            six.into(),
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            UdpSocket::bind("[::1]:0").unwrap().into(),
            one.into(),
            other.into(),
            raw,
            packet,
            route,
        ];
        let proc = Proc::open().unwrap();
        let found = Discovery::new(&proc, Scope::default()).unwrap();
        let known = read(&proc, &found).unwrap();
        let own = proc.myself().unwrap().namespace("net").unwrap().seen();
        for socket in sockets {
            let inode = rustix::fs::fstat(socket.as_fd()).unwrap().st_ino;
            let address = rustix::net::getsockname(&socket).unwrap();
            assert_eq!(known.get(&inode).copied(), own, "{address:?}");
        }
    }

    #[test]
    fn a_line_without_the_column_has_no_socket() {
        let text = b"Num RefCount Protocol Flags Type St Inode Path\n0: 2 0 0 1 3 77 /a 8\nx\n0: 2 0 0 1 3 0\n\n";
        assert_eq!(sockets(text, 6).collect::<Vec<_>>(), [77]);
    }
}
