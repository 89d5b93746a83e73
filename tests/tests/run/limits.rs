//! Limits of the container as a whole, shown to hold.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Instant;

use soute_tests::{Layout, World, layout, wait_until};

/// The value of a line `KEY VALUE`.
#[track_caller]
fn keyed(file: PathBuf, key: &str) -> u64 {
    let text = fs::read_to_string(&file).unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {key} in {}: {text}", file.display()))
        .parse()
        .unwrap()
}

/// Takes all memory that it can get.
const HOG: &str = "BEGIN { x = \"0123456789abcdef\"; while (1) x = x x }";

#[test]
fn a_memory_hog_is_killed_and_that_is_said() {
    let world = World::new();
    let outcome = world.soute([
        "run", "--name", "hog", "--memory", "32m", "busybox", "awk", HOG,
    ]);
    outcome.code(137);
    let state = world.inspect("hog")["State"].clone();
    assert_eq!(
        (state["OOMKilled"].as_bool(), state["ExitCode"].as_i64()),
        (Some(true), Some(137)),
        "{state}"
    );
    // Not said of one that was killed by somebody.
    world.detached([
        "--name", "victim", "--memory", "32m", "busybox", "sleep", "1000",
    ]);
    world.soute(["kill", "victim"]).success();
    world.soute(["wait", "victim"]).prints("137");
    assert_eq!(world.inspect("victim")["State"]["OOMKilled"], false);
}

#[test]
fn a_child_that_is_killed_for_its_memory_is_the_programs_affair() {
    let world = World::new();
    let script = format!("awk '{HOG}'; echo child ended with $?; exit 5");
    let outcome = world.soute([
        "run",
        "--name",
        "parent",
        "-m",
        "32m",
        "--memory-swap",
        "32m",
        "busybox",
        "sh",
        "-c",
        &script,
    ]);
    outcome.code(5).prints("child ended with 137");
    assert_eq!(world.inspect("parent")["State"]["OOMKilled"], true);
}

#[test]
fn what_the_kernel_was_told_is_what_was_asked_for() {
    let world = World::new();
    let id = world.detached([
        "--memory",
        "48m",
        "--memory-swap",
        "64m",
        "--memory-reservation",
        "16m",
        "--pids-limit",
        "33",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "busybox",
        "sleep",
        "1000",
    ]);
    cgroup_has(
        &world,
        &id,
        &[
            ("memory", "memory.limit_in_bytes", "50331648"),
            ("memory", "memory.memsw.limit_in_bytes", "67108864"),
            ("memory", "memory.soft_limit_in_bytes", "16777216"),
            ("pids", "pids.max", "33"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.cfs_period_us", "100000"),
            ("cpu", "cpu.shares", "512"),
            ("cpuset", "cpuset.cpus", "0"),
        ],
        &[
            ("memory", "memory.max", "50331648"),
            ("memory", "memory.swap.max", "16777216"),
            ("memory", "memory.low", "16777216"),
            ("pids", "pids.max", "33"),
            ("cpu", "cpu.max", "50000 100000"),
            ("cpuset", "cpuset.cpus", "0"),
        ],
    );
}

/// Files of the container's cgroup, with what is to be in them on a machine with cgroups of version 1, and of version 2.
#[track_caller]
pub fn cgroup_has(world: &World, id: &str, v1: &[(&str, &str, &str)], v2: &[(&str, &str, &str)]) {
    let expected = match layout() {
        Layout::V1 => v1,
        Layout::V2 => v2,
    };
    for (controller, name, value) in expected {
        let file = world.cgroup(id, controller).join(name);
        // Swap is not accounted everywhere.
        if name.contains("memsw") && !file.exists() {
            continue;
        }
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), *value, "{name}");
    }
}

