//! The same namespaces, counts, owners and parents as lsns(8) of util-linux sees.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use soute_lens::Scope;
use soute_lens::view::{Column, List, Survey};

/// The columns that both have; lsns's COMMAND differs for kernel threads.
const COLUMNS: &str = "NS,TYPE,PATH,NPROCS,PID,PPID,UID,USER,PNS,ONS";

type Rows = BTreeMap<String, BTreeMap<String, String>>;

fn lsns() -> Rows {
    let run = || {
        Command::new("lsns")
            .args(["--json", "-o", COLUMNS])
            .output()
            .expect("lsns runs")
    };
    let mut output = run();
    // It gives up where a process ends while it looks at it, as those of other tests do.
    for _ in 0..20 {
        if output.status.success() {
            break;
        }
        output = run();
    }
    assert!(output.status.success(), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = json["namespaces"].as_array().expect("a list").iter();
    rows.map(|row| {
        let row = row.as_object().expect("an object");
        let cells = row
            .iter()
            .map(|(name, value)| (name.to_uppercase(), plain(value)));
        let cells: BTreeMap<String, String> = cells.collect();
        (cells["NS"].clone(), cells)
    })
    .collect()
}

/// lsns writes numbers as such or as strings, by version, and 0 or null for "none".
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list() -> List {
    let survey = Survey::new(Scope::default()).expect("a survey");
    survey.list(&[]).expect("a list")
}

fn rows(list: &List) -> Rows {
    let columns: Vec<Column> = COLUMNS
        .split(',')
        .map(|name| name.parse().expect("a column"))
        .collect();
    list.namespaces
        .iter()
        .map(|row| {
            let cells = columns
                .iter()
                .map(|column| (column.name().to_owned(), column.cell(row)));
            let mut cells: BTreeMap<String, String> = cells.collect();
            for parent in ["PNS", "ONS"] {
                if cells[parent] == "-" {
                    cells.insert(parent.to_owned(), "0".to_owned());
                }
            }
            (row.ns.to_string(), cells)
        })
        .collect()
}

#[test]
fn the_helpers_namespaces_are_as_lsns_sees_them() {
    let helper = common::three_deep();
    let ours = rows(&list());
    let theirs = lsns();
    // Nothing happens in these: every column is the same.
    let first = common::child_of(helper.pid());
    let outside_their_pid_namespace = [helper.pid(), first, common::child_of(first)];
    for pid in outside_their_pid_namespace {
        for kind in [
            "mnt",
            "uts",
            "ipc",
            "net",
            "user",
            "cgroup",
            "pid_for_children",
        ] {
            let inode = common::inode(pid, kind).to_string();
            let (ours, theirs) = (ours.get(&inode), theirs.get(&inode));
            assert!(theirs.is_some(), "lsns misses {kind}:[{inode}] of {pid}");
            assert_eq!(ours, theirs, "{kind}:[{inode}] of {pid}");
        }
    }
}

#[test]
fn the_machines_namespaces_are_as_lsns_sees_them() {
    // Other processes come and go meanwhile: what was there both before and after must be there between.
    let mut last = String::new();
    for _ in 0..20 {
        let before = rows(&list());
        let between = lsns();
        let after = rows(&list());
        match compare(&before, &between, &after) {
            Ok(()) => return,
            Err(difference) => last = difference,
        }
    }
    panic!("{last}");
}

fn compare(before: &Rows, between: &Rows, after: &Rows) -> Result<(), String> {
    for (inode, row) in before {
        let Some(later) = after.get(inode) else {
            continue;
        };
        let Some(theirs) = between.get(inode) else {
            // Without processes: lsns does not look at threads and at the next child's.
            if row["NPROCS"] == "0" {
                continue;
            }
            return Err(format!("lsns misses {row:?}"));
        };
        for column in ["TYPE", "PID", "PPID", "UID", "USER", "PNS", "ONS", "PATH"] {
            if row[column] == later[column] && row[column] != theirs[column] {
                return Err(format!(
                    "{inode}: {column} is {} here, {} there",
                    row[column], theirs[column]
                ));
            }
        }
        // lsns itself is one more in each of the caller's namespaces.
        let count =
            |row: &BTreeMap<String, String>| row["NPROCS"].parse::<i64>().expect("a number");
        let (low, high) = (count(row).min(count(later)), count(row).max(count(later)));
        if !(low..=high + 1).contains(&count(theirs)) {
            return Err(format!(
                "{inode}: {low} to {high} processes here, {} there",
                count(theirs)
            ));
        }
    }
    for (inode, theirs) in between {
        if !before.contains_key(inode) && !after.contains_key(inode) {
            return Err(format!("only lsns sees {theirs:?}"));
        }
    }
    Ok(())
}
