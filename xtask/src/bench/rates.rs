//! How many containers a second, some of them at once.

use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::measure::time;

/// How many run at once.
pub const AT_ONCE: &[usize] = &[1, 2, 4, 10];

/// Makes the command of the run of this number; no two that run at once have the same.
pub type Numbered<'a> = (&'static str, Box<dyn Fn(usize) -> Command + Sync + 'a>);

/// Containers a second of each of `subjects`, by its name and how many ran at once; `total` runs make a figure.
pub fn measure(subjects: &[Numbered<'_>], total: usize) -> Result<Value> {
    let mut rates = json!({});
    for at_once in AT_ONCE {
        for (name, command) in subjects {
            rates[name][at_once.to_string()] = json!(rate(command, *at_once, total)?);
        }
    }
    Ok(rates)
}

fn rate(command: &(dyn Fn(usize) -> Command + Sync), at_once: usize, total: usize) -> Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once)
            .map(|worker| {
                scope.spawn(move || {
                    (worker..total)
                        .step_by(at_once)
                        .try_for_each(|number| time(&mut [command(number)]).map(drop))
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
    use super::*;

    #[test]
    fn all_have_their_turn_and_failures_are_errors() {
        let good: Numbered<'_> = ("good", Box::new(|_| Command::new("true")));
        let bad: Numbered<'_> = ("bad", Box::new(|_| Command::new("false")));
        let rates = measure(&[good], 20).unwrap();
        assert!(rates["good"]["10"].as_f64().unwrap() > 0.0);
        assert!(measure(&[bad], 20).is_err());
    }
}
