//! PID 1 inside is another number outside: every process with its number at every level, as a tree.

use soute_tests::World;

use super::{levels, numbers};

const PARENT: &str = "import os, subprocess, time
children = [subprocess.Popen(['sleep', '1000']) for _ in range(2)]
print('ready', flush=True)
time.sleep(1000)";

fn world() -> World {
    let world = World::debian();
    world.detached(["--name", "py", "debian", "python3", "-c", PARENT]);
    soute_tests::wait_until("all run", || {
        let rows = world.soute(["ns", "pids", "--json", "py"]).json()["processes"].clone();
        rows.as_array()
            .unwrap()
            .iter()
            .filter(|row| row["name"] == "sleep")
            .count()
            == 2
    });
    world
}

#[test]
fn each_process_at_each_level() {
    let world = world();
    let shown = world.soute(["ns", "pids", "--json", "py"]).json();
    let rows = shown["processes"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{shown}");
    for row in rows {
        let numbers = numbers(row);
        assert_eq!(numbers, levels(numbers[0]), "{row}");
        assert_eq!(numbers.len(), 2);
        assert_eq!(row["inside_uid"], 0);
    }
    let first = &rows[0];
    assert_eq!(numbers(first), [u64::from(world.pid("py")), 1]);
    assert_eq!(
        (first["depth"].as_u64(), first["name"].as_str()),
        (Some(0), Some("python3"))
    );
    for child in &rows[1..] {
        assert_eq!(child["depth"], 1);
        assert_eq!(child["ppid"], numbers(first)[0]);
    }
    // The same numbers as inside.
    let inside = world.soute(["exec", "py", "ps", "-e", "-o", "pid=,comm="]);
    for row in rows {
        let pair = format!("{} {}", numbers(row)[1], row["name"].as_str().unwrap());
        let lines: Vec<String> = inside
            .text()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert!(lines.contains(&pair), "no {pair} in {inside}");
    }
}

#[test]
fn a_tree_for_people() {
    let world = world();
    let text = world.soute(["ns", "pids", "py"]);
    let lines: Vec<&str> = text.text().lines().collect();
    assert!(lines[0].contains("py"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
    let pid = world.pid("py").to_string();
    assert!(
        lines[1].contains(&pid) && lines[1].contains("python3"),
        "{text}"
    );
    assert!(
        lines[2].contains("sleep 1000") && lines[3].contains("sleep 1000"),
        "{text}"
    );
    // By the number of any of its processes, too.
    world.soute(["ns", "pids", &pid]).shows("sleep 1000");
}

#[test]
fn top_tells_the_same() {
    let world = world();
    let top = world.soute(["top", "py"]);
    let mut pairs: Vec<Vec<u64>> = top
        .text()
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            vec![fields[1].parse().unwrap(), fields[2].parse().unwrap()]
        })
        .collect();
    let shown = world.soute(["ns", "pids", "--json", "py"]).json();
    let mut expected: Vec<Vec<u64>> = shown["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(numbers)
        .collect();
    pairs.sort();
    expected.sort();
    assert_eq!(pairs, expected);
}

#[test]
fn a_process_that_exec_started_is_among_them() {
    let world = world();
    let mut exec = world.start(["exec", "py", "sh", "-c", "echo $$; exec sleep 2000"]);
    let inner: u64 = exec.expect("\n").trim().parse().unwrap();
    soute_tests::wait_until("it sleeps", || {
        let shown = world.soute(["ns", "pids", "--json", "py"]).json();
        let rows = shown["processes"].as_array().unwrap().clone();
        rows.iter().any(|row| {
            numbers(row)[1] == inner && row["command"] == serde_json::json!(["sleep", "2000"])
        })
    });
}
