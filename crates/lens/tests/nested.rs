//! Containers in containers: numbers at every level, and whose each namespace is.

mod common;

use std::collections::BTreeSet;

use common::{child_of, inode, three_deep};
use soute_lens::sharing::{Bond, Sharing};
use soute_lens::view::{ContainerName, Survey};
use soute_lens::{Basis, Kind, Scope};

fn survey() -> Survey {
    Survey::new(Scope::default()).expect("a survey")
}

fn web() -> Option<ContainerName> {
    let (name, id) = ("web".to_owned(), "1f3e".to_owned());
    Some(ContainerName { name, id })
}

#[test]
fn every_process_has_its_number_at_every_level() {
    let helper = three_deep();
    let first = child_of(helper.pid());
    let second = child_of(first);
    let third = child_of(second);
    let pids = survey().pids(first, web()).unwrap();
    assert_eq!(pids.bond, Bond::PidNamespace);

    let names: Vec<&str> = pids
        .levels
        .iter()
        .map(|level| level.name.as_str())
        .collect();
    assert_eq!(names[1..], ["web", "LEVEL 2", "LEVEL 3"]);
    assert_eq!(pids.levels[1].ns, Some(inode(first, "pid")));
    assert_eq!(pids.levels[0].ns, Some(inode(std::process::id(), "pid")));

    // One process, three of them process 1 of theirs: the story's 1 / n / N.
    let of = |pid: u32| {
        pids.processes
            .iter()
            .find(|row| row.pids[0] == pid)
            .expect("listed")
    };
    assert_eq!(of(first).pids[1..], [1]);
    assert_eq!(of(second).pids[2..], [1]);
    assert_eq!(of(third).pids[3..], [1]);
    for pid in [first, second, third] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("NSpid:"))
            .unwrap();
        let expected: Vec<u32> = line
            .split_whitespace()
            .skip(1)
            .map(|n| n.parse().unwrap())
            .collect();
        assert_eq!(of(pid).pids, expected);
        assert_eq!(of(pid).ns, Some(inode(pid, "pid")));
    }

    // Parents before children, and drawn as a tree.
    let order: Vec<(u32, usize)> = pids
        .processes
        .iter()
        .map(|row| (row.pids[0], row.depth))
        .collect();
    assert_eq!(order[..3], [(first, 0), (second, 1), (third, 2)]);
    assert_eq!(order.len(), 4, "{order:?}");
    let text = pids.table().render(None);
    let line = text.lines().nth(3).unwrap();
    assert!(line.contains("\u{2514}\u{2500} sleep 601"), "{text}");
    let numbers: Vec<u32> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    assert_eq!(numbers, of(third).pids, "{text}");
}

#[test]
fn a_process_deep_inside_shows_its_own_container() {
    let helper = three_deep();
    let second = child_of(child_of(helper.pid()));
    let pids = survey().pids(second, None).unwrap();
    assert_eq!(pids.processes[0].pids[0], second);
    assert_eq!(pids.levels[2].name, "LEVEL 2");
    assert_eq!(pids.processes.len(), 3);
}

#[test]
fn own_shared_with_the_machine_and_shared_with_others_are_told_apart() {
    let helper = three_deep();
    let first = child_of(helper.pid());
    let second = child_of(first);
    let third = child_of(second);
    let survey = survey();
    let show = survey.show(third, web()).unwrap();
    let row = |kind| {
        show.namespaces
            .iter()
            .find(|row| row.kind == kind)
            .expect("one of each kind")
    };
    assert_eq!(show.namespaces.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(row(kind).ns, inode(third, kind.name()));
    }
    assert_eq!(row(Kind::Pid).sharing, Sharing::Own);
    assert_eq!(row(Kind::Pid).whose, "own");
    // The unshare(1) that made it stays outside the pid namespace, in all others.
    let maker = Sharing::Others {
        pid: second,
        count: 1,
    };
    for kind in [Kind::Uts, Kind::Ipc, Kind::Net, Kind::User, Kind::Cgroup] {
        assert_eq!(row(kind).sharing, maker, "{kind}");
    }
    assert_eq!(
        row(Kind::Uts).whose,
        format!("shared with {second} (unshare)")
    );
    let Some((time, basis)) = survey.machine().namespace(Kind::Time) else {
        panic!("no time namespace");
    };
    assert_eq!(row(Kind::Time).ns, time.inode);
    assert_eq!(row(Kind::Time).sharing, Sharing::Machine { basis });
    if basis == Basis::Initial {
        assert_eq!(row(Kind::Time).whose, "shared with the machine");
    }
    // Each made by the one outside it.
    assert_eq!(row(Kind::User).ons, Some(inode(first, "user")));
    assert_eq!(row(Kind::Net).ons, Some(row(Kind::User).ns));
    assert_eq!(row(Kind::Pid).pns, Some(inode(second, "pid")));
    assert_eq!(show.pids.len(), 4);
    assert_eq!(show.pids[3], 1);
}

