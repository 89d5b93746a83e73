//! Parts of the root are exchanged while the container is made.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use soute_tests::Running;

use super::{Outside, program, with_the_machine_in_sight};
use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    a_mount_target_exchanged_meanwhile_stays_inside,
    a_procfs_target_exchanged_meanwhile_stays_inside,
    a_working_directory_exchanged_meanwhile_stays_inside,
];

/// Containers that are made while the folder /shared/d of the root and a link to the outside change places.
#[track_caller]
fn race(bench: &mut Bench, prepare: impl Fn(&mut Bundle)) {
    let outside = Outside::new(bench);
    let mut reached = 0;
    for machine_in_sight in [false, true] {
        let mut bundle = bench.bundle();
        if machine_in_sight {
            with_the_machine_in_sight(&mut bundle);
        }
        bundle.set("/root/readonly", json!(false));
        prepare(&mut bundle);
        let source = include_str!("../../security/programs/exchange.c");
        let exchange = program(bench, &bundle, "exchange", source);
        let shared = bundle.rootfs().join("shared");
        fs::create_dir(&shared).unwrap();
        let mut attacker = Command::new(exchange);
        attacker.arg(shared).arg(outside.up()).stdin(Stdio::null());
        let mut attacker = Running::start(&mut attacker);
        attacker.expect("exchanging");
        for _ in 0..20 {
            let outcome = bench.run(&bundle);
            // The link may stand there when the folder is to be made, or again when the program looks.
            assert!([0, 1].contains(&outcome.code), "{outcome}");
            reached += u32::from(outcome.code == 0);
        }
        assert!(attacker.is_running());
        drop(attacker);
        outside.is_untouched();
    }
    assert!(reached > 0, "no container came as far as its program");
}

/// CVE-2021-30465. The defence is that the kernel resolves a target in one go and inside (`IN_ROOT` in mounts/root.rs),
/// and that what it found is mounted on by descriptor. Without the flag, folders are made outside while hooks have the
/// machine in sight.
fn a_mount_target_exchanged_meanwhile_stays_inside(bench: &mut Bench) {
    race(bench, |bundle| {
        bundle.mount("tmpfs", "tmpfs", "/shared/d/x", &[]);
        bundle.mount("tmpfs", "tmpfs", "/shared/d/y/z", &[]);
        bundle.sh("echo x > /shared/d/x/y");
    });
}

/// The same where a link is refused, besides being kept inside: it takes both away to see it fail.
fn a_procfs_target_exchanged_meanwhile_stays_inside(bench: &mut Bench) {
    race(bench, |bundle| {
        bundle.mount("proc", "proc", "/shared/d/proc", &[]);
        bundle.sh("test -e /shared/d/proc/self");
    });
}

/// The same for the folder that is made for the program to begin in: that is after pivot_root, hooks or not, when there
/// is no outside.
fn a_working_directory_exchanged_meanwhile_stays_inside(bench: &mut Bench) {
    race(bench, |bundle| {
        bundle.set("/process/cwd", json!("/shared/d/made/deep"));
        bundle.sh("echo x > x");
    });
}
