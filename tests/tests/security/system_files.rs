//! /proc, /sys and the cgroups: what the machine does not show, and what cannot be written.

use crate::attack::{Attack, USER_NAMESPACES};

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What of the kernel a program would like to write to.
const KERNELS: [&str; 8] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/vm/swappiness",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/profiling",
    "/sys/kernel/mm/ksm/run",
    "/sys/module/kernel/parameters/panic",
];

/// The defence is the runtime's mounts/mask.rs and the list in the engine's plan.rs.
#[test]
fn masked_files_show_nothing() {
    let attack = Attack::new();
    for userns in USER_NAMESPACES {
        let script = format!(
            "for f in {}; do if test -d $f; then ls -A $f; elif test -e $f; then cat $f; fi; done; echo end",
            MASKED.join(" ")
        );
        attack
            .run(&["--userns", userns], &["sh", "-c", &script])
            .success()
            .prints("end");
    }
    // There is something to hide.
    assert!(
        !std::fs::read_to_string("/proc/interrupts")
            .unwrap()
            .is_empty()
    );
}

/// The defence is `make_readonly` in the runtime's mounts/mask.rs and, for /sys and the cgroups, `RDONLY` in the
/// engine's plan/mounts.rs. (In a user namespace the files' owners are nobody's besides.)
#[test]
fn the_kernel_is_not_written_to() {
    let attack = Attack::new();
    for userns in USER_NAMESPACES {
        for file in KERNELS {
            // Nothing is opened for writing, and should it be, nothing changes.
            let script = format!("test -e {file} || exit 9; : >> {file}");
            let outcome = attack.run(&["--userns", userns], &["sh", "-c", &script]);
            if outcome.code != 9 {
                outcome.fails(1, &["can't create"]);
            }
        }
    }
}

/// With a namespace of the machine's under a user namespace of its own the kernel gives no new procfs or sysfs: the
/// machine's are bound, with all that is mounted on them. What is masked and read-only else is so there. The defence is
/// the same, and `RDONLY` for a bound /sys, with all below it, in the engine's plan/mounts.rs.
#[test]
fn the_machines_own_proc_and_sys_show_and_take_no_more() {
    let attack = Attack::new();
    let mut script = String::new();
    for path in MASKED {
        script += &format!(
            "if test -d {path}; then ls -A {path}; elif test -e {path}; then cat {path}; fi; \
             test -e {path} && ! grep -q ' {path} ' /proc/self/mountinfo && echo UNMASKED {path};\n"
        );
    }
    for path in KERNELS {
        // Nothing is written, should it be opened.
        script += &format!("test -e {path} && (: >> {path}) && echo WRITABLE {path};\n");
    }
    // Whoever owns the files, they could not be written: neither where they are nor where the machine mounts more.
    for path in ["bus", "fs", "irq", "sys", "sysrq-trigger"] {
        script += &format!(
            "test -e /proc/{path} && ! grep -q ' /proc/{path} ro[, ]' /proc/self/mountinfo && echo WRITABLE /proc/{path};\n"
        );
    }
    script += "awk '$5 ~ /^\\/sys(\\/|$)/ && $6 !~ /^ro(,|$)/ {print \"WRITABLE\", $0}' /proc/self/mountinfo; echo end";
    for userns in USER_NAMESPACES {
        for shared in [
            &["--pid", "host"][..],
            &["--network", "host"],
            &["--ipc", "host"],
            &["--pid", "host", "--network", "host", "--ipc", "host"],
        ] {
            let flags = [&["--userns", userns], shared].concat();
            attack
                .run(&flags, &["sh", "-c", &script])
                .success()
                .prints("end");
        }
    }
}

/// CVE-2022-0492 and CVE-2023-25809: a container that can write to cgroup files has a program executed by the machine's
/// root (release_agent), or lifts its own limits. The defence is `RDONLY` in the engine's plan/mounts.rs and the cgroup
/// namespace.
#[test]
fn cgroups_are_seen_and_not_changed() {
    let attack = Attack::new();
    for userns in USER_NAMESPACES {
        let script = "cd /sys/fs/cgroup; \
            for d in . */; do \
                mkdir ${d}attack 2>/dev/null && echo MADE $d; \
                for f in release_agent notify_on_release tasks cgroup.procs memory.limit_in_bytes memory.max devices.allow; do \
                    test -e $d/$f && echo 0 > $d/$f && echo WRITTEN $d/$f; \
                done; \
            done 2>/dev/null; ls -d */; cat /proc/self/cgroup";
        let outcome = attack.run(&["--userns", userns], &["sh", "-c", script]);
        outcome.success().shows_not("WRITTEN").shows_not("MADE");
        // Its own cgroup is the root of all that it sees.
        let paths = outcome
            .stdout
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2));
        let strange: Vec<_> = paths.filter(|path| *path != "/").collect();
        assert!(strange.is_empty(), "{strange:?}");
    }
}
