//! The private procfs handle, in processes with the namespaces of a container. Needs root.

#[path = "../alone/mod.rs"]
mod alone;

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{WaitId, WaitIdOptions};
use soute_runtime::mounts::procfs::Procfs;
use soute_sys::process::{Cloned, clone3, exit_now, flags};

const SYSCTLS: [(&str, &str); 3] = [
    ("sys/net/ipv4/ip_default_ttl", "77"),
    ("sys/kernel/msgmax", "7777"),
    ("sys/kernel/shmmni", "77"),
];

fn main() {
    let tests: [(&str, fn()); 5] = [
        (
            "sysctls_are_those_of_the_writers_namespaces",
            sysctls_are_those_of_the_writers_namespaces,
        ),
        ("processes_alone_are_shown", processes_alone_are_shown),
        (
            "what_is_mounted_over_a_file_does_not_take_it",
            what_is_mounted_over_a_file_does_not_take_it,
        ),
        ("a_fake_proc_is_refused", a_fake_proc_is_refused),
        (
            "a_covered_proc_allows_no_new_one",
            a_covered_proc_allows_no_new_one,
        ),
    ];
    alone::run(tests).exit();
}

/// Runs `inside` as root of a new user namespace, in namespaces of all other kinds; a panic there is told on standard
/// error and fails the test.
fn in_container(inside: impl FnOnce()) {
    let spaces = flags::NEWUSER
        | flags::NEWNS
        | flags::NEWPID
        | flags::NEWNET
        | flags::NEWIPC
        | flags::NEWUTS;
    let (wait, go): (OwnedFd, OwnedFd) = rustix::pipe::pipe().unwrap();
    match clone3(spaces, None).unwrap() {
        Cloned::Child => {
            drop(go);
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                rustix::io::read(&wait, &mut [0; 1]).unwrap();
                rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).unwrap();
                let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
                mount_change("/", private).unwrap();
                inside();
            }));
            exit_now(i32::from(ran.is_err()))
        }
        Cloned::Parent { pid, pidfd } => {
            for map in ["uid_map", "gid_map"] {
                let path = format!("/proc/{}/{map}", pid.as_raw_nonzero());
                fs::write(path, "0 1000000 65536\n").unwrap();
            }
            drop(go);
            let ended =
                rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            assert_eq!(ended.unwrap().unwrap().exit_status(), Some(0));
        }
    }
}

fn read(procfs: &Procfs, path: &str) -> String {
    let file = fs::File::from(procfs.open(path, OFlags::RDONLY).unwrap());
    std::io::read_to_string(file).unwrap().trim().to_owned()
}

fn sysctls_are_those_of_the_writers_namespaces() {
    let machine = Procfs::machine().unwrap();
    let before = SYSCTLS.map(|(path, _)| read(&machine, path));
    in_container(|| {
        let started = Instant::now();
        let whole = Procfs::whole().unwrap();
        let new = started.elapsed();
        let started = Instant::now();
        let machine = Procfs::machine().unwrap();
        println!("a new one {new:?}, the machine's {:?}", started.elapsed());
        for (path, value) in SYSCTLS {
            whole.write(path, value).unwrap();
            assert_eq!(read(&whole, path), value);
            // It is not the mount that decides, but who opens.
            assert_eq!(read(&machine, path), value);
            machine.write(path, value).unwrap();
        }
        // What belongs to no namespace stays the machine's.
        let refused = whole.write("sys/kernel/panic", "7").unwrap_err();
        assert_eq!(refused.errno(), Errno::ACCESS, "{refused}");
    });
    assert_eq!(SYSCTLS.map(|(path, _)| read(&machine, path)), before);
}

fn processes_alone_are_shown() {
    in_container(|| {
        let processes = Procfs::processes().unwrap();
        assert!(read(&processes, "self/stat").starts_with("1 ("));
        let refused = processes.open("sys/kernel/hostname", OFlags::RDONLY);
        assert_eq!(refused.unwrap_err().errno(), Errno::NOENT);
        // The machine's shows this process, too, under its number there.
        let machine = Procfs::machine().unwrap();
        machine
            .open("thread-self/attr/exec", OFlags::WRONLY)
            .unwrap();
        assert!(!read(&machine, "self/stat").starts_with("1 ("));
    });
}

fn what_is_mounted_over_a_file_does_not_take_it() {
    in_container(|| {
        let whole = Procfs::whole().unwrap();
        let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        let (path, value) = SYSCTLS[0];
        mount_bind(file.path(), format!("/proc/{path}")).unwrap();
        whole.write(path, value).unwrap();
        assert_eq!(read(&whole, path), value);
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "");
        // Another file of the kernel's, which no look at the file system's type tells from it (CVE-2025-52881).
        mount_bind("/proc/sys/kernel/msgmax", format!("/proc/{path}")).unwrap();
        let error = Procfs::machine().unwrap().write(path, value).unwrap_err();
        assert_eq!(error.errno(), Errno::XDEV, "{error}");
        whole.write(path, "78").unwrap();
        assert_eq!(read(&whole, path), "78");
    });
}

fn a_fake_proc_is_refused() {
    in_container(|| {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        mount_bind(folder.path(), "/proc").unwrap();
        let error = Procfs::machine().unwrap_err();
        assert_eq!(error.errno(), Errno::NODEV, "{error}");
    });
    in_container(|| {
        // Of the right type, and not the root.
        mount_bind("/proc/sys", "/proc").unwrap();
        let error = Procfs::machine().unwrap_err();
        assert_eq!(error.errno(), Errno::NODEV, "{error}");
    });
}

/// A container in a container: what the outer one masks of its /proc, the inner one must not get to see.
fn a_covered_proc_allows_no_new_one() {
    match clone3(flags::NEWNS, None).unwrap() {
        Cloned::Child => {
            let ran = std::panic::catch_unwind(|| {
                let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
                mount_change("/", private).unwrap();
                mount_bind("/dev/null", "/proc/meminfo").unwrap();
                in_container(|| {
                    let error = Procfs::whole().unwrap_err();
                    assert_eq!(error.errno(), Errno::PERM, "{error}");
                    Procfs::machine().unwrap();
                });
            });
            exit_now(i32::from(ran.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            let ended =
                rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            assert_eq!(ended.unwrap().unwrap().exit_status(), Some(0));
        }
    }
}
