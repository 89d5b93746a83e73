//! Every case on every runtime, side by side.
//!
//! A case that a peer fails too says less about soute than one that only soute
//! fails: it may be the case that is wrong. `SOUTE_TEST_CASES` limits the table to
//! the cases whose name contains it.

use std::fmt::Write as _;
use std::sync::Mutex;

use crate::case::Case;
use crate::runtime::Runtime;

/// What became of a case, for each of [`Runtime::ALL`].
type Row = [Result<(), String>; Runtime::ALL.len()];

/// Tries everything and prints the table.
///
/// # Errors
/// The cases that soute fails.
pub fn run(groups: &[(&str, &'static [Case])]) -> Result<(), String> {
    let only = std::env::var("SOUTE_TEST_CASES").unwrap_or_default();
    let cases: Vec<(String, &Case)> = groups
        .iter()
        .flat_map(|(group, cases)| {
            cases
                .iter()
                .map(move |case| (format!("{group}::{}", case.name), case))
        })
        .filter(|(name, _)| name.contains(&only))
        .collect();
    let rows = try_all(&cases);
    let names: Vec<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
    println!("{}", print(&names, &rows));
    let failed = failures(&names, &rows, Runtime::Soute);
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("soute fails:\n{failed}")),
    }
}

/// All rows; a few at once, since a case mostly waits.
fn try_all(cases: &[(String, &'static Case)]) -> Vec<Row> {
    let rows: Vec<Mutex<Option<Row>>> = cases.iter().map(|_| Mutex::new(None)).collect();
    let next = Mutex::new(0..cases.len());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.lock().expect("no worker panics").next();
                    let Some(index) = index else { break };
                    let row = Runtime::ALL.map(|runtime| cases[index].1.try_on(runtime));
                    *rows[index].lock().expect("no worker panics") = Some(row);
                }
            });
        }
    });
    rows.into_iter()
        .map(|row| row.into_inner().expect("no worker panics"))
        .map(|row| row.expect("every case was tried"))
        .collect()
}

fn print(names: &[&str], rows: &[Row]) -> String {
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut table = format!("{:width$}", "case");
    for runtime in Runtime::ALL {
        let _ = write!(table, " | {:5}", runtime.name());
    }
    let mut passed = [0; Runtime::ALL.len()];
    for (name, row) in names.iter().zip(rows) {
        let _ = write!(table, "\n{name:width$}");
        for (tried, passed) in row.iter().zip(&mut passed) {
            *passed += usize::from(tried.is_ok());
            let word = if tried.is_ok() { "ok" } else { "FAILS" };
            let _ = write!(table, " | {word:5}");
        }
    }
    let _ = write!(table, "\n{:width$}", format!("{} cases", rows.len()));
    for passed in passed {
        let _ = write!(table, " | {passed:5}");
    }
    for runtime in Runtime::ALL {
        let failed = failures(names, rows, runtime);
        if !failed.is_empty() {
            let _ = write!(table, "\n\n{} fails:\n{failed}", runtime.name());
        }
    }
    table
}

/// The cases that a runtime fails, and why.
fn failures(names: &[&str], rows: &[Row], runtime: Runtime) -> String {
    let column = Runtime::ALL.iter().position(|one| *one == runtime);
    let column = column.expect("one of all");
    let mut failed = String::new();
    for (name, row) in names.iter().zip(rows) {
        if let Err(why) = &row[column] {
            let why = why.trim().replace('\n', "\n      ");
            let _ = writeln!(failed, "  {name}\n      {why}");
        }
    }
    failed
}