#[test]
fn what_the_next_child_gets_is_shown_too() {
    let helper = three_deep();
    let show = survey().show(helper.pid(), None).unwrap();
    let row = show
        .namespaces
        .iter()
        .find(|row| row.for_children)
        .expect("pid_for_children");
    assert_eq!(row.kind, Kind::Pid);
    assert_eq!(row.ns, inode(helper.pid(), "pid_for_children"));
    assert_ne!(row.ns, inode(helper.pid(), "pid"));
}

#[test]
fn descendants_of_a_pid_namespace_are_found_by_the_kernels_word() {
    let helper = three_deep();
    let first = child_of(helper.pid());
    let second = child_of(first);
    let third = child_of(second);
    let survey = survey();
    let found = survey.found();
    let top = found.of_process(first, Kind::Pid).unwrap();
    let below: BTreeSet<u64> = found.below(top.id).into_iter().map(|id| id.inode).collect();
    let expected = [first, second, third].map(|pid| inode(pid, "pid"));
    assert_eq!(below, expected.into());
}

#[test]
fn processes_that_come_and_go_disturb_nobody() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::process::Command::new("unshare")
                    .args(["-Urn", "true"])
                    .status();
            }
        });
        for _ in 0..30 {
            let survey = Survey::new(Scope::ALL).unwrap();
            survey.list(&[]).unwrap();
            survey.pids(std::process::id(), None).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_process_that_ended_is_not_shown() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let error = survey().show(pid, None).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no process {pid} here"));
    assert!(survey().pids(pid, None).is_err());
}

/// Each in its parent, as lsns(8) has it.
#[test]
fn trees_are_drawn_as_the_kernel_has_them() {
    let helper = three_deep();
    let first = child_of(helper.pid());
    let second = child_of(first);
    let third = child_of(second);
    // unshare(1) itself is in the new user namespace, and its child in the new pid namespace.
    for (kind, pids) in [
        (Kind::User, [helper.pid(), first, second]),
        (Kind::Pid, [first, second, third]),
    ] {
        let tree = survey().tree(kind).unwrap();
        let row = |pid: u32| {
            let ns = inode(pid, kind.name());
            let mut rows = tree.namespaces.iter();
            rows.find(|row| row.ns == ns).expect("in the tree")
        };
        let all = pids.map(row);
        let depths = all.map(|row| row.depth);
        assert_eq!(depths[1..], [depths[0] + 1, depths[0] + 2]);
        assert_eq!(all[0].pns, Some(inode(std::process::id(), kind.name())));
        assert_eq!(all[1].pns, Some(all[0].ns));
        assert_eq!(all[2].pns, Some(all[1].ns));
        let columns = [
            "--noheadings",
            "--raw",
            "--output",
            "NS,PNS,NPROCS",
            "--type",
        ];
        let lsns = std::process::Command::new("lsns")
            .args(columns)
            .arg(kind.name())
            .output()
            .expect("lsns starts");
        let theirs = String::from_utf8(lsns.stdout).unwrap();
        for row in all {
            let pns = row.pns.unwrap();
            let line = format!("{} {pns} {}", row.ns, row.nprocs);
            assert!(theirs.lines().any(|its| its == line), "{line} in {theirs}");
        }
        // Before its children, which are drawn below it.
        let text = tree.table().render(None);
        let places = all.map(|row| {
            let number = row.ns.to_string();
            let lines = text.lines().enumerate();
            let mut found = lines.filter(|(_, line)| line.contains(&format!("\u{2500} {number} ")));
            let (at, line) = found.next().unwrap_or_else(|| panic!("{number} in {text}"));
            (at, line.chars().position(|c| c == '\u{2500}').unwrap())
        });
        assert!(places.is_sorted(), "{text}");
        assert_eq!(places[2].1, places[1].1 + 3, "{text}");
    }
    let users = survey().tree(Kind::User).unwrap();
    let ns = inode(third, "user");
    let row = users.namespaces.iter().find(|row| row.ns == ns).unwrap();
    for kind in ["mnt", "uts", "ipc", "pid", "net", "cgroup"] {
        assert_eq!(row.owns.get(kind), Some(&1), "{kind}: {row:?}");
    }
    assert!(!row.owns.contains_key("user"));
    assert_eq!(row.owner_uid, Some(0));
}
