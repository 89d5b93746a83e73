//! Packets as they cross the interfaces of a network namespace: packet(7).

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use crate::mount::last_errno;
use crate::{CallError, Called};

pub use crate::seccomp::{MAX_INSTRUCTIONS, SockFilter};

/// What the kernel may keep of packets until they are read, in bytes: some hundred of the largest.
const KEPT: usize = 16 << 20;

/// `TP_STATUS_VLAN_VALID`, `TP_STATUS_VLAN_TPID_VALID` (linux/if_packet.h).
const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;
/// struct tpacket_auxdata: status, length, captured length (32 bits each), two offsets, a tag, its type (16 bits each).
const AUXDATA: usize = 20;
/// Room for a struct timespec and the above, each with its header.
const CONTROL: usize = 128;

/// What came to an interface, or left by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of it that are in the buffer.
    pub captured: usize,
    /// Bytes that it had, without a VLAN's tag.
    pub length: u32,
    /// The interface's number.
    pub index: u32,
    /// What kind of interface it is: `ARPHRD_*` (linux/if_arp.h).
    pub hardware: u16,
    /// To whom it went: `PACKET_HOST` and so on (packet(7)).
    pub kind: u8,
    /// The VLAN's tag, which the kernel has taken out of the packet: its type and its value.
    pub vlan: Option<(u16, u16)>,
    /// When: seconds and nanoseconds after the epoch. `None`: the kernel did not say.
    pub time: Option<(i64, u32)>,
}

/// Packets that the kernel has counted since it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Those that passed the filter, the dropped ones among them.
    pub passed: u32,
    /// Those that had no room.
    pub dropped: u32,
}

