//! The system call filter.

use soute_tests::World;

#[test]
fn the_default_filter_refuses_what_dockers_does() {
    let world = World::new();
    // Not for want of a capability: with all of them the filter still says no to the rest.
    let script = "unshare -U true || echo no new user namespace; mount -t tmpfs none /tmp || echo no mount; swapoff -a; echo done";
    world
        .sh(&[], script)
        .shows("no new user namespace")
        .shows("no mount");
    world
        .sh(
            &["--security-opt", "seccomp=unconfined"],
            "unshare -U true && echo new; grep Seccomp: /proc/self/status",
        )
        .prints("new\nSeccomp:\t0");
    // The profile opens calls for capabilities.
    world
        .sh(&["--cap-add", "SYS_ADMIN"], "unshare -U true && echo new")
        .prints("new");
}

#[test]
fn a_profile_of_ones_own() {
    let world = World::new();
    let profile = world.path("profile.json");
    std::fs::write(&profile, r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}]}"#).unwrap();
    let option = format!("seccomp={}", profile.display());
    let outcome = world.sh(
        &["--security-opt", &option],
        "mkdir /tmp/x; touch /tmp/y && echo touched",
    );
    outcome.prints("touched");
    assert!(
        outcome.stderr.contains("Read-only file system"),
        "{outcome}"
    );

    for text in [
        "",
        "{",
        r#"{"defaultAction": "SCMP_ACT_NO_SUCH"}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": 1}"#,
        // Nobody is there to be asked.
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/listener",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}"#,
    ] {
        std::fs::write(&profile, text).unwrap();
        world.sh(&["--security-opt", &option], "true").code(125);
    }
    world
        .sh(&["--security-opt", "seccomp=/no/such/file"], "true")
        .code(125);
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn inspect_tells_each_calls_fate() {
    let world = World::new();
    let id = world.detached(["busybox", "sleep", "1000"]);
    let seccomp = world.inspect(&id)["Isolation"]["Seccomp"].clone();
    let native = seccomp["architectures"][0].as_str().unwrap();
    assert_eq!(native, std::env::consts::ARCH);
    let named = |fate: &str, call: &str| {
        seccomp["calls"][fate]
            .as_array()
            .unwrap()
            .contains(&call.into())
    };
    assert!(
        named("allow", "openat") && !named("allow", "mount") && !named("allow", "keyctl"),
        "{seccomp}"
    );
    // What newer kernels have is unknown to the program, which then takes the older way.
    assert!(
        named("ENOSYS", "clone3") && seccomp["above"] == "ENOSYS",
        "{seccomp}"
    );
    assert!(
        seccomp["default"].as_str().unwrap().contains("EPERM"),
        "{seccomp}"
    );
    assert!(
        seccomp["by_arguments"]["personality"].is_array(),
        "{seccomp}"
    );
    let unconfined = world.detached([
        "--security-opt",
        "seccomp=unconfined",
        "busybox",
        "sleep",
        "1000",
    ]);
    assert!(world.inspect(&unconfined)["Isolation"]["Seccomp"].is_null());
}
