//! Sockets that are files: those that somebody else listens on, and the descriptors that are sent there.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};
use soute_sys::{CallError, Called};

/// A stream socket connected to the one at `path`.
pub(crate) fn connected(path: &Path) -> Result<OwnedFd, CallError> {
    let stream = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .called(|| "socket(AF_UNIX, SOCK_STREAM)".to_owned())?;
    at_path(path, |address| {
        connect(&stream, address).called(|| format!("connect(\"{}\")", path.display()))
    })?;
    Ok(stream)
}

/// Calls `act` with the address of the socket `path`. An address holds 107 bytes: a longer path goes by way of its
/// folder's descriptor.
///
/// # Errors
/// The call that failed.
pub fn at_path<T>(
    path: &Path,
    act: impl FnOnce(&SocketAddrUnix) -> Result<T, CallError>,
) -> Result<T, CallError> {
    if let Ok(address) = SocketAddrUnix::new(path) {
        return act(&address);
    }
    let folder = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let held = rustix::fs::openat(CWD, folder, flags, Mode::empty())
        .called(|| format!("open(\"{}\", O_PATH)", folder.display()))?;
    let short = format!(
        "/proc/self/fd/{}/{}",
        held.as_raw_fd(),
        name.to_string_lossy()
    );
    let address = SocketAddrUnix::new(short.as_str())
        .called(|| format!("the socket address {}", path.display()))?;
    act(&address)
}

/// One message with one descriptor.
pub(crate) fn send_descriptor(
    stream: impl AsFd,
    text: &[u8],
    descriptor: impl AsFd,
) -> Result<(), CallError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let text = [IoSlice::new(text)];
    sendmsg(stream, &text, &mut control, SendFlags::NOSIGNAL)
        .called(|| "sendmsg(one descriptor)".to_owned())
        .map(drop)
}
