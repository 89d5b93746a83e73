//! What an OCI runtime must do: each case on soute, and all of them on soute, crun and runc side by side.
//!
//! A case is a function that takes a [`bench::Bench`], on which it calls a
//! runtime by its command line, and fails by panicking. `oci::GROUP::CASE` is
//! the test of one case on soute; `slow::oci_table` tries all on all runtimes,
//! prints a table, and fails if soute fails one. A case asks for what the
//! specification says; where it says nothing, for what runc does. The table
//! shows where a peer does otherwise.

mod attacks;
mod bad_input;
mod bench;
mod bundle;
mod case;
mod cgroups;
mod checkpoint;
mod console;
mod criu;
mod exec;
mod hooks;
mod killed;
mod lifecycle;
mod live;
mod mount_ids;
mod mount_options;
mod mounts;
mod namespaces;
mod process;
mod rootfs;
mod running;
mod runtime;
mod seccomp;
mod table;

use libtest_mimic::{Arguments, Trial};

use case::Case;
use runtime::Runtime;

/// The cases, by file.
const GROUPS: &[(&str, &[Case])] = &[
    ("lifecycle", lifecycle::CASES),
    ("running", running::CASES),
    ("process", process::CASES),
    ("exec", exec::CASES),
    ("namespaces", namespaces::CASES),
    ("mounts", mounts::CASES),
    ("mount_options", mount_options::CASES),
    ("mount_ids", mount_ids::CASES),
    ("rootfs", rootfs::CASES),
    ("cgroups", cgroups::CASES),
    ("live", live::CASES),
    ("hooks", hooks::CASES),
    ("seccomp", seccomp::CASES),
    ("console", console::CASES),
    ("bad_input", bad_input::CASES),
];

/// Those of soute's own, which no other runtime is tried on.
const OWN: &[(&str, &[Case])] = &[
    ("killed", killed::CASES),
    ("killed", killed::SOME),
    ("checkpoint", checkpoint::CASES),
    ("criu", criu::CASES),
    ("slow", killed::ALL),
    ("attacks::links", attacks::links::CASES),
    ("attacks::exchange", attacks::exchange::CASES),
    ("attacks::descriptors", attacks::descriptors::CASES),
    ("attacks::executable", attacks::executable::CASES),
    ("attacks::peeking", attacks::peeking::CASES),
    ("attacks::sysctls", attacks::sysctls::CASES),
    ("attacks::terminal", attacks::terminal::CASES),
    ("attacks::privileges", attacks::privileges::CASES),
    ("attacks::ids", attacks::ids::CASES),
    ("attacks::cgroups", attacks::cgroups::CASES),
];

fn main() {
    case::keep_panics();
    let one = |group: &str, case: &'static Case| {
        Trial::test(format!("oci::{group}::{}", case.name), || {
            Ok(case.try_on(Runtime::Soute)?)
        })
    };
    let mut trials: Vec<Trial> = GROUPS
        .iter()
        .chain(OWN)
        .flat_map(|(group, cases)| cases.iter().map(|case| one(group, case)))
        .collect();
    // A kernel that criu knows, and its modules, are a virtual machine's.
    if std::env::var_os("SOUTE_TEST_CRIU").is_none() {
        trials.retain(|trial| !trial.name().starts_with("oci::criu::"));
    }
    // Minutes each; some of the calls are tried in any case, and all of `create`, which makes most.
    if std::env::var_os("SOUTE_TEST_EVERY_CALL").is_none() {
        trials.retain(|trial| {
            !trial.name().ends_with("_at_each_call")
                || trial.name().ends_with("::create_is_killed_at_each_call")
        });
    }
    trials.push(Trial::test("oci::the_table_of_fields_names_cases", || {
        Ok(named_in_the_table()?)
    }));
    trials.push(Trial::test("slow::oci_table", || Ok(table::run(GROUPS)?)));
    // The standard harness takes several filters, this one but one: with more they are applied here.
    let (filters, flags): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| !word.starts_with('-'));
    let arguments = match filters.len() {
        0 | 1 => Arguments::from_args(),
        _ => {
            trials.retain(|trial| filters.iter().any(|filter| trial.name().contains(filter)));
            Arguments::from_iter(std::iter::once("oci".to_owned()).chain(flags))
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}

/// docs/oci-runtime.md says by which cases each field is shown: they are there.
fn named_in_the_table() -> Result<(), String> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/oci-runtime.md");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let there = |name: &str| {
        GROUPS.iter().any(|(group, cases)| {
            cases
                .iter()
                .any(|case| name == format!("{group}::{}", case.name))
        })
    };
    let named = text.split('`').filter(|word| word.contains("::"));
    let missing: Vec<&str> = named
        .filter(|name| *name != "oci::" && !there(name))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("no such cases: {}", missing.join(", "))),
    }
}
