//! The user's own rules, which a program of the settings puts in place (`rules_hook`).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use serde_json::Value;
use soute_tests::{World, output, wait_until};

use crate::neighbour::Neighbour;

/// Has the settings name this script of the shell, which writes what it is told to `$told`.
fn hook(world: &World, script: &str) {
    let (path, told) = (world.path("rules"), world.path("told"));
    let told = told.display();
    let script = format!("#!/bin/sh\nset -e\ntold={told}\ncat >> $told\necho >> $told\n{script}\n");
    let _ = fs::remove_file(&path);
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o755)
        .open(&path)
        .unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let settings = format!("[rules_hook]\npath = \"{}\"\n", path.display());
    fs::write(world.config(), settings).unwrap();
}

/// What it was told, time after time.
fn told(world: &World) -> Vec<Value> {
    let told = fs::read_to_string(world.path("told")).unwrap_or_default();
    let lines = told.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn has_rules() -> bool {
    let table = output(Command::new("nft").args(["list", "table", "ip", "mine"]));
    table.code == 0 && table.stdout.contains("192.0.2.0/24")
}

/// No container of any network's reaches the neighbours: by the user's rules, whatever soute's say.
const RULES: &str = "nft -f - <<END
table ip mine
delete table ip mine
table ip mine {
    chain forward {
        type filter hook forward priority 0;
        iifname \"soute*\" ip daddr 192.0.2.0/24 reject
    }
}
END";

#[test]
fn the_users_rules_are_there_before_a_container_and_come_back_with_soutes() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let ping = format!("ping -c 1 -W 1 {}", outside.address());
    world.sh(&["--network", "bridge"], &ping).success();
    hook(&world, RULES);
    let on_bridge = ["--network", "bridge"];
    world.sh(&on_bridge, &ping).code(1);
    world.sh(&on_bridge, &ping).code(1);
    let all = told(&world);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        all[0]["table"],
        serde_json::json!({"family": "inet", "name": "soute"})
    );
    let network = &all[0]["networks"][0];
    assert_eq!(network["name"], "bridge");
    assert_eq!(network["bridge"], "soute0");
    assert_eq!(network["internal"], false);
    assert!(network["subnets"][0].as_str().unwrap().contains('/'));

    // Another network is told of, and one that is no more.
    world.soute(["network", "create", "other"]).success();
    world.sh(&["--network", "other"], &ping).code(1);
    assert_eq!(told(&world)[1]["networks"][1]["name"], "other");
    world.soute(["network", "rm", "other"]).success();
    let networks = &told(&world)[2]["networks"];
    assert_eq!(networks.as_array().unwrap().len(), 1, "{networks}");

    // By the next command, where no monitor is.
    let flush = || {
        output(Command::new("nft").args(["flush", "ruleset"]))
            .success()
            .code
    };
    flush();
    assert!(!has_rules());
    world.soute(["network", "reconcile"]).success();
    assert!(has_rules());
    assert_eq!(told(&world).len(), 4);

    // By a monitor.
    let id = world.detached(["--network", "bridge", "busybox", "sleep", "1000"]);
    flush();
    wait_until("they are back", has_rules);
    wait_until("soute's are back", || {
        output(Command::new("nft").args(["list", "table", "inet", "soute"])).code == 0
    });
    world.soute(["network", "reconcile"]).success();
    assert_eq!(told(&world).len(), 5);
    world.soute(["rm", "-f", &id]).success();
}

/// Without the user's rules none starts, and the next one tries again.
#[test]
fn a_hook_that_fails_lets_no_container_start() {
    let world = World::new();
    let on_bridge = ["--network", "bridge"];
    hook(&world, "echo no such set >&2; exit 3");
    let words = ["rules_hook", "exit status 3", "no such set"];
    world.sh(&on_bridge, "true").fails(125, &words);
    world.sh(&on_bridge, "true").fails(125, &words);
    assert_eq!(told(&world).len(), 2);
    // Those without a network of soute's do not need them.
    world.sh(&["--network", "none"], "true").success();
    hook(&world, "nft delete table inet soute");
    world
        .sh(&on_bridge, "true")
        .fails(125, &["rules_hook", "removed the table"]);
    hook(&world, "exit 0");
    world.sh(&on_bridge, "true").success();
    fs::write(world.config(), "[rules_hook]\npath = \"rules\"\n").unwrap();
    world.sh(&on_bridge, "true").fails(125, &["not absolute"]);
    fs::write(world.config(), "[rules_hook]\npath = \"/nonexistent\"\n").unwrap();
    world.sh(&on_bridge, "true").fails(125, &["/nonexistent"]);
    fs::remove_file(world.config()).unwrap();
    world.sh(&on_bridge, "true").success();
    world.assert_nothing_left(&[]);
}

/// While a monitor has it run, its container has names, and can be ended.
#[test]
fn a_hook_that_takes_its_time_holds_nobody_up() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let on_net = [
        "--network",
        "net",
        "--name",
        "box",
        "busybox",
        "sleep",
        "1000",
    ];
    let id = world.detached(on_net);
    let other = world.detached(["--network", "net", "busybox", "sleep", "1000"]);
    let (begun, goes_on) = (world.path("begun"), world.path("goes-on"));
    hook(
        &world,
        &format!(
            "touch {}; i=0; while [ ! -e {} -a $i -lt 80 ]; do sleep 0.1; i=$((i+1)); done",
            begun.display(),
            goes_on.display()
        ),
    );
    output(Command::new("nft").args(["flush", "ruleset"])).success();
    wait_until("it is run", || begun.exists());
    let exec = ["exec", &id, "nslookup", "box", "127.0.0.11"];
    world.soute(exec).success();
    world.soute(["kill", &other]).success();
    world.soute(["wait", &other]).success();
    world.soute(["kill", &id]).success();
    world.soute(["wait", &id]).success();
    assert!(!goes_on.exists());
    fs::write(&goes_on, "").unwrap();
}

/// Two that start at once tell it once, and both wait for it.
#[test]
fn containers_that_start_at_once_wait_for_one_hook() {
    let world = World::new();
    hook(&world, &format!("sleep 0.3\n{RULES}"));
    let words = ["run", "--rm", "--network", "bridge", "busybox", "true"];
    let runs = [(); 4].map(|()| world.start(words));
    for run in runs {
        run.outcome().success();
    }
    assert!(has_rules());
    assert_eq!(told(&world).len(), 1);
}
