//! Limits that hold, on a program in Python.

use soute_tests::World;

#[test]
fn memory() {
    let world = World::debian();
    let hog = "
data = []
while True:
    data.append(bytearray(1 << 20))
    print(len(data), flush=True)
";
    let outcome = world.soute([
        "run", "--name", "hog", "--memory", "64m", "debian", "python3", "-c", hog,
    ]);
    outcome.code(137);
    // It got what it was given, and no more.
    let last: u32 = outcome.stdout.lines().last().unwrap().parse().unwrap();
    assert!((32..=64).contains(&last), "{last} MiB");
    let container = world.inspect("hog");
    assert_eq!(container["State"]["OOMKilled"], true);
    assert_eq!(container["HostConfig"]["Memory"], 64 << 20);
}

#[test]
fn processes() {
    let world = World::debian();
    let bomb = "
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(1000)
            os._exit(0)
        made += 1
except BlockingIOError as error:
    print(made, error.errno)
";
    // PID 1 itself counts.
    world
        .soute([
            "run",
            "--rm",
            "--pids-limit",
            "25",
            "debian",
            "python3",
            "-c",
            bomb,
        ])
        .prints("24 11");
}

#[test]
fn open_files() {
    let world = World::debian();
    let open = "
files = []
try:
    while True:
        files.append(open('/dev/null'))
except OSError as error:
    print(error.errno, 50 < len(files) < 64)
";
    world
        .soute([
            "run",
            "--rm",
            "--ulimit",
            "nofile=64",
            "debian",
            "python3",
            "-c",
            open,
        ])
        .prints("24 True");
}

#[test]
fn processors() {
    let world = World::debian();
    let look = "import os; print(sorted(os.sched_getaffinity(0)))";
    world
        .soute([
            "run",
            "--rm",
            "--cpuset-cpus",
            "0",
            "debian",
            "python3",
            "-c",
            look,
        ])
        .prints("[0]");
}