#[test]
fn a_fork_bomb_stops_at_the_limit() {
    let world = World::new();
    let id = world.detached([
        "--pids-limit",
        "20",
        "busybox",
        "sh",
        "-c",
        // The first process needs no other any more: a shell that cannot fork ends.
        "(bomb() { bomb | bomb & }; bomb) & exec sleep 1000",
    ]);
    let folder = world.cgroup(&id, "pids");
    wait_until("the limit has been hit", || {
        keyed(folder.join("pids.events"), "max") > 0
    });
    let now: u64 = fs::read_to_string(folder.join("pids.current"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(now <= 20, "{now} processes");
    world.soute(["kill", &id]).success();
    world.soute(["wait", &id]).prints("137");
    assert!(!folder.exists(), "{} is left", folder.display());
}

/// CPU time that a container has used, in microseconds.
fn usage(world: &World, container: &str) -> u64 {
    match layout() {
        Layout::V1 => {
            let file = world.cgroup(container, "cpuacct").join("cpuacct.usage");
            fs::read_to_string(file)
                .unwrap()
                .trim()
                .parse::<u64>()
                .unwrap()
                / 1000
        }
        Layout::V2 => keyed(
            world.cgroup(container, "cpu").join("cpu.stat"),
            "usage_usec",
        ),
    }
}

#[test]
fn a_spinner_gets_its_part_of_a_cpu() {
    let world = World::new();
    let id = world.detached([
        "--cpus",
        "0.2",
        "busybox",
        "sh",
        "-c",
        "while :; do :; done",
    ]);
    let (begin, before) = (Instant::now(), usage(&world, &id));
    // Ten periods' worth: the rest of the first and of the last weigh little.
    wait_until("it has worked for a while", || {
        usage(&world, &id) - before > 200_000
    });
    let used = usage(&world, &id) - before;
    let share = used as f64 / begin.elapsed().as_micros() as f64;
    // On a busy machine it gets less.
    assert!(share < 0.3, "{share} of a CPU instead of 0.2");
}

#[test]
fn two_spinners_share_a_cpu_by_their_weights() {
    let world = World::new();
    let spinner = |shares: &str| {
        world.detached([
            "--cpuset-cpus",
            "0",
            "--cpu-shares",
            shares,
            "busybox",
            "sh",
            "-c",
            "while :; do :; done",
        ])
    };
    let (heavy, light) = (spinner("2048"), spinner("256"));
    let (heavy_before, light_before) = (usage(&world, &heavy), usage(&world, &light));
    wait_until("they have worked for a while", || {
        usage(&world, &heavy) - heavy_before > 500_000
    });
    let ratio = (usage(&world, &heavy) - heavy_before) as f64
        / (usage(&world, &light) - light_before).max(1) as f64;
    assert!(ratio > 3.0, "{ratio} instead of 8");
}

#[test]
fn only_the_cpus_that_were_given() {
    let world = World::new();
    world
        .sh(
            &["--cpuset-cpus", "0"],
            "grep Cpus_allowed_list /proc/self/status; nproc",
        )
        .prints("Cpus_allowed_list:\t0\n1");
    let refused = world.sh(&["--cpuset-cpus", "4095"], "true");
    refused.code(125);
    assert!(refused.stderr.contains("cpuset"), "{refused}");
}

/// The device that holds the world's files, as `/dev/NAME`, and its number. The whole of it: the kernel limits no
/// partitions.
fn block_device(world: &World) -> (String, String) {
    let device = fs::metadata(world.root()).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let mut folder =
        fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).unwrap_or_else(|error| {
            panic!("{} is on no block device: {error}", world.root().display())
        });
    if folder.join("partition").exists() {
        folder.pop();
    }
    let name = folder.file_name().unwrap().to_str().unwrap();
    let number = fs::read_to_string(folder.join("dev")).unwrap();
    (format!("/dev/{name}"), number.trim().to_owned())
}

#[test]
fn reading_from_a_device_is_slowed_down() {
    let world = World::new();
    let (device, number) = block_device(&world);
    let folder = world.path("data");
    fs::create_dir(&folder).unwrap();
    let file = fs::File::create(folder.join("file")).unwrap();
    std::io::Write::write_all(&mut &file, &vec![7; 3 << 20]).unwrap();
    // On the device, and no longer in memory: so that it must be read.
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let (limit, mount) = (
        format!("{device}:1m"),
        format!("{}:/data:ro", folder.display()),
    );
    let begin = Instant::now();
    world
        .sh(
            &["--device-read-bps", &limit, "-v", &mount],
            "wc -c < /data/file",
        )
        .prints("3145728");
    // A lower bound alone: a busy machine only makes it longer.
    assert!(
        begin.elapsed().as_secs_f64() > 1.5,
        "3 MiB at 1 MiB/s took {:?}",
        begin.elapsed()
    );

    let id = world.detached([
        "--device-write-bps",
        &limit,
        "--device-read-iops",
        &format!("{device}:100"),
        "busybox",
        "sleep",
        "1000",
    ]);
    let cgroup = world.cgroup(
        &id,
        if layout() == Layout::V1 {
            "blkio"
        } else {
            "io"
        },
    );
    match layout() {
        Layout::V1 => {
            for (name, value) in [("write_bps_device", "1048576"), ("read_iops_device", "100")] {
                let text =
                    fs::read_to_string(cgroup.join(format!("blkio.throttle.{name}"))).unwrap();
                assert_eq!(text.trim(), format!("{number} {value}"));
            }
        }
        Layout::V2 => {
            let text = fs::read_to_string(cgroup.join("io.max")).unwrap();
            assert_eq!(
                text.trim(),
                format!("{number} rbps=max wbps=1048576 riops=100 wiops=max")
            );
        }
    }
    world
        .sh(&["--device-read-bps", "/dev/null:1m"], "true")
        .code(125);
    world
        .sh(&["--device-read-bps", "/no/such/device:1m"], "true")
        .code(125);
}

#[test]
fn limits_that_are_impossible_are_refused() {
    let world = World::new();
    for flags in [
        &["--memory", "1m"][..],
        &["--memory", "64m", "--memory-swap", "32m"],
        &["--memory-swap", "64m"],
        &["--cpus", "0.001"],
        &["--cpus", "100000"],
        &["--cpus", "1", "--cpu-quota", "1000"],
        &["--blkio-weight", "5"],
        &["--cpuset-mems", "999"],
        &["--pids-limit", "many"],
    ] {
        let outcome = world.sh(flags, "true");
        outcome.code(125);
        assert!(
            outcome.stderr.contains(flags[0]) || outcome.stderr.contains(&flags[0][2..8]),
            "{outcome}"
        );
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

/// Docker's default, without which a limit on memory would be none.
#[test]
fn as_much_swap_as_memory_unless_said_otherwise() {
    let world = World::new();
    let memory = 48 << 20;
    for (flags, both) in [
        (&[][..], Some(2 * memory)),
        (&["--memory-swap", "48m"], Some(memory)),
        (&["--memory-swap", "-1"], None),
    ] {
        let words = [&["--memory", "48m"], flags, &["busybox", "sleep", "1000"]];
        let id = world.detached(words.concat());
        let (file, expected) = match layout() {
            Layout::V1 => ("memory.memsw.limit_in_bytes", both),
            Layout::V2 => ("memory.swap.max", both.map(|both| both - memory)),
        };
        let path = world.cgroup(&id, "memory").join(file);
        // Swap is not accounted everywhere.
        if let Ok(text) = fs::read_to_string(&path) {
            let told: Option<u64> = text.trim().parse().ok().filter(|told| *told < 1 << 60);
            assert_eq!(told, expected, "{flags:?}: {text}");
        }
    }
}
