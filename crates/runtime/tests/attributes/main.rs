//! What a program has from its start: set in a process of the test's own, and asked of the kernel. Needs root.

#[path = "../alone/mod.rs"]
mod alone;

use std::fs;
use std::os::fd::AsFd as _;

use rustix::pipe::pipe;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use soute_runtime::process::attributes::{
    Affinity, Attributes, IoClass, IoPriority, MemoryMode, MemoryPolicy, Personality, Policy,
    SchedFlag, Scheduler,
};
use soute_sys::process::{Cloned, clone3, exit_now, flags};

fn main() {
    let tests: [(&str, fn()); 7] = [
        (
            "scheduling_is_set_from_outside",
            scheduling_is_set_from_outside,
        ),
        (
            "a_deadline_is_set_from_outside",
            a_deadline_is_set_from_outside,
        ),
        (
            "a_user_namespace_cannot_raise_itself",
            a_user_namespace_cannot_raise_itself,
        ),
        (
            "the_personality_is_seen_by_uname",
            the_personality_is_seen_by_uname,
        ),
        (
            "cpus_that_are_not_there_are_an_error",
            cpus_that_are_not_there_are_an_error,
        ),
        ("the_affinity_has_two_parts", the_affinity_has_two_parts),
        (
            "a_memory_policy_holds_or_is_told",
            a_memory_policy_holds_or_is_told,
        ),
    ];
    alone::run(tests).exit();
}

/// Runs `inside` in a process in new namespaces; a panic there is told on standard error and fails the test.
fn in_process(spaces: u64, inside: impl FnOnce()) {
    let status = wait(start(spaces, inside).1);
    assert_eq!(status.exit_status(), Some(0));
}

fn start(spaces: u64, inside: impl FnOnce()) -> (Pid, std::os::fd::OwnedFd) {
    match clone3(spaces, None).unwrap() {
        Cloned::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(inside));
            exit_now(if done.is_ok() { 0 } else { 1 })
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    }
}

fn wait(pidfd: std::os::fd::OwnedFd) -> WaitIdStatus {
    rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
        .unwrap()
        .unwrap()
}

fn scheduler(policy: Policy) -> Scheduler {
    Scheduler {
        policy,
        nice: 0,
        priority: 0,
        flags: Vec::new(),
        runtime: 0,
        deadline: 0,
        period: 0,
    }
}

/// Fields 19 (nice), 40 (real-time priority) and 41 (policy) of proc_pid_stat(5).
fn stat(pid: Pid) -> [i64; 3] {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    [19, 40, 41].map(|n: usize| fields[n - 3].parse().unwrap())
}

fn paused(test: impl FnOnce(Pid)) {
    let (_read, write) = pipe().unwrap();
    let (reads, _writes) = pipe().unwrap();
    drop(write);
    let (pid, pidfd) = start(flags::NEWUSER, move || {
        let _ = rustix::io::read(&reads, &mut [0; 1]);
    });
    test(pid);
    let _ = soute_sys::process::pidfd_send_signal(&pidfd, Signal::KILL.as_raw());
    wait(pidfd);
}

fn scheduling_is_set_from_outside() {
    paused(|pid| {
        let set = |scheduler: Scheduler| {
            let attributes = Attributes {
                scheduler: Some(scheduler),
                ..Attributes::default()
            };
            attributes.check().unwrap();
            assert!(attributes.is_set_from_outside());
            attributes.apply_from_outside(pid)
        };
        set(Scheduler {
            nice: -5,
            ..scheduler(Policy::Batch)
        })
        .unwrap();
        assert_eq!(stat(pid), [-5, 0, 3]);
        set(Scheduler {
            nice: 7,
            ..scheduler(Policy::Other)
        })
        .unwrap();
        assert_eq!(stat(pid), [7, 0, 0]);
        set(scheduler(Policy::Idle)).unwrap();
        assert_eq!(stat(pid)[2], 5);
        let real_time = Scheduler {
            priority: 12,
            flags: vec![SchedFlag::ResetOnFork],
            ..scheduler(Policy::Rr)
        };
        match set(real_time) {
            Ok(()) => assert_eq!(stat(pid)[1..], [12, 2]),
            // The cgroup that the test runs in may have no real-time share.
            Err(failure) => assert!(failure.message.contains("rt_runtime"), "{failure}"),
        }
    });
    paused(|pid| {
        let attributes = Attributes {
            io_priority: Some(IoPriority {
                class: IoClass::RealTime,
                level: 3,
            }),
            ..Attributes::default()
        };
        attributes.apply_from_outside(pid).unwrap();
        let shown = std::process::Command::new("ionice")
            .args(["-p", &pid.as_raw_nonzero().to_string()])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&shown.stdout).trim(),
            "realtime: prio 3"
        );
    });
}

