//! `soute stats`: what containers use.

use serde_json::Value;
use soute_tests::{Outcome, World, wait_until};

/// The rows of `stats --no-stream --format json WORDS`.
#[track_caller]
fn stats(world: &World, words: &[&str]) -> Vec<Value> {
    let command = ["stats", "--no-stream", "--format", "json"];
    let told: Outcome = world.soute([&command[..], words].concat());
    let lines = told.success().stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn percent(row: &Value, field: &str) -> f64 {
    let text = row[field].as_str().expect("a text");
    text.trim_end_matches('%').parse().expect("a number")
}

/// Each figure by a program that makes it.
#[test]
fn every_figure_is_the_containers_own() {
    let world = World::new();
    let spinner = "while :; do :; done";
    let words = ["--name", "spins", "--cpus", "0.5", "busybox", "sh", "-c"];
    world.detached([&words[..], &[spinner]].concat());
    let hoard = "head -c 20000000 /dev/zero > /dev/shm/x; sleep 1000 & sleep 1000 & wait";
    let words = ["--name", "hoards", "--memory", "64m", "--network", "none"];
    let hoards = world.detached([&words[..], &["busybox", "sh", "-c", hoard]].concat());
    wait_until("it hoards", || {
        let told = world.soute(["exec", &hoards, "wc", "-c", "/dev/shm/x"]);
        told.stdout.starts_with("20000000")
    });
    wait_until("both sleep", || {
        stats(&world, &["hoards"])[0]["PIDs"] == "3"
    });
    let rows = stats(&world, &[]);
    assert_eq!(rows.len(), 2);
    let row = |name: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row["Name"] == name)
            .expect("its row")
            .clone()
    };
    let (spins, hoards_row) = (row("spins"), row("hoards"));
    let cpu = percent(&spins, "CPUPerc");
    assert!((5.0..60.0).contains(&cpu), "{spins}");
    assert!(percent(&hoards_row, "CPUPerc") < 20.0, "{hoards_row}");
    let usage = hoards_row["MemUsage"].as_str().unwrap();
    assert!(usage.ends_with(" / 64MiB"), "{usage}");
    let used: f64 = usage.split_once("MiB").unwrap().0.parse().unwrap();
    assert!((19.0..30.0).contains(&used), "{usage}");
    let share = percent(&hoards_row, "MemPerc");
    assert!((share - used / 64.0 * 100.0).abs() < 1.0, "{hoards_row}");
    assert_eq!(hoards_row["ID"], hoards[..12]);
    assert_eq!(hoards_row["Container"], hoards[..12]);
    assert_eq!(stats(&world, &["hoards"])[0]["Container"], "hoards");
    // Nothing goes where there is nothing but loopback.
    assert_eq!(hoards_row["NetIO"], "0B / 0B");
}

#[test]
fn the_network_is_counted_where_it_is_its_own() {
    let world = World::new();
    let own = world.detached(["--network", "bridge", "busybox", "sleep", "1000"]);
    let words = ["--network", "host", "--name", "shares", "busybox"];
    world.detached([&words[..], &["sleep", "1000"]].concat());
    let gateway = world.inspect(&own)["NetworkSettings"]["Gateway"].clone();
    let ping = ["ping", "-c", "3", "-s", "60000", gateway.as_str().unwrap()];
    world.soute([&["exec", &own], &ping[..]].concat()).success();
    let told = stats(&world, &[&own])[0]["NetIO"].clone();
    let both: Vec<f64> = told
        .as_str()
        .unwrap()
        .split(" / ")
        .map(|text| text.strip_suffix("kB").unwrap_or_else(|| panic!("{told}")))
        .map(|number| number.parse().unwrap())
        .collect();
    assert!(both.iter().all(|kb| (180.0..250.0).contains(kb)), "{told}");
    assert_eq!(stats(&world, &["shares"])[0]["NetIO"], "--");
}

#[test]
fn whatever_does_not_run_is_left_out_or_nothing() {
    let world = World::new();
    world
        .soute(["run", "--name", "ended", "busybox", "true"])
        .success();
    assert_eq!(stats(&world, &[]), [Value::Null; 0]);
    for words in [&["--all"][..], &["ended"]] {
        let rows = stats(&world, words);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["Name"], "ended");
        assert_eq!(rows[0]["MemUsage"], "0B / 0B");
        assert_eq!(rows[0]["PIDs"], "0");
    }
    world
        .soute(["stats", "--no-stream", "nobody"])
        .fails(1, &["no such container: nobody"]);
    world
        .soute(["stats", "--no-stream", "--all"])
        .success()
        .shows("CONTAINER ID   NAME ")
        .shows("MEM USAGE / LIMIT");
}

/// Again and again, until all that was asked for has gone.
#[test]
fn it_goes_on_with_the_containers() {
    let world = World::new();
    let id = world.detached(["--rm", "--name", "lasts", "busybox", "sleep", "1000"]);
    let mut stats = world.start(["stats", "--format", "{{.Name}} {{.PIDs}}", "lasts"]);
    for _ in 0..2 {
        stats.expect("lasts 1\n");
    }
    world.soute(["rm", "--force", &id]).success();
    stats.outcome().success();
    // On a terminal each page takes the place of the one before.
    let id = world.detached(["--rm", "--name", "lasts", "busybox", "sleep", "1000"]);
    let mut terminal = world.terminal(["stats", "lasts"]);
    let page = terminal.expect("lasts");
    assert!(page.contains("\u{1b}[H\u{1b}[2J"), "{page:?}");
    world.soute(["rm", "--force", &id]).success();
    assert_eq!(terminal.finish().0, 0);
}
