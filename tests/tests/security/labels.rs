//! What an image says about itself is shown, and obeyed by nobody.

use serde_json::{Value, json};
use soute_tests::World;

/// Words that this engine might one day be tempted to obey, and that others have obeyed.
const WORDS: [&str; 18] = [
    "soute.privileged=true",
    "soute.userns=host",
    "soute.cap-add=ALL",
    "soute.security-opt=seccomp=unconfined",
    "soute.mounts=/:/mnt:rw",
    "privileged=true",
    "devices=/dev/kmsg",
    "security.capabilities=CAP_SYS_ADMIN",
    "io.containers.capabilities=CAP_SYS_ADMIN,CAP_SYS_PTRACE",
    "io.podman.annotations.privileged=TRUE",
    "io.podman.annotations.init=TRUE",
    "io.podman.annotations.autoremove=TRUE",
    "io.podman.annotations.cid-file=/etc/soute-test",
    "io.kubernetes.cri-o.Devices=/dev/kmsg",
    "io.kubernetes.cri-o.userns-mode=host",
    "run.oci.hooks.stderr=/etc/soute-test",
    "run.oci.systemd.subgroup=container",
    "RUN=soute run --privileged --userns host -v /:/host IMAGE",
];

/// What the program finds itself to be.
const LOOK: &str = "grep -E '^(Cap|Seccomp|NoNew|Groups)' /proc/self/status; id; ls /dev; \
    cut -d ' ' -f 5,6 /proc/self/mountinfo | sort; cat /proc/self/limits /proc/self/oom_score_adj; \
    cut -c 1-11 /proc/self/uid_map; cat /proc/1/comm /proc/self/cgroup";

/// All that `inspect` tells of how a container is held, but for what is each one's own.
fn held(world: &World, container: &str) -> Value {
    let mut told = world.inspect(container);
    let maps = &mut told["Isolation"]["UserNamespace"];
    for field in ["UidMap", "GidMap"] {
        let range = &mut maps[field][0];
        assert!(range["Host"].as_u64() >= Some(0x7000_0000), "{range}");
        range["Host"] = Value::Null;
    }
    told["Isolation"]["Cgroup"] = Value::Null;
    json!([
        told["Isolation"],
        told["HostConfig"],
        told["Mounts"],
        told["Path"],
        told["Args"],
    ])
}

/// CVE-2026-53488: an image's labels, taken for settings by the engine. The defence is that the record's `labels` are
/// read by nothing but `inspect` and `ps`.
#[test]
fn an_images_labels_change_nothing() {
    let world = World::empty();
    let tar = World::busybox_tar();
    let tar = tar.to_str().unwrap();
    let changes = WORDS.map(|word| {
        let (name, value) = word.split_once('=').unwrap();
        format!("LABEL {name}=\"{value}\"")
    });
    let mut labelled = vec!["import"];
    for change in &changes {
        labelled.extend(["--change", change.as_str()]);
    }
    labelled.extend([tar, "labelled"]);
    world.soute(["import", tar, "plain"]).success();
    world.soute(labelled).success();
    for flags in [&[][..], &["--init", "--cap-drop", "CHOWN"]] {
        let [plain, labelled] = ["plain", "labelled"].map(|image| {
            let create = ["create", "--name", image, "--hostname", "box"];
            let command = [image, "sh", "-c", LOOK];
            world
                .soute([&create[..], flags, &command].concat())
                .success();
            let labels = world.inspect(image)["Config"]["Labels"].clone();
            let labels = labels.as_object().map_or(0, |labels| labels.len());
            let held = held(&world, image);
            let seen = world.soute(["start", "-a", image]).text().to_owned();
            // It is there still: nothing made it remove itself.
            world.soute(["rm", image]).success();
            (held, seen, labels)
        });
        assert_eq!((plain.2, labelled.2), (0, WORDS.len()));
        assert_eq!(labelled.0, plain.0, "{flags:?}");
        assert_eq!(labelled.1, plain.1, "{flags:?}");
    }
    assert!(!std::path::Path::new("/etc/soute-test").exists());
}