fn a_deadline_is_set_from_outside() {
    paused(|pid| {
        let attributes = Attributes {
            scheduler: Some(Scheduler {
                runtime: 1_000_000,
                deadline: 50_000_000,
                period: 100_000_000,
                flags: vec![SchedFlag::Reclaim],
                ..scheduler(Policy::Deadline)
            }),
            ..Attributes::default()
        };
        match attributes.apply_from_outside(pid) {
            Ok(()) => assert_eq!(stat(pid)[2], 6),
            Err(failure) => assert!(
                failure.message.contains("sched_setattr(") && failure.message.contains("1000000"),
                "{failure}"
            ),
        }
        // A runtime longer than its period is the kernel's to refuse.
        let mut impossible = attributes;
        impossible.scheduler.as_mut().unwrap().runtime = 200_000_000;
        let failure = impossible.apply_from_outside(pid).unwrap_err();
        assert!(failure.message.contains("Invalid argument"), "{failure}");
    });
}

/// Why the two steps are two.
fn a_user_namespace_cannot_raise_itself() {
    in_process(flags::NEWUSER, || {
        let attributes = Attributes {
            scheduler: Some(Scheduler {
                nice: -5,
                ..scheduler(Policy::Other)
            }),
            ..Attributes::default()
        };
        let me = rustix::process::getpid();
        let failure = attributes.apply_from_outside(me).unwrap_err();
        assert!(failure.message.contains("CAP_SYS_NICE"), "{failure}");
    });
}

fn the_personality_is_seen_by_uname() {
    in_process(0, || {
        let machine = || {
            rustix::system::uname()
                .machine()
                .to_str()
                .unwrap()
                .to_owned()
        };
        let was = machine();
        let set = |personality| {
            let attributes = Attributes {
                personality: Some(personality),
                ..Attributes::default()
            };
            attributes.apply(None).unwrap();
        };
        set(Personality::Linux32);
        assert_ne!(machine(), was);
        set(Personality::Linux);
        assert_eq!(machine(), was);
    });
}

fn cpus_that_are_not_there_are_an_error() {
    in_process(0, || {
        for list in ["60000", "0,60000"] {
            let attributes = Attributes {
                affinity: Affinity {
                    initial: None,
                    last: Some(list.parse().unwrap()),
                },
                ..Attributes::default()
            };
            let failure = attributes.apply(None).unwrap_err();
            let text = format!("execCPUAffinity.final {list}: ");
            assert!(failure.message.starts_with(&text), "{failure}");
        }
    });
}

fn the_affinity_has_two_parts() {
    in_process(flags::NEWUSER, || {
        let now = soute_sys::attributes::sched_getaffinity(None).unwrap();
        let cpus: Vec<u32> = (0..64).filter(|bit| now[0] & (1 << bit) != 0).collect();
        let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
        let attributes = Attributes {
            affinity: Affinity {
                initial: Some(first.to_string().parse().unwrap()),
                last: Some(format!("{first},{last}").parse().unwrap()),
            },
            ..Attributes::default()
        };
        attributes.begin().unwrap();
        let now = || soute_sys::attributes::sched_getaffinity(None).unwrap()[0];
        assert_eq!(now(), 1 << first);
        attributes.apply(None).unwrap();
        assert_eq!(now(), 1 << first | 1 << last);
    });
}

fn a_memory_policy_holds_or_is_told() {
    in_process(flags::NEWUSER, || {
        let policy = |nodes: &str| Attributes {
            memory_policy: Some(MemoryPolicy {
                mode: MemoryMode::Bind,
                nodes: Some(nodes.parse().unwrap()),
                flags: Vec::new(),
            }),
            ..Attributes::default()
        };
        match policy("0").apply(None) {
            Ok(()) => {
                let maps = fs::read_to_string("/proc/self/numa_maps").unwrap();
                assert!(maps.contains("bind:0"), "{maps}");
                let failure = policy("63").apply(None).unwrap_err();
                assert!(
                    failure.message.contains("a node is not on this machine"),
                    "{failure}"
                );
            }
            Err(failure) => assert!(failure.message.contains("no NUMA"), "{failure}"),
        }
    });
}
