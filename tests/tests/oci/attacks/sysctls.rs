//! Kernel parameters, and files that only look like the kernel's.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;
use soute_tests::output;

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
/// itself, or leads it to another of the kernel's files. The first defence is mounts/place.rs, which mounts nothing there;
/// the second the procfs of its own in process/sysctl.rs: without it the value is lost where /proc is no procfs at all.
fn a_mount_over_proc_takes_no_value(bench: &mut Bench) {
    let decoy = bench.path("decoy");
    fs::create_dir_all(decoy.join("ipv4")).unwrap();
    fs::write(decoy.join("ipv4/ip_forward"), "decoy\n").unwrap();
    let wanted = |bench: &mut Bench, user_namespace: bool| -> Bundle {
        let mut bundle = bench.sleeper();
        if user_namespace {
            mapped(&mut bundle);
        }
        bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        bundle.set("/linux/readonlyPaths", json!([]));
        bundle
    };
    for user_namespace in [false, true] {
        // A folder that is not the kernel's.
        let mut bundle = wanted(bench, user_namespace);
        let source = decoy.display().to_string();
        bundle.mount("bind", &source, "/proc/sys/net", &["bind"]);
        bench.refuses(&bundle);
        // A file that is.
        let mut bundle = wanted(bench, user_namespace);
        let other = "/proc/sys/kernel/domainname";
        bundle.mount("bind", other, "/proc/sys/net/ipv4/ip_forward", &["bind"]);
        bench.refuses(&bundle);
        // By way of a link of the image's.
        let mut bundle = wanted(bench, user_namespace);
        symlink("/proc/sys/net", bundle.rootfs().join("way")).unwrap();
        bundle.mount("bind", &source, "/way", &["bind"]);
        bench.refuses(&bundle);
        // All of it.
        let mut bundle = wanted(bench, user_namespace);
        bundle.without("/mounts", |mount| mount["destination"] == "/proc");
        bundle.set("/linux/maskedPaths", json!([]));
        bundle.mount("tmpfs", "tmpfs", "/proc", &[]);
        let id = bench.start(&bundle);
        assert_eq!(forwards(bench, &id), "1");
        bench.call(&["delete", "--force", &id]).success();
    }
    let left = fs::read_to_string(decoy.join("ipv4/ip_forward")).unwrap();
    assert_eq!(left, "decoy\n");
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
