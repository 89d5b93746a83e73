//! AppArmor and SELinux: a profile or label that is asked for is refused, not left out; to want none is granted.

use std::fs;
use std::path::Path;

use soute_tests::{Mounted, World};

/// A kernel whose modules are those that the test says, for whoever looks in the test's mount namespace.
fn pretend(apparmor: bool) -> Mounted {
    let modules = Mounted::empty("/sys/module");
    if apparmor {
        let parameters = modules.path().join("apparmor/parameters");
        fs::create_dir_all(&parameters).unwrap();
        fs::write(parameters.join("enabled"), "Y\n").unwrap();
    }
    modules
}

#[track_caller]
fn refused(world: &World, option: &str, reason: &str) {
    let words = [option, reason];
    world
        .sh(&["--security-opt", option], "true")
        .fails(125, &words);
    world
        .soute(["create", "--security-opt", option, "busybox", "true"])
        .fails(125, &words);
    assert!(world.soute(["ps", "-aq"]).text().is_empty(), "{option}");
}

#[test]
fn a_profile_is_refused_with_the_reason() {
    let world = World::new();
    for (apparmor, reason) in [
        (false, "AppArmor is not enabled"),
        (
            true,
            "profiles of AppArmor and labels of SELinux are not built",
        ),
    ] {
        let _modules = pretend(apparmor);
        refused(&world, "apparmor=mine", reason);
        refused(&world, "apparmor=docker-default", reason);
    }
    for option in ["apparmor", "apparmor="] {
        refused(&world, option, "needs a value");
    }
}

#[test]
fn a_label_is_refused_with_the_reason() {
    let world = World::new();
    let reason = match Path::new("/sys/fs/selinux").is_dir() {
        true => "profiles of AppArmor and labels of SELinux are not built",
        false => "SELinux is not enabled",
    };
    for option in ["label=type:x", "label=user:x", "label=level:s0:c1,c2"] {
        refused(&world, option, reason);
    }
    // One that is refused is not excused by one that is not.
    let flags = ["label=disable", "label=type:x"].map(|option| ["--security-opt", option]);
    world
        .sh(&flags.concat(), "true")
        .fails(125, &["label=type:x", reason]);
}

#[test]
fn to_want_none_is_granted_and_shown() {
    let world = World::new();
    let options = ["apparmor=unconfined", "label=disable"];
    let flags = options.map(|option| ["--security-opt", option]).concat();
    world.sh(&flags, "echo runs").success().prints("runs");
    let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
    let told = world.inspect(&id)["HostConfig"]["SecurityOpt"].clone();
    assert_eq!(told, serde_json::json!(options));
}
