//! Interfaces of the machine that are carried into a container (runtime-spec 1.3, config-linux.md, "Network Devices").
//!
//! The kernel takes addresses away from an interface that changes its network namespace, and takes it down. So its
//! addresses are read before, and given to it again inside. Its routes, and the bridge that it may be a port of, it loses.
//!
//! What becomes of it in the end is the kernel's (network_namespaces(7)): when the container's network namespace ends,
//! an interface of hardware returns to the machine's first namespace, under the name that it had in the container, or as
//! `devN` where that is taken; a virtual one (veth, macvlan) is destroyed. Nothing is moved back when a container ends,
//! only when it could not be made: [`Moved::back`].

mod route;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::LinkFlags;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use soute_sys::Called;

use crate::process::failure::{Failure, Step};
use route::{Link, Socket};

/// `IFNAMSIZ` of linux/if.h, which counts a NUL.
const LONGEST_NAME: usize = 15;
/// Numbers that are tried in the place of `%d`.
const MOST_NUMBERS: u32 = 4096;

/// One interface to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the machine.
    pub name: String,
    /// Its name in the container: the same if missing or empty; `%d` at the end stands for the first number that is
    /// free.
    pub new_name: Option<String>,
}

/// An interface that is in a container now.
#[derive(Debug)]
pub struct Moved {
    device: NetDevice,
    /// As it is called in the container.
    pub name: String,
    own: OwnedFd,
    inside: Socket,
    was_up: bool,
    addresses: Vec<AddressMessage>,
}

impl NetDevice {
    /// Whether the names are possible ones; to be asked before anything is made.
    pub fn check(&self) -> Result<(), Failure> {
        check_name(&self.name)?;
        let new = self.wanted();
        match new.strip_suffix("%d") {
            // The first number needs a place, too.
            Some(stem) if self.new_name.is_some() => check_name(&format!("{stem}0")),
            _ => check_name(new),
        }
        .map_err(|e| Failure::setup(self.step(), e))
    }

    fn wanted(&self) -> &str {
        match self.new_name.as_deref() {
            None | Some("") => &self.name,
            Some(name) => name,
        }
    }

    fn step(&self) -> String {
        format!("the network device {:?}", self.name)
    }

    /// Carries it into the network namespace `container`, from the caller's own: renamed if so wanted, with its lasting
    /// global addresses, up.
    ///
    /// The caller has one thread, stays in its namespaces, and may administer both networks. Nothing else makes or names
    /// interfaces in the container meanwhile: its program does not run yet.
    ///
    /// # Errors
    /// No such interface; its new name is taken in the container; the container has the caller's own network; the kernel
    /// does not let go of this kind (`lo`). The interface is then as it was before.
    pub fn carry(&self, container: BorrowedFd<'_>) -> Result<Moved, Failure> {
        let step = self.step();
        self.check()?;
        let own = own_namespace().step(&step)?;
        if same(own.as_fd(), container).step(&step)? {
            return Err(Failure::setup(
                step,
                "the container has no network namespace of its own to carry it into",
            ));
        }
        let mut here = Socket::open().step(&step)?;
        let Some((index, flags)) = here.link(&self.name).step(&step)? else {
            return Err(Failure::setup(step, "there is no such one"));
        };
        let mut inside =
            Socket::open_in(container).step("entering the container's network namespace")?;
        let name = self.free_name(&mut inside)?;
        let addresses = here.addresses(index).step(&step)?;
        let addresses = addresses.into_iter().filter_map(lasting).collect();
        // Moved and renamed at once: with its old name it could be in the way in there.
        here.set_link(Link::to(container, index, &name))
            .map_err(|e| match e.errno() {
                Errno::INVAL => Failure::setup(
                    &step,
                    format_args!(
                        "{e} (interfaces of this kind cannot change their network namespace)"
                    ),
                ),
                Errno::EXIST => Failure::setup(
                    &step,
                    format_args!("{e} (a name of it is taken in the container)"),
                ),
                _ => Failure::setup(&step, e),
            })?;
        let mut moved = Moved {
            device: self.clone(),
            name,
            own,
            inside,
            was_up: flags.contains(LinkFlags::Up),
            addresses,
        };
        match moved.set_up() {
            Ok(()) => Ok(moved),
            Err(failure) => Err(match moved.back() {
                Ok(()) => failure,
                Err(e) => Failure::setup(failure, format_args!("and could not be undone: {e}")),
            }),
        }
    }

    /// The name in the container, which nobody has there.
    fn free_name(&self, inside: &mut Socket) -> Result<String, Failure> {
        let step = self.step();
        let wanted = self.wanted();
        let Some(stem) = wanted.strip_suffix("%d") else {
            return match inside.link(wanted).step(&step)? {
                None => Ok(wanted.to_owned()),
                Some(_) => Err(Failure::setup(
                    step,
                    format_args!("the name {wanted:?} is taken in the container"),
                )),
            };
        };
        for number in 0..MOST_NUMBERS {
            let name = format!("{stem}{number}");
            if name.len() > LONGEST_NAME {
                break;
            }
            if inside.link(&name).step(&step)?.is_none() {
                return Ok(name);
            }
        }
        Err(Failure::setup(
            step,
            format_args!("no name {wanted:?} is free in the container"),
        ))
    }
}