/// A socket that hears what crosses interfaces of one network namespace. It does not block.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// In another network namespace, where the socket stays. It hears nothing before [`Self::listen`].
    ///
    /// The caller has one thread ([`crate::process::fork`]).
    ///
    /// # Errors
    /// setns(2): no network namespace, or no CAP_SYS_ADMIN in its user namespace; socket(2): no CAP_NET_RAW there.
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, CallError> {
        let [socket] = crate::inside::network(namespace, || {
            // Protocol 0: none, so that there is nothing in the socket that was never filtered.
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
                .called(|| "socket(AF_PACKET, SOCK_RAW)".to_owned())?;
            Ok([socket])
        })?;
        let socket = Self(socket);
        socket.set(
            libc::SOL_PACKET,
            libc::PACKET_AUXDATA,
            "PACKET_AUXDATA",
            &1i32,
        )?;
        socket.set(
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            "SO_TIMESTAMPNS",
            &1i32,
        )?;
        // Without CAP_NET_ADMIN up to net.core.rmem_max.
        if sockopt::set_socket_recv_buffer_size_force(&socket.0, KEPT).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket.0, KEPT)
                .called(|| format!("setsockopt(SO_RCVBUF, {KEPT})"))?;
        }
        Ok(socket)
    }

    /// Lets the kernel drop what `program` answers 0 to, and cut the rest to as many bytes as it answers.
    ///
    /// # Errors
    /// EINVAL: not a program of 1 to [`MAX_INSTRUCTIONS`] instructions, or one that could leave its own code.
    pub fn filter(&self, program: &[SockFilter]) -> Result<(), CallError> {
        let len = u16::try_from(program.len())
            .ok()
            .filter(|len| usize::from(*len) <= MAX_INSTRUCTIONS)
            .ok_or_else(|| CallError::new("setsockopt(SO_ATTACH_FILTER)", Errno::INVAL))?;
        let program = libc::sock_fprog {
            len,
            // The layouts are the same (seccomp.rs); the kernel copies and never writes them.
            filter: program.as_ptr().cast_mut().cast(),
        };
        self.set(
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            "SO_ATTACH_FILTER",
            &program,
        )
    }

    /// Begins to hear what crosses interface `index`, or, if that is 0, all of the namespace, those to come among them.
    ///
    /// # Errors
    /// ENODEV: there is no such interface.
    pub fn listen(&self, index: u32) -> Result<(), CallError> {
        // SAFETY: an all-zero sockaddr_ll is a valid value of that plain C structure.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        // SAFETY: the address lives until the call returns, and its length is passed with it.
        let done = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if done == 0 {
            return Ok(());
        }
        let call = format!("bind({{AF_PACKET, ETH_P_ALL, interface {index}}})");
        Err(CallError::new(call, last_errno()))
    }

    /// The next packet, as much of it as `buffer` takes. `None`: there is none yet.
    ///
    /// # Errors
    /// ENETDOWN, once: the interface is down now, or gone.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, CallError> {
        let mut control = Control([0; CONTROL]);
        let mut into = [IoSliceMut::new(buffer)];
        // SAFETY: all-zero values of these plain C structures are valid.
        let (mut address, mut message): (libc::sockaddr_ll, libc::msghdr) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        message.msg_name = (&raw mut address).cast();
        message.msg_namelen = size_of_val(&address) as libc::socklen_t;
        // IoSliceMut has the layout of struct iovec (std's documentation).
        message.msg_iov = into.as_mut_ptr().cast();
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = CONTROL as _;
        // SAFETY: all that the message points at is borrowed for writing, lives until the call returns, and is as long as
        // it says.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, 0) };
        if length < 0 {
            return match last_errno() {
                Errno::AGAIN | Errno::INTR => Ok(None),
                e => Err(CallError::new("recvmsg(AF_PACKET)", e)),
            };
        }
        let mut received = Received {
            captured: length.unsigned_abs(),
            length: length.unsigned_abs() as u32,
            index: address.sll_ifindex.cast_unsigned(),
            hardware: address.sll_hatype,
            kind: address.sll_pkttype,
            vlan: None,
            time: None,
        };
        // SAFETY: the kernel has filled the message in; its control bytes are aligned and still borrowed.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        while !header.is_null() {
            // SAFETY: a header that CMSG_FIRSTHDR or CMSG_NXTHDR gave lies whole in the control bytes, and so does what it
            // says that follows it, of which no more than `cmsg_len` is read.
            unsafe {
                // Of one type or another, by the C library.
                let space =
                    ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                let bytes = std::slice::from_raw_parts(libc::CMSG_DATA(header), space);
                received.note((*header).cmsg_level, (*header).cmsg_type, bytes);
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
        }
        Ok(Some(received))
    }

    /// What was counted since this was last asked.
    pub fn counted(&self) -> Result<Counted, CallError> {
        // struct tpacket_stats: packets and drops, 32 bits each.
        let mut counts = MaybeUninit::<[u32; 2]>::zeroed();
        let mut size = size_of_val(&counts) as libc::socklen_t;
        // SAFETY: the counts are borrowed for writing, and as long as `size` says.
        let done = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                counts.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        if done != 0 {
            return Err(CallError::new(
                "getsockopt(PACKET_STATISTICS)",
                last_errno(),
            ));
        }
        // SAFETY: zeroed at first, and any bytes are integers.
        let [passed, dropped] = unsafe { counts.assume_init() };
        Ok(Counted { passed, dropped })
    }

    fn set<T>(&self, level: i32, option: i32, name: &str, value: &T) -> Result<(), CallError> {
        // SAFETY: the value lives until the call returns, and its size is passed with it; what it points at, if it does,
        // is its caller's and lives as long.
        let done = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                (&raw const *value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if done == 0 {
            return Ok(());
        }
        Err(CallError::new(format!("setsockopt({name})"), last_errno()))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Bytes where struct cmsghdr may lie.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl Received {
    /// Takes in one control message.
    fn note(&mut self, level: i32, kind: i32, bytes: &[u8]) {
        match (level, kind) {
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => self.auxiliary(bytes),
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => self.time = time(bytes),
            _ => {}
        }
    }

    fn auxiliary(&mut self, bytes: &[u8]) {
        let Some(bytes) = bytes.first_chunk::<AUXDATA>() else {
            return;
        };
        let word = |at: usize| {
            let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_ne_bytes(bytes)
        };
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let status = word(0);
        self.length = word(4);
        if status & VLAN_VALID != 0 {
            let kind = match status & VLAN_TPID_VALID {
                0 => libc::ETH_P_8021Q as u16,
                _ => half(18),
            };
            self.vlan = Some((kind, half(16)));
        }
    }
}

/// struct timespec, as this machine's C has it.
fn time(bytes: &[u8]) -> Option<(i64, u32)> {
    const WORD: usize = size_of::<libc::c_long>();
    let mut words = bytes.chunks_exact(WORD);
    let mut word = || Some(libc::c_long::from_ne_bytes(words.next()?.try_into().ok()?));
    #[allow(
        clippy::useless_conversion,
        reason = "c_long has 32 bits on other machines"
    )]
    let seconds = i64::from(word()?);
    Some((seconds, u32::try_from(word()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Received {
        Received {
            captured: 0,
            length: 0,
            index: 0,
            hardware: 0,
            kind: 0,
            vlan: None,
            time: None,
        }
    }

    #[test]
    fn control_messages() {
        let mut received = blank();
        let words = [VLAN_VALID | VLAN_TPID_VALID, 1514, 96];
        let halves: [u16; 4] = [0, 14, 0x2005, 0x88a8];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(halves.iter().flat_map(|half| half.to_ne_bytes()));
        received.note(libc::SOL_PACKET, libc::PACKET_AUXDATA, &bytes);
        assert_eq!(received.length, 1514);
        assert_eq!(received.vlan, Some((0x88a8, 0x2005)));
        let time: Vec<u8> = [7 as libc::c_long, 9]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        received.note(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time);
        assert_eq!(received.time, Some((7, 9)));
    }

    #[test]
    fn short_ones_say_nothing() {
        let mut received = blank();
        for length in 0..AUXDATA {
            received.note(libc::SOL_PACKET, libc::PACKET_AUXDATA, &vec![0xff; length]);
        }
        for length in 0..2 * size_of::<libc::c_long>() {
            received.note(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &vec![0; length]);
        }
        assert_eq!(received, blank());
    }
}
