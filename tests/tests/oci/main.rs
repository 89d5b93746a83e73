//! What an OCI runtime must do: each case on soute, and all of them on soute, crun and runc side by side.
//!
//! A case is a function that takes a [`bench::Bench`], on which it calls a
//! runtime by its command line, and fails by panicking. `oci::GROUP::CASE` is
//! the test of one case on soute; `oci::slow::table` tries all on all runtimes,
//! prints a table, and fails if soute fails one. Where crun and runc differ, a
//! case asks for what runc does, and the table shows that crun does not.

mod bench;
mod bundle;
mod case;
mod lifecycle;
mod place;
mod runtime;
mod table;

use libtest_mimic::{Arguments, Trial};

use case::Case;
use runtime::Runtime;

/// The cases, by file.
const GROUPS: &[(&str, &[Case])] = &[("lifecycle", lifecycle::CASES)];

fn main() {
    case::keep_panics();
    let one = |group: &str, case: &'static Case| {
        Trial::test(format!("oci::{group}::{}", case.name), || {
            Ok(case.try_on(Runtime::Soute)?)
        })
    };
    let mut trials: Vec<Trial> = GROUPS
        .iter()
        .flat_map(|(group, cases)| cases.iter().map(|case| one(group, case)))
        .collect();
    trials.push(Trial::test("oci::slow::table", || Ok(table::run(GROUPS)?)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
