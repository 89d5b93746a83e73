//! Layers by name, for kernels whose overlayfs wants them attached in the mount namespace of who mounts it.
//!
//! A process of its own attaches them, in a mount namespace of its own that
//! ends with it. It mounts by mount(2): fsconfig(2) takes strings of 255
//! bytes, mount(2) a page, which with names this short holds more layers than
//! overlayfs stacks (500).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};
use soute_sys::process::{Cloned, exit_now, flags, fork, unshare};
use soute_sys::{CallError, Called};

use super::{Parts, UPPER, WORK, set_attributes};
use crate::mounts::{new_filesystem, place};
use crate::process::channel::Channel;
use crate::process::wait::reap;

/// The folder of the upper and work folders, where it is attached.
const CHANGES: &str = "c";
/// Where the overlay is mounted.
const MERGED: &str = "m";

/// The smallest page of any machine: what mount(2) takes of an option string.
const PAGE: usize = 4096;

/// First bytes of the helper's one message.
const DONE: u8 = b'D';
const FAILED: u8 = b'F';

/// The process that attached the layers; waited for when dropped. Its end takes its mount namespace down, which takes
/// an RCU grace period that nobody needs to wait for before the container runs.
#[derive(Debug)]
pub(super) struct Helper(OwnedFd);

impl Drop for Helper {
    fn drop(&mut self) {
        reap(&self.0);
    }
}

/// Mounts the overlay in a helper process and receives it, detached.
pub(super) fn mount(parts: &Parts) -> Result<(OwnedFd, Helper), CallError> {
    let (ours, theirs) = Channel::pair()?;
    match fork()? {
        Cloned::Child => {
            drop(ours);
            let told = match attach_and_mount(parts) {
                Ok(mount) => theirs.send(&[DONE], &[mount.as_fd()]),
                Err(error) => theirs.send(&encode(&error), &[]),
            };
            exit_now(i32::from(told.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            drop(theirs);
            let helper = Helper(pidfd);
            let lost = || {
                CallError::new(
                    "the process that mounts the overlay ended early",
                    Errno::CHILD,
                )
            };
            let message = ours.receive()?.ok_or_else(lost)?;
            match message.bytes.split_first() {
                Some((&DONE, [])) => {
                    let mount = message.descriptors.into_iter().next().ok_or_else(lost)?;
                    Ok((mount, helper))
                }
                Some((&FAILED, error)) => Err(decode(error).ok_or_else(lost)?),
                _ => Err(lost()),
            }
        }
    }
}

/// The helper's work. It changes its namespace and working directory and never the machine's.
fn attach_and_mount(parts: &Parts) -> Result<OwnedFd, CallError> {
    let changes = parts.changes.as_ref();
    // Cloned before unshare: what is attached in one mount namespace cannot be cloned from another.
    let on_disk = match changes.filter(|changes| !changes.memory) {
        Some(changes) => Some(clone(&changes.folder, "")?),
        None => None,
    };
    unshare(flags::NEWNS)?;
    // Or else what is attached here would show in the machine's namespace, where "/" is shared on systemd machines.
    place::isolate_propagation()?;

    // Over "/", since no folder of the machine is needed then as a place. What this process calls "/" stays beneath it.
    let tmpfs = new_filesystem("tmpfs", &[("mode", "0700"), ("size", "1m")], 0)?;
    rustix::mount::move_mount(
        &tmpfs,
        "",
        CWD,
        "/",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .called(|| "move_mount(tmpfs, \"/\")".to_owned())?;
    rustix::process::fchdir(&tmpfs).called(|| "fchdir(tmpfs)".to_owned())?;
    for (number, layer) in parts.layers.iter().enumerate() {
        attach(layer, &number.to_string())?;
    }
    if let Some(changes) = changes {
        attach(on_disk.as_ref().unwrap_or(&changes.folder), CHANGES)?;
    }

    let options = options(parts.layers.len(), changes.map(|changes| changes.volatile));
    make_folder(MERGED)?;
    // The kernel cuts longer ones, without a word.
    if options.len() >= PAGE {
        return Err(CallError::new(
            format!("mount(overlay, {} layers)", parts.layers.len()),
            Errno::TOOBIG,
        ));
    }
    let data = CString::new(options.as_str())
        .map_err(|_| CallError::new("mount(overlay)", Errno::INVAL))?;
    rustix::mount::mount("overlay", MERGED, "overlay", MountFlags::empty(), &*data)
        .called(|| format!("mount(overlay, \"{options}\")"))?;
    let mount = clone(CWD, MERGED)?;
    set_attributes(&mount, parts.attributes)?;
    Ok(mount)
}

/// The option string of mount(2): the layers are named by their numbers, the topmost being 0. `volatile`, if there is
/// a folder for changes at all.
fn options(layers: usize, volatile: Option<bool>) -> String {
    let lower: Vec<String> = (0..layers).map(|number| number.to_string()).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some(volatile) = volatile {
        options += &format!(",upperdir={CHANGES}/{UPPER},workdir={CHANGES}/{WORK}");
        options += if volatile { ",volatile" } else { "" };
    }
    options
}

/// Attaches `mount` (detached) at `name`, a new folder of the working directory.
fn attach(mount: &OwnedFd, name: &str) -> Result<(), CallError> {
    make_folder(name)?;
    rustix::mount::move_mount(
        mount,
        "",
        CWD,
        name,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .called(|| format!("move_mount(layer, \"{name}\")"))
}

fn make_folder(name: &str) -> Result<(), CallError> {
    rustix::fs::mkdirat(CWD, name, Mode::from_raw_mode(0o700))
        .called(|| format!("mkdirat(\"{name}\")"))
}

/// A detached clone of the mount at `name`, seen from `folder`; empty: of `folder` itself.
fn clone(folder: impl AsFd, name: &str) -> Result<OwnedFd, CallError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if name.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(folder, name, flags).called(|| format!("open_tree(\"{name}\", CLONE)"))
}

fn encode(error: &CallError) -> Vec<u8> {
    let mut bytes = vec![FAILED];
    bytes.extend_from_slice(&error.errno().raw_os_error().to_ne_bytes());
    bytes.extend_from_slice(error.call().as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<CallError> {
    let (number, call) = bytes.split_first_chunk()?;
    Some(CallError::new(
        String::from_utf8_lossy(call),
        Errno::from_raw_os_error(i32::from_ne_bytes(*number)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_as_many_layers_as_overlayfs_stacks() {
        assert_eq!(
            options(3, Some(true)),
            "lowerdir=0:1:2,upperdir=c/upper,workdir=c/work,volatile"
        );
        assert_eq!(options(2, None), "lowerdir=0:1");
        assert!(options(500, Some(true)).len() < PAGE);
    }

    #[test]
    fn an_error_crosses_whole() {
        let error = CallError::new("move_mount(layer, \"0\")", Errno::NOTDIR);
        assert_eq!(decode(&encode(&error)[1..]), Some(error));
        assert_eq!(decode(b"x"), None);
    }
}
