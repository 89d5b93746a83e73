//! What is wrong is told, with nothing half-made.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    no_configuration,
    a_configuration_that_is_a_folder,
    an_empty_configuration,
    text_that_is_no_json,
    json_that_is_no_object,
    fields_of_another_type,
    a_version_of_another_major,
    a_version_that_is_none,
    no_version,
    a_later_minor_version_is_taken,
    unknown_fields_are_passed_over,
    no_process,
    no_arguments,
    an_empty_argument_list,
    no_working_directory,
    no_root,
    an_empty_root,
    a_root_that_is_not_there,
    a_root_that_is_a_file,
    an_unknown_capability,
    ids_that_are_not_mapped,
    ids_that_are_too_large,
    negative_ids,
    a_map_that_overlaps,
    an_empty_map_entry,
    a_container_of_another_system,
    a_mount_without_a_destination,
    an_unknown_rlimit,
    negative_limits,
    a_variable_without_a_sign,
    a_mount_namespace_is_needed,
    apparmor_that_the_kernel_lacks,
    selinux_that_the_kernel_lacks,
    intel_rdt_that_the_machine_lacks,
    an_oom_score_out_of_range,
    errors_are_one_line_of_json,
    errors_are_text_if_asked,
    errors_go_to_standard_error_too,
    a_log_that_cannot_be_written,
    a_broken_state_is_told_and_removed,
    deep_json,
    a_huge_configuration,
];

#[track_caller]
fn refuses_text(bench: &mut Bench, text: &str) {
    let bundle = bench.bundle();
    bundle.write_text(text);
    bench.refuses_as_it_is(&bundle);
}

/// Sets one thing, and asks for a refusal.
#[track_caller]
fn refuses(bench: &mut Bench, pointer: &str, value: Value) {
    let mut bundle = bench.bundle();
    bundle.set(pointer, value);
    bench.refuses(&bundle);
}

fn no_configuration(bench: &mut Bench) {
    let bundle = bench.bundle();
    bench.refuses_as_it_is(&bundle).code(1);
}

fn a_configuration_that_is_a_folder(bench: &mut Bench) {
    let bundle = bench.bundle();
    fs::create_dir(bundle.folder().join("config.json")).unwrap();
    bench.refuses_as_it_is(&bundle).code(1);
}

fn an_empty_configuration(bench: &mut Bench) {
    refuses_text(bench, "");
    refuses_text(bench, "{}");
}

fn text_that_is_no_json(bench: &mut Bench) {
    refuses_text(bench, "ociVersion = 1.0.2");
    let whole = bench.bundle().config.to_string();
    refuses_text(bench, &whole[..whole.len() / 2]);
}

fn json_that_is_no_object(bench: &mut Bench) {
    refuses_text(bench, "[]");
    refuses_text(bench, "\"1.0.2\"");
}

fn fields_of_another_type(bench: &mut Bench) {
    for (pointer, value) in [
        ("/process/args", json!("true")),
        ("/process/user/uid", json!("0")),
        ("/process", json!([])),
        ("/mounts", json!({})),
        ("/linux/namespaces", json!("pid")),
        ("/root", json!("rootfs")),
        ("/linux/resources/pids/limit", json!("many")),
    ] {
        let mut bundle = bench.bundle();
        bundle.set(pointer, value);
        let outcome = bench.run(&bundle);
        assert_ne!(outcome.code, 0, "{pointer}: {outcome}");
    }
    bench.has_logged_an_error();
}

fn a_version_of_another_major(bench: &mut Bench) {
    refuses(bench, "/ociVersion", json!("2.0.0"));
    refuses(bench, "/ociVersion", json!("0.9.0"));
}

fn a_version_that_is_none(bench: &mut Bench) {
    refuses(bench, "/ociVersion", json!("one"));
}

fn no_version(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/ociVersion");
    bench.refuses(&bundle);
}

fn a_later_minor_version_is_taken(bench: &mut Bench) {
    for version in ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0"] {
        let mut bundle = bench.bundle();
        bundle
            .set("/ociVersion", json!(version))
            .args(&["echo", "works"]);
        bench.run(&bundle).success().prints("works");
    }
}

/// "Implementations … MUST NOT generate an error if they encounter an unknown property" (config.md).
fn unknown_fields_are_passed_over(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    for pointer in ["/later", "/process/later", "/linux/later", "/root/later"] {
        bundle.set(pointer, json!({"a": [1]}));
    }
    bundle.args(&["echo", "works"]);
    bench.run(&bundle).success().prints("works");
}

