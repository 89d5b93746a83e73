//! Datagrams as they come.

use std::net::{SocketAddr, UdpSocket};

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recvfrom};
use soute_sys::net::unspecified;

/// The longest that UDP has.
const LONGEST: usize = 65_535;

/// A socket that hears `peer` alone, and does not wait. Its port is the kernel's to choose: who would forge an answer has to
/// guess it.
pub(crate) fn connected(peer: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((unspecified(peer.ip()), 0))?;
    socket.connect(peer)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes one into `datagram`, and tells who sent it. Not on the stack, and not all of the room touched: a process that waits
/// for months would keep as much as the longest that there could be.
pub(crate) fn receive(
    socket: &UdpSocket,
    datagram: &mut Vec<u8>,
) -> rustix::io::Result<Option<SocketAddr>> {
    datagram.clear();
    datagram.reserve(LONGEST);
    let (_, _, sender) = recvfrom(socket, spare_capacity(datagram), RecvFlags::empty())?;
    Ok(sender.and_then(|sender| sender.try_into().ok()))
}
