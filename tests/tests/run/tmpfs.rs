//! Memory as a file system: `--tmpfs`, `/dev/shm`; and a root that is read-only.

use soute_tests::World;

#[test]
fn with_dockers_defaults_and_options() {
    let world = World::new();
    let look = "grep ' /mem ' /proc/self/mountinfo; stat -c %a:%u:%g /mem";
    let plain = world.sh(&["--tmpfs", "/mem"], look);
    for option in ["nosuid", "nodev", "noexec", "- tmpfs"] {
        plain.shows(option);
    }
    plain.shows("1777:0:0");
    let chosen = world.sh(
        &["--tmpfs", "/mem:size=1m,mode=700,uid=1000,gid=1000,exec"],
        look,
    );
    chosen
        .shows("size=1024k")
        .shows("700:1000:1000")
        .shows_not("noexec");
    world
        .sh(
            &[
                "--mount",
                "type=tmpfs,dst=/mem,tmpfs-size=64k,tmpfs-mode=0711",
            ],
            look,
        )
        .shows("size=64k")
        .shows("711:0:0");
    world
        .sh(&["--tmpfs", "/mem:ro"], "touch /mem/x || echo refused")
        .prints("refused");
}

#[test]
fn its_size_is_a_limit() {
    let world = World::new();
    let script = "head -c 900k /dev/zero > /mem/a && head -c 900k /dev/zero > /mem/b || echo full";
    world
        .sh(&["--tmpfs", "/mem:size=1m"], script)
        .prints("full");
}

#[test]
fn shared_memory_has_the_size_that_was_asked_for() {
    let world = World::new();
    let look = "df -k /dev/shm | awk 'END { print $2 }'; stat -c %a /dev/shm";
    world.sh(&[], look).prints("65536\n1777");
    world.sh(&["--shm-size", "2m"], look).prints("2048\n1777");
    let refused = world.sh(&["--shm-size", "2m", "--ipc", "host"], "true");
    refused.code(125);
}

#[test]
fn a_read_only_root_leaves_what_is_mounted_on_it() {
    let world = World::new();
    let script = "touch /x || echo root; touch /etc/x || echo etc; touch /bin/x || echo bin;
        touch /mem/x && echo mem; touch /data/x && echo data; touch /dev/shm/x && echo shm; echo x > /dev/null && echo null;
        mount -o remount,rw / || echo stays; grep -c ' / / ro' /proc/self/mountinfo";
    let flags = [
        "--read-only",
        "--tmpfs",
        "/mem",
        "-v",
        "data:/data",
        "-w",
        "/made",
    ];
    world
        .sh(&flags, script)
        .prints("root\netc\nbin\nmem\ndata\nshm\nnull\nstays\n1");
}
