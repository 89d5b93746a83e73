//! Numbers of users and groups.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::case::cases;

cases![
    an_id_is_a_number_in_range,
    exec_takes_numbers_alone,
    a_containers_id_is_no_path,
];

/// CVE-2026-30892, CVE-2026-46680: what is too large, or -1, which to the kernel is "no change", makes the program root.
/// The defence is `check_ids` in crates/runtime/src/spec/process.rs; without it 4294967295 is root in a release build.
fn an_id_is_a_number_in_range(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["id"]);
    let wrong = [
        json!(4_294_967_295_u64),
        json!(4_294_967_296_u64),
        json!(18_446_744_073_709_551_615_u64),
        json!(-1),
        json!(-0.5),
        json!("0"),
        json!("root"),
        json!("1000"),
    ];
    for id in &wrong {
        for pointer in ["/process/user/uid", "/process/user/gid"] {
            bundle.set(pointer, id.clone());
            bench.refuses(&bundle);
            bundle.set(pointer, json!(0));
        }
        bundle.set("/process/user/additionalGids", json!([1000, id]));
        bench.refuses(&bundle);
        bundle.set("/process/user/additionalGids", json!([]));
    }
    // The largest that there is.
    let largest = 4_294_967_294_u64;
    bundle.set("/process/user", json!({"uid": largest, "gid": largest}));
    let outcome = bench.run(&bundle);
    outcome.success().shows("uid=4294967294 gid=4294967294");
}

/// The same on the command line and in a process file. The defence is `id` in crates/soute/src/runtime/exec.rs, and that
/// no name is ever looked up: a container's /etc/passwd says whatever its image wants.
fn exec_takes_numbers_alone(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let passwd = "root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\nspy:x:0:0::/:/bin/sh\n";
    fs::write(bundle.rootfs().join("etc/passwd"), passwd).unwrap();
    let id = bench.start(&bundle);
    for user in [
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "-1",
        "root",
        "spy",
        "0x0",
        " 0",
        "",
        "1000:",
        "1000:root",
        "1000:4294967295",
        ":0",
    ] {
        let flag = format!("--user={user}");
        let outcome = bench.call(&["exec", &flag, &id, "id"]);
        outcome.code(255).shows_not("uid");
    }
    let outcome = bench.call(&["exec", "--user=1000:1000", &id, "id"]);
    outcome.success().shows("uid=1000");
    let mut process: Value = bundle.config["process"].clone();
    process["args"] = json!(["id"]);
    process["user"] = json!({"uid": 4_294_967_295_u64, "gid": 0});
    let file = bench.path("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let file = file.display().to_string();
    let outcome = bench.call(&["exec", "--process", &file, &id]);
    outcome.code(255).shows_not("uid");
}

/// A container's id is a name in the folder of the state. The defence is `folder` in
/// crates/runtime/src/containers/folder.rs.
fn a_containers_id_is_no_path(bench: &mut Bench) {
    let bundle = bench.bundle();
    bundle.write();
    let at = bundle.folder().display().to_string();
    let victim = bench.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("state.json"), "{}").unwrap();
    let absolute = victim.display().to_string();
    for id in [
        "../victim",
        &absolute,
        "..",
        ".",
        "a/../../victim",
        "a/b",
        "",
    ] {
        for words in [
            &["run", "--bundle", &at, "--"][..],
            &["delete", "--force", "--"],
            &["kill", "--"],
            &["state", "--"],
        ] {
            let outcome = bench.call(&[words, &[id]].concat());
            assert_ne!(outcome.code, 0, "{outcome}");
        }
    }
    assert!(victim.join("state.json").exists());
}
