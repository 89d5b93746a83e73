//! How many containers a second, some of them at once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::left_out::LeftOut;
use super::limit::LIMIT;
use super::measure::Subject;
use crate::shell::step;

/// As the report calls it.
pub const TITLE: &str = "Containers a second";

/// How many run at once.
pub const AT_ONCE: &[usize] = &[1, 2, 4, 10];

/// Makes the subject whose run has this number; no two that run at once have the same.
pub type Numbered<'a> = (&'static str, Box<dyn Fn(usize) -> Subject<'a> + Sync + 'a>);

/// Containers a second of each of `subjects`, by its name and how many ran at once; `total` runs make a figure.
pub fn measure(subjects: &[Numbered<'_>], total: usize, left_out: &mut LeftOut) -> Result<Value> {
    step(TITLE);
    let mut rates: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
    for at_once in AT_ONCE {
        for (name, subject) in subjects {
            let rate = || rate(subject, *at_once, total);
            if let Some(rate) = left_out.attempt(name, TITLE, rate)? {
                let rates = rates.entry(name).or_default();
                rates.insert(at_once.to_string(), rate);
            }
        }
    }
    rates.retain(|name, _| !left_out.is_out(name, TITLE));
    Ok(json!(rates))
}

fn rate<'a>(
    subject: &(dyn Fn(usize) -> Subject<'a> + Sync),
    at_once: usize,
    total: usize,
) -> Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once)
            .map(|worker| {
                scope.spawn(move || {
                    (worker..total)
                        .step_by(at_once)
                        .try_for_each(|number| subject(number).time(LIMIT).map(drop))
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|e| std::panic::resume_unwind(e))
        })
    })?;
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::left_out::tests::nobody;
    use super::super::subjects::{CRUN, FLOOR};
    use super::*;

    fn subject(name: &'static str, program: &'static str) -> Subject<'static> {
        Subject {
            name,
            commands: Box::new(move || vec![Command::new(program)]),
            clear: None,
            slow: false,
        }
    }

    #[test]
    fn a_peer_that_fails_once_has_no_rates_and_the_others_have_all() {
        // Three times twenty runs have gone well by then.
        let runs = AtomicUsize::new(0);
        let fails = |_| match runs.fetch_add(1, Ordering::Relaxed) {
            70 => subject(CRUN, "false"),
            _ => subject(CRUN, "true"),
        };
        let subjects: [Numbered<'_>; 2] = [
            (CRUN, Box::new(fails)),
            (FLOOR, Box::new(|_| subject(FLOOR, "true"))),
        ];
        let mut left_out = nobody();
        let rates = measure(&subjects, 20, &mut left_out).unwrap();
        assert!(rates[FLOOR]["10"].as_f64().unwrap() > 0.0);
        assert!(rates.get(CRUN).is_none() && left_out.is_out(CRUN, TITLE));
    }

    #[test]
    fn the_floor_must_not_fail() {
        let bad: Numbered<'_> = (FLOOR, Box::new(|_| subject(FLOOR, "false")));
        assert!(measure(&[bad], 20, &mut nobody()).is_err());
    }
}
