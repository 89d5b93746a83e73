//! The old root is out of reach.

use crate::attack::{Attack, USER_NAMESPACES};

/// Walking out by `..`, /proc, a chroot in the chroot, or a file handle. The defences are pivot_root with the old root
/// unmounted (the runtime's mounts/place.rs, `pivot`) and, for handles, that CAP_DAC_READ_SEARCH is not given.
#[test]
fn no_way_leads_out() {
    let attack = Attack::new();
    attack.program("escape", include_str!("programs/escape.c"));
    let secret = attack.outside.join("secret");
    let secret = secret.to_str().unwrap();
    for userns in USER_NAMESPACES {
        let flags = ["--userns", userns];
        let outcome = attack.run(&flags, &["escape", secret]);
        outcome
            .success()
            .shows("walked")
            .shows("open_by_handle_at: Operation not permitted")
            .shows_not("FOUND");
        attack.start(
            "box",
            &flags,
            &["sh", "-c", "echo up; exec sleep 1000"],
            "up",
        );
        attack
            .world
            .soute(["exec", "box", "escape", secret])
            .success()
            .shows("walked")
            .shows_not("FOUND");
        attack.world.soute(["rm", "-f", "box"]).success();
    }
}

/// The machine's mounts are not among the container's.
#[test]
fn the_mount_table_is_the_containers() {
    let attack = Attack::new();
    for userns in USER_NAMESPACES {
        let outcome = attack.run(&["--userns", userns], &["cat", "/proc/self/mountinfo"]);
        let points: Vec<&str> = outcome
            .text()
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .collect();
        assert!(points.len() < 50, "{points:#?}");
        let known = |point: &&str| {
            ["/", "/proc", "/sys", "/dev", "/etc"]
                .iter()
                .any(|top| point == top || (*top != "/" && point.starts_with(&format!("{top}/"))))
        };
        let strange: Vec<_> = points.iter().filter(|point| !known(point)).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }
}
