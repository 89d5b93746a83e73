//! Interleaved rounds of whole processes, from their start to their end.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::statistics::Sample;
use crate::shell;

/// What a slow engine does after it has returned must not slow the next one down.
const SETTLE: Duration = Duration::from_millis(30);

/// One thing that is measured.
pub struct Subject<'a> {
    /// As the report calls it.
    pub name: &'static str,
    /// Makes the commands of one run, which follow each other.
    pub commands: Box<dyn Fn() -> Vec<Command> + 'a>,
    /// It takes tens or hundreds of milliseconds, and is measured less often.
    pub slow: bool,
}

/// How often, and with what pause before each run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Times that each subject has its turn.
    pub rounds: usize,
    /// Runs that count in one turn.
    pub batch: usize,
    /// The machine does nothing for this long before each run; `None`: a turn's runs follow
    /// each other at once, after one that does not count.
    pub idle: Option<Duration>,
}

/// Measures all subjects, turn by turn, and gives each one's milliseconds.
///
/// # Errors
/// A subject fails: half a figure is none.
pub fn measure(subjects: &[Subject<'_>], pace: Pace) -> Result<BTreeMap<&'static str, Sample>> {
    let mut samples: BTreeMap<&'static str, Sample> = BTreeMap::new();
    for round in 0..pace.rounds {
        for index in 0..subjects.len() {
            // Each round begins with another one, so that no subject always follows the same.
            let subject = &subjects[(index + round) % subjects.len()];
            if subject.slow && !round.is_multiple_of(3) {
                continue;
            }
            let batch = if subject.slow { 3 } else { pace.batch };
            sleep(SETTLE);
            if pace.idle.is_none() {
                time(&mut (subject.commands)())?;
            }
            let sample = samples.entry(subject.name).or_default();
            for _ in 0..batch {
                if let Some(idle) = pace.idle {
                    sleep(idle);
                }
                sample.push(time(&mut (subject.commands)())?.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(samples)
}

/// Runs `commands` to their end, each after the one before.
pub fn time(commands: &mut [Command]) -> Result<Duration> {
    for command in &mut *commands {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    }
    let start = Instant::now();
    for command in commands {
        let status = command.status()?;
        if !status.success() {
            bail!("{} ended with {status}", shell::line(command));
        }
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_and_failures_are_errors() {
        let subject = |name, program: &'static str, slow| Subject {
            name,
            commands: Box::new(move || vec![Command::new(program)]),
            slow,
        };
        let pace = Pace {
            rounds: 3,
            batch: 4,
            idle: None,
        };
        let samples = measure(
            &[
                subject("fast", "true", false),
                subject("slow", "true", true),
            ],
            pace,
        )
        .unwrap();
        assert_eq!((samples["fast"].len(), samples["slow"].len()), (12, 3));
        let error = measure(&[subject("bad", "false", false)], pace)
            .unwrap_err()
            .to_string();
        assert!(error.contains("false ended with exit status: 1"), "{error}");
    }
}
