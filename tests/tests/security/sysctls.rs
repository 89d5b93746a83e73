//! Kernel parameters.

use std::process::Command;

use soute_tests::output;

use crate::attack::Attack;

/// CVE-2022-0811: a value, or an odd name, sets kernel.core_pattern, a program that the machine's root executes. The
/// defence is the engine's plan/sysctls.rs, a list of what is the container's own.
#[test]
fn only_the_containers_own_are_set() {
    let attack = Attack::new();
    let pattern = "/proc/sys/kernel/core_pattern";
    let before = std::fs::read_to_string(pattern).unwrap();
    for sysctl in [
        "kernel.core_pattern=|/bin/x",
        "kernel/core_pattern=|/bin/x",
        "net/../kernel/core_pattern=|/bin/x",
        "net.ipv4.ip_forward=1\nkernel.core_pattern=|/bin/x",
        "net.ipv4.ip_forward=1+kernel.core_pattern=|/bin/x",
        "net.../kernel/core_pattern=|/bin/x",
        "net.ipv4/../../kernel.core_pattern=|/bin/x",
        "fs.mqueue../../kernel/core_pattern=|/bin/x",
        "vm.overcommit_memory=1",
        "kernel.panic=1",
        "fs.file-max=1",
        "user.max_user_namespaces=1",
        "=1",
        "kernel.shm_rmid_forced",
    ] {
        for flags in [
            &["--sysctl", sysctl][..],
            &["--userns", "host", "--sysctl", sysctl],
        ] {
            let outcome = attack.run(flags, &["true"]);
            outcome.code(125);
        }
    }
    for shared in [["--network", "host"], ["--ipc", "host"]] {
        for sysctl in ["net.ipv4.ip_forward=1", "kernel.shmmax=1"] {
            let own = (shared[0] == "--ipc") == sysctl.starts_with("net");
            let flags = [&shared[..], &["--sysctl", sysctl]].concat();
            attack
                .run(&flags, &["true"])
                .code(if own { 0 } else { 125 });
        }
    }
    assert_eq!(std::fs::read_to_string(pattern).unwrap(), before);
}

/// CVE-2019-16884's way: a volume that the image declares lies over the kernel's files, and takes a value for itself;
/// the parameter keeps the image's wish. The defences are `clean` in the engine's volumes.rs and, by way of a link,
/// `check_proc` in the runtime's mounts/place.rs. (Were it mounted, the value would go to the kernel all the same:
/// process/sysctl.rs writes by a procfs that no path of the container leads to.)
#[test]
fn a_volume_of_the_image_takes_no_value() {
    let attack = Attack::new();
    let import = |name: &str, volume: &str| {
        let tar = attack.world.path("image.tar");
        let mut pack = Command::new("tar");
        pack.arg("--create")
            .arg("--file")
            .arg(&tar)
            .arg("--directory");
        output(pack.arg(&attack.root).arg(".")).success();
        let change = format!("VOLUME {volume}");
        let words = ["import", "--change", &change, tar.to_str().unwrap(), name];
        attack.world.soute(words).success();
    };
    let sysctl = "--sysctl=net.ipv4.ip_forward=1";
    for volume in ["/proc", "/proc/sys", "//proc/./sys/net"] {
        import("direct", volume);
        let outcome = attack
            .world
            .soute(["run", "--rm", sysctl, "direct", "true"]);
        outcome.fails(125, &["the image declares the volume"]);
    }
    attack.link("way", "/proc/sys/net");
    import("linked", "/way");
    let fake = attack.root.join("proc/sys/net/ipv4");
    std::fs::create_dir_all(&fake).unwrap();
    std::fs::write(fake.join("ip_forward"), "0\n").unwrap();
    import("faked", "/way");
    for image in ["linked", "faked"] {
        let outcome = attack.world.soute(["run", "--rm", sysctl, image, "true"]);
        outcome.fails(125, &["/way lies in /proc"]);
    }
}
