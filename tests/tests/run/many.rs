//! Several at once, and commands in each other's way.

use soute_tests::World;

#[test]
fn two_at_once() {
    let world = World::new();
    let mut first = world.start([
        "run",
        "--rm",
        "-i",
        "--name",
        "first",
        "busybox",
        "sh",
        "-c",
        "echo one; cat",
    ]);
    let mut second = world.start([
        "run",
        "--rm",
        "-i",
        "--name",
        "second",
        "busybox",
        "sh",
        "-c",
        "echo two; cat",
    ]);
    first.expect("one");
    second.expect("two");
    first.write("to one\n");
    second.write("to two\n");
    first.outcome().success().prints("one\nto one");
    second.outcome().success().prints("two\nto two");
}

#[test]
fn fifty_at_once() {
    let world = World::new();
    let running: Vec<_> = (0..50)
        .map(|n| {
            world.start([
                "run".to_owned(),
                "--rm".into(),
                "busybox".into(),
                "sh".into(),
                "-c".into(),
                format!("echo {n}; exit {n}"),
            ])
        })
        .collect();
    for (number, run) in running.into_iter().enumerate() {
        run.outcome()
            .code(number.try_into().unwrap())
            .prints(&number.to_string());
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
    // No range of ids and no name is held any more.
    for index in ["ranges", "names"] {
        assert_eq!(
            std::fs::read_dir(world.run().join(index)).unwrap().count(),
            0,
            "{index}"
        );
    }
}

/// Each has a range of ids of its own.
#[test]
fn containers_that_run_share_no_ids() {
    let world = World::new();
    let mut ranges: Vec<(u64, u64)> = (0..10)
        .map(|_| {
            let id = world.detached(["busybox", "sleep", "1000"]);
            let map = world.inspect(&id)["Isolation"]["UserNamespace"]["UidMap"][0].clone();
            let first = map["Host"].as_u64().unwrap();
            (first, first + map["Size"].as_u64().unwrap())
        })
        .collect();
    ranges.sort_unstable();
    assert!(
        ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0),
        "{ranges:?}"
    );
}

/// One that has joined another's user namespace may outlive it, and keeps its ids.
#[test]
fn ids_that_are_shared_are_nobody_elses_until_the_last_is_gone() {
    let world = World::new();
    let sleep = ["busybox", "sleep", "1000"];
    world.detached([&["--name", "first"], &sleep[..]].concat());
    let join = |name: &str| {
        let flags = ["--name", name, "--network", "container:first"];
        world.detached([&flags[..], &sleep].concat())
    };
    let second = join("second");
    world.soute(["rm", "-f", "first"]).success();
    let ranges = || {
        let entries = std::fs::read_dir(world.run().join("ranges")).unwrap();
        let targets = entries.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap());
        targets.collect::<Vec<_>>()
    };
    assert_eq!(ranges(), [std::path::Path::new(&second)]);
    // Another of that name is another.
    world.detached([&["--name", "first"], &sleep[..]].concat());
    world.soute(["kill", "second"]).success();
    world.soute(["wait", "second"]).success();
    world.soute(["start", "second"]).fails(1, &["made anew"]);
    world.soute(["rm", "second"]).success();
    join("third");
    world.soute(["rm", "-f", "third", "first"]).success();
    assert_eq!(ranges().len(), 0);
}

/// Whoever lists, runs and removes at the same time sees whole containers or none, and no error.
#[test]
fn runs_while_others_list_and_remove() {
    let world = World::new();
    let mut running = Vec::new();
    for round in 0..10 {
        let name = format!("round-{round}");
        world.detached(["--name", &name, "busybox", "true"]);
        running.push(world.start(["run", "--rm", "busybox", "true"]));
        running.push(world.start(["ps", "-a"]));
        running.push(world.start(["rm", "-f", &name]));
        running.push(world.start(["run", "--rm", "busybox", "true"]));
        running.push(world.start(["ps", "-a", "--format", "json"]));
    }
    for command in running {
        command.outcome().success();
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

/// Of several that want one name one gets it, and the others say so.
#[test]
fn one_name_for_many() {
    let world = World::new();
    let running: Vec<_> = (0..10)
        .map(|_| world.start(["run", "-d", "--name", "wanted", "busybox", "sleep", "1000"]))
        .collect();
    let outcomes: Vec<_> = running.into_iter().map(|run| run.outcome()).collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.code == 0).count(),
        1
    );
    for outcome in outcomes.iter().filter(|outcome| outcome.code != 0) {
        outcome.code(125);
        assert!(outcome.stderr.contains("wanted"), "{outcome}");
    }
    assert_eq!(world.soute(["ps", "-aq"]).text().lines().count(), 1);
}

/// What several stop is stopped, for each of them: also for one that finds it running, and then gone.
#[test]
fn many_stop_one_container() {
    let world = World::new();
    for round in 0..20 {
        let id = world.detached(["busybox", "sleep", "1000"]);
        let stops: Vec<_> = (0..6)
            .map(|number| match (round + number) % 3 {
                0 => world.start(["rm", "-f", &id]),
                _ => world.start(["stop", "-t", "0", &id]),
            })
            .collect();
        for stop in stops {
            let outcome = stop.outcome();
            // Removed before it was looked for.
            let late = outcome.stderr.contains("no such container");
            assert!(outcome.code == 0 || late, "{outcome}");
        }
        world.soute(["rm", "-f", &id]).success();
    }
}

/// Two that stop, kill and remove the same container: it ends, once, and nobody hangs.
#[test]
fn many_hands_on_one_container() {
    let world = World::new();
    for _ in 0..5 {
        let id = world.detached(["busybox", "sleep", "1000"]);
        let hands = [
            &["stop", "-t", "0"][..],
            &["rm", "-f"],
            &["kill"],
            &["rm", "-f"],
            &["start"],
        ];
        let wait = world.start(["wait", &id]);
        let running: Vec<_> = hands
            .iter()
            .map(|words| world.start([words, &[id.as_str()][..]].concat()))
            .collect();
        for command in running {
            // Whoever comes too late may say so.
            let outcome = command.outcome();
            assert!(outcome.code <= 1, "{outcome}");
        }
        // If the start came last it runs again.
        world.soute(["rm", "-f", &id]).success();
        let waited = wait.outcome();
        assert!(waited.code <= 1, "{waited}");
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}
