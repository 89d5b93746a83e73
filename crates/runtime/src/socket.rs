//! Descriptors sent to a socket that somebody else listens on.

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
    let called = || format!("connect(\"{}\")", path.display());
    // An address holds 107 bytes; a longer path goes by way of the socket's own descriptor.
    match SocketAddrUnix::new(path) {
        Ok(address) => connect(&stream, &address).called(called)?,
        Err(_) => {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let held = rustix::fs::openat(CWD, path, flags, Mode::empty()).called(called)?;
            let short = format!("/proc/self/fd/{}", held.as_raw_fd());
            let address = SocketAddrUnix::new(short.as_str()).called(called)?;
            connect(&stream, &address).called(called)?;
        }
    }
    Ok(stream)
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