fn no_process(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/process");
    bench.refuses(&bundle);
}

fn no_arguments(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/process/args");
    bench.refuses(&bundle);
}

fn an_empty_argument_list(bench: &mut Bench) {
    refuses(bench, "/process/args", json!([]));
    refuses(bench, "/process/args", json!([""]));
}

fn no_working_directory(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/process/cwd");
    bench.refuses(&bundle);
}

fn no_root(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/root");
    bench.refuses(&bundle);
}

fn an_empty_root(bench: &mut Bench) {
    refuses(bench, "/root/path", json!(""));
}

fn a_root_that_is_not_there(bench: &mut Bench) {
    refuses(bench, "/root/path", json!("no-such-folder"));
    refuses(bench, "/root/path", json!("/no/such/folder"));
}

fn a_root_that_is_a_file(bench: &mut Bench) {
    refuses(bench, "/root/path", json!("rootfs/etc/passwd"));
}

fn an_unknown_capability(bench: &mut Bench) {
    let bogus = json!(["CAP_BOGUS"]);
    refuses(bench, "/process/capabilities/bounding", bogus);
}

fn ids_that_are_not_mapped(bench: &mut Bench) {
    for user in [
        json!({"uid": 70_000, "gid": 0}),
        json!({"uid": 0, "gid": 70_000}),
        json!({"uid": 0, "gid": 0, "additionalGids": [70_000]}),
    ] {
        let mut bundle = bench.bundle();
        crate::namespaces::mapped(&mut bundle);
        bundle.set("/process/user", user);
        bench.refuses(&bundle);
    }
}

/// CVE-2026-30892: another user, or root.
fn ids_that_are_too_large(bench: &mut Bench) {
    for uid in [4_294_967_296_u64, 99_999_999_999, u64::MAX] {
        refuses(bench, "/process/user/uid", json!(uid));
    }
}

fn negative_ids(bench: &mut Bench) {
    refuses(bench, "/process/user/uid", json!(-1));
    refuses(bench, "/process/user/gid", json!(-1));
}

#[track_caller]
fn refuses_map(bench: &mut Bench, map: Value) {
    let mut bundle = bench.bundle();
    crate::namespaces::mapped(&mut bundle);
    bundle.set("/linux/uidMappings", map.clone());
    bundle.set("/linux/gidMappings", map);
    bench.refuses(&bundle);
}

fn a_map_that_overlaps(bench: &mut Bench) {
    let map = json!([
        {"containerID": 0, "hostID": 100_000, "size": 10},
        {"containerID": 5, "hostID": 200_000, "size": 10},
    ]);
    refuses_map(bench, map);
}

fn an_empty_map_entry(bench: &mut Bench) {
    refuses_map(
        bench,
        json!([{"containerID": 0, "hostID": 100_000, "size": 0}]),
    );
}

fn a_container_of_another_system(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/linux");
    bundle.set("/windows", json!({"layerFolders": ["x"]}));
    bench.refuses(&bundle);
}

fn a_mount_without_a_destination(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push("/mounts", json!({"type": "tmpfs", "source": "tmpfs"}));
    bench.refuses(&bundle);
}

fn an_unknown_rlimit(bench: &mut Bench) {
    let rlimits = json!([{"type": "NOFILE", "soft": 1, "hard": 1}]);
    refuses(bench, "/process/rlimits", rlimits);
}

fn negative_limits(bench: &mut Bench) {
    let rlimits = json!([{"type": "RLIMIT_NOFILE", "soft": -5, "hard": -5}]);
    refuses(bench, "/process/rlimits", rlimits);
}

fn a_variable_without_a_sign(bench: &mut Bench) {
    let mark = bench.mark();
    refuses(bench, "/process/env", json!(["PATH=/bin", "NOTHING", mark]));
}

/// Without one, the container's mounts would be the machine's.
fn a_mount_namespace_is_needed(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without_namespace("mount");
    let before = soute_tests::mounts();
    bench.run(&bundle);
    assert_eq!(soute_tests::mounts(), before);
}

fn has(path: &str) -> bool {
    fs::exists(path).unwrap()
}

fn apparmor_that_the_kernel_lacks(bench: &mut Bench) {
    if has("/sys/kernel/security/apparmor") {
        return;
    }
    refuses(bench, "/process/apparmorProfile", json!("some-profile"));
}

