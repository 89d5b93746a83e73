//! What the tests here share: network namespaces that end with their test, and the tools that look into them. They need
//! root. Each test forks, which takes a process with one thread: they run one after the other in the main one.

#![allow(dead_code, reason = "no test needs all of it")]

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Conclusion, Trial};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use soute_sys::process::{Cloned, clone3, exit_now, flags, pidfd_send_signal};

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
pub struct Namespace(Pid, OwnedFd);

impl Namespace {
    pub fn new() -> Self {
        let namespace = match clone3(flags::NEWNET, None).unwrap() {
            Cloned::Child => {
                die_with_parent();
                loop {
                    std::thread::park();
                }
            }
            Cloned::Parent { pid, pidfd } => Self(pid, pidfd),
        };
        namespace.ip("link set lo up");
        namespace
    }

    pub fn network(&self) -> OwnedFd {
        let path = format!("/proc/{}/ns/net", self.0.as_raw_nonzero());
        fs::File::open(path).unwrap().into()
    }

    /// A command that runs in there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.0.as_raw_nonzero().to_string();
        command.args(["-t", &pid, "-n", program]);
        command
    }

    /// What `ip ARGUMENTS` says in there.
    pub fn ip(&self, arguments: &str) -> String {
        said(self.command("ip").args(arguments.split(' ')))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.1, Signal::KILL.as_raw());
        let _ = waitid(WaitId::PidFd(self.1.as_fd()), WaitIdOptions::EXITED);
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
