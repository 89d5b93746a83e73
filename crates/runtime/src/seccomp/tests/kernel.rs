//! Filters under the kernel. A filter is a thread's, so a thread of its own can try it on.

use std::io::ErrorKind;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::net::{AddressFamily, SocketType, socket};

use super::parse;
use crate::capabilities::{Cap, CapSet};
use crate::seccomp::{Filter, KernelVersion};

fn under<T: Send + 'static>(filter: Filter, f: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(move || {
        assert!(filter.load().unwrap().is_none());
        f()
    })
    .join()
    .unwrap()
}

fn default(caps: CapSet) -> Filter {
    Filter::docker_default(caps, KernelVersion::current().unwrap()).unwrap()
}

#[test]
fn the_default_profile() {
    let clone_mount = || open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE).map(drop);
    assert_eq!(
        under(default(CapSet::DEFAULT), clone_mount),
        Err(Errno::PERM)
    );
    let admin = CapSet::of(&[Cap::SYS_ADMIN]);
    assert_eq!(under(default(admin), clone_mount), Ok(()));
    under(default(CapSet::DEFAULT), || {
        let family = |number| socket(AddressFamily::from_raw(number), SocketType::SEQPACKET, None);
        assert!(family(1).is_ok());
        assert_eq!(family(38).unwrap_err(), Errno::PERM);
        assert_eq!(family(40).unwrap_err(), Errno::PERM);
        // A program, and threads, by clone(2) where clone3(2) is said not to exist.
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", "exit 7"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(7));
        assert!(std::thread::spawn(|| true).join().unwrap());
    });
}

#[test]
fn a_profile() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
    let kernel = KernelVersion::current().unwrap();
    let filter = Filter::compile(&parse(json).unwrap(), CapSet::DEFAULT, kernel).unwrap();
    let kind = under(filter, || {
        std::fs::create_dir("/no/such").unwrap_err().kind()
    });
    assert_eq!(kind, ErrorKind::StorageFull);
}

#[test]
fn a_listener() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/none","syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_NOTIFY"}]}"#;
    let kernel = KernelVersion::current().unwrap();
    let filter = Filter::compile(&parse(json).unwrap(), CapSet::DEFAULT, kernel).unwrap();
    let result = std::thread::spawn(move || {
        let listener = filter.load().unwrap().unwrap();
        let flags = rustix::io::fcntl_getfd(&listener).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        // Nobody listens any more: the kernel says ENOSYS.
        drop(listener);
        std::fs::create_dir("/no/such").unwrap_err().raw_os_error()
    });
    assert_eq!(result.join().unwrap(), Some(Errno::NOSYS.raw_os_error()));
}