fn selinux_that_the_kernel_lacks(bench: &mut Bench) {
    if has("/sys/fs/selinux/enforce") {
        return;
    }
    let label = json!("system_u:system_r:container_t:s0:c1,c2");
    refuses(bench, "/process/selinuxLabel", label);
}

fn intel_rdt_that_the_machine_lacks(bench: &mut Bench) {
    if has("/sys/fs/resctrl/schemata") {
        return;
    }
    let schema = json!({"l3CacheSchema": "L3:0=f"});
    refuses(bench, "/linux/intelRdt", schema);
}

fn an_oom_score_out_of_range(bench: &mut Bench) {
    refuses(bench, "/process/oomScoreAdj", json!(1001));
    refuses(bench, "/process/oomScoreAdj", json!(-1001));
}

/// A bundle that nobody can run.
#[track_caller]
fn broken(bench: &mut Bench) -> Bundle {
    let mut bundle = bench.bundle();
    bundle.args(&["no-such-program\n\"quoted\""]);
    bundle.write();
    bundle
}

/// Podman reads the whole file as one object.
fn errors_are_one_line_of_json(bench: &mut Bench) {
    let bundle = broken(bench);
    bench.run_as_it_is(&bundle, &[]);
    let log = fs::read_to_string(bench.path("log")).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    let entry: Value = serde_json::from_str(log.trim()).expect("JSON");
    assert_eq!(entry["level"], "error");
    // RFC 3339, which containerd parses or shows nothing.
    let time = entry["time"].as_str().unwrap();
    assert!(time.len() > 18 && time.as_bytes()[10] == b'T', "{time}");
}

fn errors_are_text_if_asked(bench: &mut Bench) {
    let bundle = broken(bench);
    let (id, log) = (bench.id(), bench.text("text-log"));
    let mut command = bench.runtime.command();
    command.arg("--root").arg(bench.path("state"));
    command.args(["--log", &log, "--log-format", "text", "run", "--bundle"]);
    let outcome = soute_tests::output(command.arg(bundle.folder()).arg(id));
    assert_ne!(outcome.code, 0, "{outcome}");
    let text = fs::read_to_string(log).unwrap();
    assert!(text.contains("no-such-program"), "{text}");
    assert!(!text.starts_with('{'), "{text}");
}

fn errors_go_to_standard_error_too(bench: &mut Bench) {
    let bundle = broken(bench);
    let outcome = bench.run_as_it_is(&bundle, &[]);
    outcome.fails(1, &["no-such-program"]);
    assert_eq!(outcome.stdout, "");
}

fn a_log_that_cannot_be_written(bench: &mut Bench) {
    let bundle = bench.bundle();
    bundle.write();
    let id = bench.id();
    let mut command = bench.runtime.command();
    command.arg("--root").arg(bench.path("state"));
    command.args(["--log", &bench.text("no-folder/log"), "run", "--bundle"]);
    let outcome = soute_tests::output(command.arg(bundle.folder()).arg(id));
    assert_ne!(outcome.code, 0, "{outcome}");
}

/// What a fault has left of a state.
fn a_broken_state_is_told_and_removed(bench: &mut Bench) {
    let bundle = bench.bundle();
    // The runtime's own folder of a container, whatever it is in it.
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    let folder = bench.path("state").join(&id);
    let files = fs::read_dir(&folder).unwrap().flatten();
    let mut broken = 0;
    for file in files.filter(|file| file.path().extension().is_some_and(|end| end == "json")) {
        fs::write(file.path(), "{").unwrap();
        broken += 1;
    }
    if broken == 0 {
        for file in fs::read_dir(&folder).unwrap().flatten() {
            let _ = fs::write(file.path(), "{");
        }
    }
    let state = bench.call(&["state", &id]);
    assert_ne!(state.code, 0, "{state}");
    bench.call(&["delete", "--force", &id]).success();
    assert!(!folder.exists());
}

fn deep_json(bench: &mut Bench) {
    let deep = "[".repeat(100_000);
    refuses_text(
        bench,
        &format!("{{\"ociVersion\": \"1.0.2\", \"later\": {deep}"),
    );
}

fn a_huge_configuration(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let long = "x".repeat(1 << 20);
    let annotations: serde_json::Map<String, Value> = (0..4)
        .map(|number| (format!("org.example.{number}"), json!(long)))
        .collect();
    bundle.set("/annotations", Value::Object(annotations));
    bundle.args(&["echo", "works"]);
    bench.run(&bundle).success().prints("works");
}
