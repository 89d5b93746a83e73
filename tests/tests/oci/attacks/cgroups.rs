//! The machine's cgroups.

use serde_json::json;

use super::with_the_machine_in_sight;
use crate::bench::Bench;
use crate::case::cases;
use crate::namespaces::mapped;

cases![cgroups_are_seen_and_not_changed];

/// CVE-2022-0492, CVE-2023-25809: a program moves itself, raises its limits, makes cgroups or sets a release agent. The
/// defences are that what is mounted is the container's own part, and read-only as its configuration says
/// (mounts/cgroup.rs).
fn cgroups_are_seen_and_not_changed(bench: &mut Bench) {
    let script = "
        cd /sys/fs/cgroup || exit
        find . -name cgroup.procs | grep -q . || echo nothing seen
        find . -name release_agent | grep . && echo FOUND
        for folder in . $(find . -type d); do
            # Around version 1's hierarchies is memory of the container's own.
            test -e $folder/cgroup.procs || continue
            mkdir $folder/made 2>/dev/null && echo MADE $folder
        done
        for file in $(find . -name cgroup.procs -o -name tasks -o -name notify_on_release -o -name '*.max' \
            -o -name '*.limit_in_bytes' -o -name devices.allow -o -name cgroup.subtree_control); do
            echo 1 2>/dev/null > $file && echo WRITTEN $file
        done
        mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo REMOUNTED
        echo end";
    for user_namespace in [false, true] {
        for cgroup_namespace in [false, true] {
            let mut bundle = bench.bundle();
            if user_namespace {
                mapped(&mut bundle);
            }
            if cgroup_namespace {
                bundle.namespace("cgroup", None);
            }
            with_the_machine_in_sight(&mut bundle);
            bundle.set("/linux/resources/pids", json!({"limit": 100}));
            bundle.sh(script);
            bench.run(&bundle).success().prints("end");
        }
    }
}
