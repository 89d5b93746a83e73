//! What the tests here share: network namespaces that end with their test, and the tools that look into them. They need
//! root. Each test forks, which takes a process with one thread: they run one after the other in the main one.

#![allow(dead_code, reason = "no test needs all of it")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Conclusion, Trial};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use soute_sys::process::{Cloned, clone3, exit_now, flags, fork, pidfd_send_signal};

pub type Test = (&'static str, fn());

/// Runs each test in a network namespace of its own, with `lo` up.
pub fn run(tests: &[Test]) -> Conclusion {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = tests.iter().map(|&(name, test)| {
        Trial::test(name, move || {
            in_own_network(test);
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect())
}

/// A panic there is told on standard error and fails the test.
fn in_own_network(test: fn()) {
    match clone3(flags::NEWNET, None).unwrap() {
        Cloned::Child => {
            die_with_parent();
            let tested = std::panic::catch_unwind(|| {
                ip("link set lo up");
                test();
            });
            exit_now(i32::from(tested.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            let ended = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            assert_eq!(ended.unwrap().unwrap().exit_status(), Some(0));
        }
    }
}

/// So that a test that is killed leaves no namespace behind.
fn die_with_parent() {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
}

/// A network namespace, and the process that holds it.
pub struct Namespace(Process);

impl Namespace {
    pub fn new() -> Self {
        let namespace = match clone3(flags::NEWNET, None).unwrap() {
            Cloned::Child => {
                die_with_parent();
                loop {
                    std::thread::park();
                }
            }
            Cloned::Parent { pid, pidfd } => Self(Process(pid, pidfd)),
        };
        namespace.ip("link set lo up");
        namespace
    }

    pub fn network(&self) -> OwnedFd {
        let path = format!("/proc/{}/ns/net", self.0.0.as_raw_nonzero());
        fs::File::open(path).unwrap().into()
    }

    /// A command that runs in there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.0.0.as_raw_nonzero().to_string();
        command.args(["-t", &pid, "-n", program]);
        command
    }

    /// What `ip ARGUMENTS` says in there.
    pub fn ip(&self, arguments: &str) -> String {
        said(self.command("ip").args(arguments.split(' ')))
    }
}

/// A process of the test's, killed with its owner.
pub struct Process(Pid, OwnedFd);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.1, Signal::KILL.as_raw());
        let _ = waitid(WaitId::PidFd(self.1.as_fd()), WaitIdOptions::EXITED);
    }
}

/// What `act` says in another process, in a network namespace, or in the test's own; and that process, which goes on with
/// `then`.
pub fn act_inside(
    namespace: Option<&Namespace>,
    act: impl FnOnce() -> String,
    then: impl FnOnce(),
) -> (String, Process) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    match fork().unwrap() {
        Cloned::Child => {
            die_with_parent();
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                drop(read);
                if let Some(namespace) = namespace {
                    let kind = Some(LinkNameSpaceType::Network);
                    move_into_link_name_space(namespace.network().as_fd(), kind).unwrap();
                }
                let said = act();
                fs::File::from(write).write_all(said.as_bytes()).unwrap();
                then();
            }));
            exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(write);
            let process = Process(pid, pidfd);
            let mut said = String::new();
            fs::File::from(read).read_to_string(&mut said).unwrap();
            (said, process)
        }
    }
}

/// What a command says. It must succeed.
pub fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `ip ARGUMENTS` says in the test's own namespace.
pub fn ip(arguments: &str) -> String {
    said(Command::new("ip").args(arguments.split(' ')))
}

/// What `nft ARGUMENTS` says in the test's own namespace.
pub fn nft(arguments: &str) -> String {
    said(Command::new("nft").args(arguments.split(' ')))
}

/// Has nft(8) carry out these lines of its language.
pub fn nft_script(script: &str) {
    said(Command::new("nft").arg(script));
}

/// A switch of the kernel's, in the test's own network namespace: `net/ipv4/ip_forward`.
pub fn sysctl(name: &str, value: &str) {
    fs::write(format!("/proc/sys/{name}"), value).unwrap();
}