impl Moved {
    fn set_up(&mut self) -> Result<(), Failure> {
        let step = self.device.step();
        let index = self.index()?;
        for address in &self.addresses {
            self.inside
                .add_address(&on(index, address))
                .step(format_args!("{step}: its address in the container"))?;
        }
        self.inside
            .set_link(Link::up(index))
            .step(format_args!("{step}: bringing it up in the container"))
    }

    fn index(&mut self) -> Result<u32, Failure> {
        let step = self.device.step();
        match self.inside.link(&self.name).step(&step)? {
            Some((index, _)) => Ok(index),
            None => Err(Failure::setup(step, "it is no longer in the container")),
        }
    }

    /// Back to where it was carried from, with its name, its addresses, and up if it was: for a container that could not
    /// be made.
    pub fn back(mut self) -> Result<(), Failure> {
        let step = self.device.step();
        let index = self.index()?;
        let name = &self.device.name;
        self.inside
            .set_link(Link::to(self.own.as_fd(), index, name))
            .step(&step)?;
        let mut here = Socket::open_in(self.own.as_fd())
            .step("returning to the machine's network namespace")?;
        let Some((index, _)) = here.link(name).step(&step)? else {
            return Err(Failure::setup(step, "it did not come back"));
        };
        for address in &self.addresses {
            here.add_address(&on(index, address)).step(&step)?;
        }
        if self.was_up {
            here.set_link(Link::up(index)).step(&step)?;
        }
        Ok(())
    }
}

/// dev_valid_name of the kernel, and no `%`, which it would replace by a number.
fn check_name(name: &str) -> Result<(), Failure> {
    let why = if name.is_empty() || name.len() > LONGEST_NAME {
        "a name of an interface has 1 to 15 bytes"
    } else if name == "." || name == ".." {
        "this is no name for an interface"
    } else if name
        .bytes()
        // isspace of the kernel, which knows Latin-1's space, too; 0x0b is the vertical tab.
        .any(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b':' | b'%' | b'\0' | 0x0b | 0xa0))
    {
        "a name of an interface has no white space, '/', ':', '%' and NUL"
    } else {
        return Ok(());
    };
    Err(Failure::setup(format!("network device {name:?}"), why))
}

fn own_namespace() -> Result<OwnedFd, soute_sys::CallError> {
    let path = "/proc/thread-self/ns/net";
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{path}\")"))
}

fn same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Result<bool, soute_sys::CallError> {
    let stat = |fd| rustix::fs::fstat(fd).called(|| "fstat(network namespace)".to_owned());
    let (a, b) = (stat(a)?, stat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// The address as it is to be given again, if it is one that stays: global, and neither learnt (it has a lifetime) nor
/// temporary.
fn lasting(mut address: AddressMessage) -> Option<AddressMessage> {
    let global = address.header.scope == AddressScope::Universe;
    // The header has but the first eight.
    let flags = address
        .attributes
        .iter()
        .find_map(|a| match a {
            AddressAttribute::Flags(flags) => Some(*flags),
            _ => None,
        })
        .unwrap_or(AddressFlags::from_bits_retain(
            address.header.flags.bits().into(),
        ));
    if !global || !flags.contains(AddressFlags::Permanent) {
        return None;
    }
    // What the kernel has found out by itself (secondary, tentative, permanent) it finds out again. The label names the
    // interface, the lifetime is none.
    let kept = AddressFlags::Nodad
        | AddressFlags::Optimistic
        | AddressFlags::Homeaddress
        | AddressFlags::Managetempaddr
        | AddressFlags::Noprefixroute
        | AddressFlags::Mcautojoin;
    address.header.flags = AddressHeaderFlags::empty();
    address.attributes.retain(|a| {
        matches!(
            a,
            AddressAttribute::Address(_)
                | AddressAttribute::Local(_)
                | AddressAttribute::Broadcast(_)
                | AddressAttribute::RoutePriority(_)
        )
    });
    address
        .attributes
        .push(AddressAttribute::Flags(flags & kept));
    Some(address)
}

fn on(index: u32, address: &AddressMessage) -> AddressMessage {
    let mut address = address.clone();
    address.header.index = index;
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, new_name: Option<&str>) -> NetDevice {
        NetDevice {
            name: name.into(),
            new_name: new_name.map(str::to_owned),
        }
    }

    #[test]
    fn names_are_the_kernels() {
        for new in [
            None,
            Some(""),
            Some("eth0"),
            Some("eth%d"),
            Some("123456789012345"),
            Some("é"),
        ] {
            device("veth0", new).check().unwrap();
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "a\x0bb",
            "1234567890123456",
            "%d",
            "e%dh",
            "a%",
            "%s%d",
            "a\0b",
            "123456789012345%d",
            "12345678901234%d%d",
        ] {
            if !name.is_empty() && name != "%d" {
                device("veth0", Some(name)).check().unwrap_err();
            }
            device(name, None).check().unwrap_err();
        }
    }
}
