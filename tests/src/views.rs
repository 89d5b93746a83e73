//! What soute shows of a process, and what the kernel and the tools that people know say of the same.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{World, output};

/// The kinds of namespaces that a container has of its own.
pub const KINDS: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// The inode of a namespace of process `pid`, as the kernel shows it.
#[track_caller]
pub fn inode(pid: u32, kind: &str) -> u64 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
    let text = link.to_string_lossy().into_owned();
    text.trim_end_matches(']')
        .rsplit('[')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("KIND:[INODE]")
}

/// A line of /proc/PID/status, without its name.
#[track_caller]
pub fn status(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| *key == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {status}"));
    found.1.trim().to_owned()
}

/// The number of process `pid` at every level, by the kernel's own word.
#[track_caller]
pub fn levels(pid: u64) -> Vec<u64> {
    let pid = pid.try_into().expect("a process's number");
    let line = status(pid, "NSpid");
    line.split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

/// The same of a row of `soute ns pids --json`.
#[track_caller]
pub fn numbers(row: &Value) -> Vec<u64> {
    let numbers = row["pids"].as_array().expect("numbers").iter();
    numbers
        .map(|number| number.as_u64().expect("a number"))
        .collect()
}

/// `soute ns show WORD --json`.
#[track_caller]
pub fn show(world: &World, word: &str) -> Value {
    world.soute(["ns", "show", "--json", word]).json()
}

/// The row of one kind of namespace there.
#[track_caller]
pub fn row<'a>(shown: &'a Value, kind: &str) -> &'a Value {
    let rows = shown["namespaces"].as_array().expect("rows").iter();
    let mut found = rows.filter(|row| row["type"] == kind && row["for_children"] == false);
    found
        .next()
        .unwrap_or_else(|| panic!("no {kind} in {shown}"))
}

/// What lsns(8) says of the namespaces of process `pid`, by their kind.
#[track_caller]
pub fn lsns(pid: u32) -> BTreeMap<String, Value> {
    let columns = "NS,TYPE,NPROCS,PID,PNS,ONS,COMMAND";
    let mut lsns = Command::new("lsns");
    lsns.args(["--json", "--task", &pid.to_string(), "--output", columns]);
    let told = output(&mut lsns).json();
    let rows = told["namespaces"].as_array().expect("namespaces").iter();
    rows.map(|row| {
        (
            row["type"].as_str().expect("a kind").to_owned(),
            row.clone(),
        )
    })
    .collect()
}

/// `soute ns mounts WORD --json`.
#[track_caller]
pub fn mounts(world: &World, word: &str) -> Vec<Value> {
    let told = world.soute(["ns", "mounts", "--json", word]).json();
    told["mounts"].as_array().expect("mounts").clone()
}

/// What findmnt(8) says of the mounts that process `pid` sees, a line each.
#[track_caller]
pub fn findmnt(pid: u32) -> BTreeSet<String> {
    let columns = "ID,PARENT,TARGET,SOURCE,FSTYPE,VFS-OPTIONS,PROPAGATION";
    let mut findmnt = Command::new("findmnt");
    findmnt.args(["--task", &pid.to_string(), "--raw", "--noheadings"]);
    let outcome = output(findmnt.args(["--output", columns]));
    outcome.text().lines().map(str::to_owned).collect()
}

/// The same line of what soute says of one.
#[track_caller]
pub fn as_findmnt(mount: &Value) -> String {
    let word = |name: &str| mount[name].as_str().expect("a word");
    let source = match word("fsroot") {
        "/" => word("source").to_owned(),
        root => format!("{}[{root}]", word("source")),
    };
    let told = &mount["propagation"];
    let mut spreads = match told["shared"].is_null() {
        true => "private".to_owned(),
        false => "shared".to_owned(),
    };
    for (name, is) in [
        ("slave", !told["master"].is_null()),
        ("unbindable", told["unbindable"] == true),
    ] {
        if is {
            spreads = format!("{spreads},{name}");
        }
    }
    let (target, fstype, options) = (word("target"), word("fstype"), word("vfs_options"));
    let (id, parent) = (&mount["id"], &mount["parent"]);
    format!("{id} {parent} {target} {source} {fstype} {options} {spreads}")
}

/// The mount one of whose words is `is`; of several, the first.
#[track_caller]
pub fn mount<'a>(mounts: &'a [Value], word: &str, is: &str) -> &'a Value {
    let mut found = mounts.iter().filter(|mount| mount[word] == is);
    found
        .next()
        .unwrap_or_else(|| panic!("no {word} {is}: {mounts:?}"))
}
