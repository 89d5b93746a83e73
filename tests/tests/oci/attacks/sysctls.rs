//! Kernel parameters, and files that only look like the kernel's.

use std::fs;
use std::process::Command;

use serde_json::json;
use soute_tests::output;

use super::link;
use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::namespaces::mapped;

cases![
    a_mount_over_proc_takes_no_value,
    only_what_a_namespace_holds_is_set,
    the_kernels_files_are_not_written_to,
];

/// Whether a container's network forwards, as the kernel has it.
#[track_caller]
fn forwards(bench: &Bench, id: &str) -> String {
    let network = format!("--net=/proc/{}/ns/net", bench.pid(id));
    let mut look = Command::new("nsenter");
    look.args([&network, "cat", "/proc/sys/net/ipv4/ip_forward"]);
    output(&mut look).text().to_owned()
}

/// CVE-2025-52881, CVE-2025-62596, and before them CVE-2019-16884: a mount over the container's /proc takes a value for
/// itself, or leads it to another of the kernel's files. The defences are the procfs of its own in process/sysctl.rs,
/// without which the value is in the decoy, and that nothing is mounted in a procfs (mounts/place.rs).
fn a_mount_over_proc_takes_no_value(bench: &mut Bench) {
    let decoy = bench.path("decoy");
    let taken = decoy.join("sys/net/ipv4/ip_forward");
    fs::create_dir_all(taken.parent().unwrap()).unwrap();
    fs::create_dir(decoy.join("self")).unwrap();
    fs::write(&taken, "decoy\n").unwrap();
    let decoy = decoy.display().to_string();
    for user_namespace in [false, true] {
        let wanted = |bench: &mut Bench| -> Bundle {
            let mut bundle = bench.sleeper();
            if user_namespace {
                mapped(&mut bundle);
            }
            bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
            bundle.set("/linux/readonlyPaths", json!([]));
            bundle.set("/linux/maskedPaths", json!([]));
            bundle
        };
        // In the place of the kernel's.
        for (kind, source, options) in [
            ("bind", decoy.as_str(), &["bind"][..]),
            ("tmpfs", "tmpfs", &[]),
        ] {
            let mut bundle = wanted(bench);
            bundle.without("/mounts", |mount| mount["destination"] == "/proc");
            bundle.mount(kind, source, "/proc", options);
            let id = bench.start(&bundle);
            assert_eq!(forwards(bench, &id), "1", "{kind}");
        }
        // In it: a folder, and another of the kernel's files, by way of a link, too.
        let folder = format!("{decoy}/sys/net");
        let other = "/proc/sys/kernel/domainname";
        for (source, place) in [
            (folder.as_str(), "/proc/sys/net"),
            (&folder, "/way/net"),
            (other, "/proc/sys/net/ipv4/ip_forward"),
            (other, "/way/net/ipv4/ip_forward"),
        ] {
            let mut bundle = wanted(bench);
            link(&bundle, "way", "/proc/sys");
            bundle.mount("bind", source, place, &["bind"]);
            bench.run(&bundle).fails(1, &["lies in /proc"]);
        }
    }
    assert_eq!(fs::read_to_string(&taken).unwrap(), "decoy\n");
}

/// CVE-2022-0811: a name or a value that sets what is the whole machine's. The defence is crates/runtime/src/sysctls.rs.
fn only_what_a_namespace_holds_is_set(bench: &mut Bench) {
    let pattern = "/proc/sys/kernel/core_pattern";
    let before = fs::read_to_string(pattern).unwrap();
    // Should it be possible, nothing is changed.
    let now = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/{name}")).unwrap();
        text.trim().to_owned()
    };
    let same = before.trim();
    let two = format!("1\nkernel.core_pattern={same}");
    for (name, value) in [
        ("kernel.core_pattern", same),
        ("kernel/core_pattern", same),
        ("net/../kernel/core_pattern", same),
        ("net.../kernel/core_pattern", same),
        ("net.ipv4/../../kernel.core_pattern", same),
        ("fs.mqueue../../kernel/core_pattern", same),
        ("net.ipv4.ip_forward", &two),
        ("vm.overcommit_memory", &now("vm/overcommit_memory")),
        ("kernel.panic", &now("kernel/panic")),
        ("fs.file-max", &now("fs/file-max")),
        ("", "1"),
    ] {
        let mut bundle = bench.bundle();
        bundle.set("/linux/sysctl", json!({name: value}));
        bench.refuses(&bundle);
    }
    for (shared, name) in [("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shmmax")] {
        let mut bundle = bench.bundle();
        bundle.without_namespace(shared);
        bundle.set("/linux/sysctl", json!({name: now(&name.replace('.', "/"))}));
        bench.refuses(&bundle);
    }
    assert_eq!(fs::read_to_string(pattern).unwrap(), before);
}

/// What the configuration masks and makes read-only is so for root, too. The defence is mounts/mask.rs.
fn the_kernels_files_are_not_written_to(bench: &mut Bench) {
    let script = "
        for file in /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger \
            /proc/irq/default_smp_affinity /proc/sys/vm/overcommit_memory; do
            test -e $file || continue
            # Opened, not written to: should it be possible, nothing is changed.
            (exec 3>> $file) 2>/dev/null && echo WRITABLE $file
        done
        for file in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats; do
            test -e $file && test -s $file && echo FULL $file
            test -e $file && head -c 1 $file | grep -q . && echo READ $file
        done
        for folder in /proc/acpi /proc/scsi /sys/firmware; do
            test -z \"$(ls $folder 2>/dev/null)\" || echo SEEN $folder
        done
        echo end";
    for user_namespace in [false, true] {
        let mut bundle = bench.bundle();
        if user_namespace {
            mapped(&mut bundle);
        }
        bundle.sh(script);
        bench.run(&bundle).success().prints("end");
    }
}
