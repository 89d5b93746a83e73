//! The time namespace: the container's clocks, and the engine's as they were. Needs root.

#[path = "../alone/mod.rs"]
mod alone;

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::pipe::pipe;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use soute_runtime::process::time::{Clock, Offset, Time, clone_in, join};
use soute_sys::process::{Cloned, clone3, exit_now, flags, pidfd_send_signal};

const DAY: i64 = 86_400;

fn main() {
    let tests: [(&str, fn()); 6] = [
        (
            "offsets_are_seen_in_the_child_alone",
            offsets_are_seen_in_the_child_alone,
        ),
        ("one_can_be_joined", one_can_be_joined),
        (
            "exec_enters_it_before_the_user_namespace",
            exec_enters_it_before_the_user_namespace,
        ),
        (
            "a_refused_clock_leaves_nothing",
            a_refused_clock_leaves_nothing,
        ),
        (
            "a_failed_clone_leaves_nothing",
            a_failed_clone_leaves_nothing,
        ),
        (
            "what_is_no_time_namespace_is_told",
            what_is_no_time_namespace_is_told,
        ),
    ];
    alone::run(tests).exit();
}

fn uptime() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn monotonic() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec
}

fn namespaces() -> [PathBuf; 2] {
    ["time", "time_for_children"].map(|n| fs::read_link(format!("/proc/self/ns/{n}")).unwrap())
}

/// A process that stays, in new namespaces of all kinds that a container has, once it has found what `inside` asks.
struct Process(Pid, OwnedFd);

impl Process {
    fn start(time: Option<&Time>, inside: impl Fn() -> bool) -> Self {
        let (read, write) = pipe().unwrap();
        let spaces = flags::NEWUSER | flags::NEWPID | flags::NEWNS;
        let clone = || clone3(spaces, None);
        let cloned = match time {
            Some(time) => clone_in(time, clone).unwrap(),
            None => clone().unwrap(),
        };
        match cloned {
            Cloned::Child => {
                let found = [u8::from(inside())];
                let _ = rustix::io::write(&write, &found);
                loop {
                    std::thread::park();
                }
            }
            Cloned::Parent { pid, pidfd } => {
                let mut found = [0];
                drop(write);
                let started = Self(pid, pidfd);
                rustix::io::read(&read, &mut found).unwrap();
                assert_eq!(found, [1], "it did not find what it should");
                started
            }
        }
    }

    fn namespace(&self) -> PathBuf {
        let path = format!("/proc/{}/ns/time", self.0.as_raw_nonzero());
        fs::read_link(path).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.1, Signal::KILL.as_raw());
        let _ = rustix::process::waitid(WaitId::PidFd(self.1.as_fd()), WaitIdOptions::EXITED);
    }
}

fn three_days() -> Time {
    Time::New(vec![
        Offset {
            clock: Clock::Boottime,
            secs: 3 * DAY,
            nanosecs: 500_000_000,
        },
        Offset {
            clock: Clock::Monotonic,
            secs: 5 * DAY,
            nanosecs: 0,
        },
    ])
}

fn offsets_are_seen_in_the_child_alone() {
    let before = namespaces();
    let (up, now) = (uptime(), monotonic());
    let near = move |days: i64, other: i64| {
        let (boot, mono) = (uptime() - up, monotonic() - now);
        let boot_there = days * DAY;
        (boot - boot_there as f64).abs() < 60.0 && (mono - other * DAY).abs() < 60
    };
    let container = Process::start(Some(&three_days()), move || near(3, 5));
    assert!(near(0, 0), "the engine's own clocks have changed");
    assert_eq!(namespaces(), before);
    let later = Process::start(None, move || near(0, 0));
    assert_eq!(
        later.namespace(),
        before[0],
        "a later child is in the container's"
    );
    assert_ne!(container.namespace(), before[0]);
}

fn one_can_be_joined() {
    let before = namespaces();
    let container = Process::start(Some(&three_days()), || true);
    let path = format!("/proc/{}/ns/time", container.0.as_raw_nonzero());
    let time = Time::Join(fs::File::open(path).unwrap().into());
    let up = uptime();
    let second = Process::start(Some(&time), move || uptime() > up + 2.0 * DAY as f64);
    assert_eq!(second.namespace(), container.namespace());
    assert_eq!(namespaces(), before);
    assert_eq!(Process::start(None, || true).namespace(), before[0]);
}

fn exec_enters_it_before_the_user_namespace() {
    let container = Process::start(Some(&three_days()), || true);
    let open =
        |kind| fs::File::open(format!("/proc/{}/ns/{kind}", container.0.as_raw_nonzero())).unwrap();
    let (time, user) = (open("time"), open("user"));
    let up = uptime();
    let enter_user = || rustix::thread::move_into_link_name_space(user.as_fd(), None).is_ok();
    let inside = |test: &dyn Fn() -> bool| match soute_sys::process::fork().unwrap() {
        Cloned::Child => exit_now(i32::from(!test())),
        Cloned::Parent { pidfd, .. } => {
            let ended =
                rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            ended.unwrap().unwrap().exit_status() == Some(0)
        }
    };
    let shifted = || uptime() > up + 2.0 * DAY as f64;
    assert!(inside(&|| join(&time).is_ok()
        && enter_user()
        && inside(&shifted)));
    assert!(
        inside(&|| enter_user() && join(&time).is_err()),
        "the order no longer matters"
    );
}

fn a_refused_clock_leaves_nothing() {
    let before = namespaces();
    // The second one is refused when the first is set already.
    for secs in [i64::MIN, -1_000 * 365 * DAY, i64::MAX] {
        let mut time = three_days();
        let Time::New(offsets) = &mut time else {
            unreachable!()
        };
        offsets[1].secs = secs;
        let failure = clone_in(&time, || unreachable!()).unwrap_err();
        let text = format!("write(\"/proc/self/timens_offsets\", \"monotonic {secs} 0\\n\")");
        assert!(failure.message.contains(&text), "{failure}");
        assert_eq!(namespaces(), before);
    }
}

fn a_failed_clone_leaves_nothing() {
    let before = namespaces();
    let error = || {
        Err(soute_sys::CallError::new(
            "clone3()",
            rustix::io::Errno::AGAIN,
        ))
    };
    let failure = clone_in(&three_days(), error).unwrap_err();
    assert!(failure.message.contains("clone3()"), "{failure}");
    assert_eq!(namespaces(), before);
}

fn what_is_no_time_namespace_is_told() {
    let before = namespaces();
    for path in ["/proc/self/ns/uts", "/dev/null"] {
        let time = Time::Join(fs::File::open(path).unwrap().into());
        let failure = clone_in(&time, || exit_now(3)).unwrap_err();
        assert!(failure.message.contains("no time namespace"), "{failure}");
    }
    assert_eq!(namespaces(), before);
}
