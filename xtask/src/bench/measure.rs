//! Interleaved rounds of whole processes, from their start to their end.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::left_out::LeftOut;
use super::limit;
use super::statistics::Sample;
use crate::shell::step;

/// What a slow engine does after it has returned must not slow the next one down.
const SETTLE: Duration = Duration::from_millis(30);

/// One thing that is measured.
pub struct Subject<'a> {
    /// As the report calls it.
    pub name: &'static str,
    /// Makes the commands of one run, which follow each other.
    pub commands: Box<dyn Fn() -> Vec<Command> + 'a>,
    /// Makes the command that removes what a run that failed may have left in the next one's way.
    pub clear: Option<Box<dyn Fn() -> Command + 'a>>,
    /// It takes tens or hundreds of milliseconds, and is measured less often.
    pub slow: bool,
}

impl Subject<'_> {
    /// How long one run takes; each of its commands has `limit`.
    pub fn time(&self, limit: Duration) -> Result<Duration> {
        self.time_as(&mut (self.commands)(), limit)
    }

    /// The same of a run by other commands.
    pub fn time_as(&self, commands: &mut [Command], limit: Duration) -> Result<Duration> {
        self.cleared(time(commands, limit))
    }

    /// One run that is not timed, whose failure tells what it has complained of.
    fn check(&self, limit: Duration) -> Result<()> {
        let output = |command: &mut Command| limit::output(command, limit).map(drop);
        self.cleared((self.commands)().iter_mut().try_for_each(output))
    }

    fn cleared<T>(&self, run: Result<T>) -> Result<T> {
        if let (Err(_), Some(clear)) = (&run, &self.clear) {
            // It fails where nothing was left, too.
            let _ = limit::output(&mut clear(), limit::LIMIT);
        }
        run
    }
}

/// How often, with what pause before each run, and how long at most.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Times that each subject has its turn.
    pub rounds: usize,
    /// Runs that count in one turn.
    pub batch: usize,
    /// The machine does nothing for this long before each run; `None`: a turn's runs follow
    /// each other at once, after one that does not count.
    pub idle: Option<Duration>,
    /// For each command.
    pub limit: Duration,
}

/// Measures all subjects under the name `what`, turn by turn, and gives each one's milliseconds. A peer that fails, be
/// it once, has none: half a figure is none.
///
/// # Errors
/// The floor or soute fails.
pub fn measure(
    what: &'static str,
    subjects: &[Subject<'_>],
    pace: Pace,
    left_out: &mut LeftOut,
) -> Result<BTreeMap<&'static str, Sample>> {
    step(what);
    for subject in subjects {
        left_out.attempt(subject.name, what, || subject.check(pace.limit))?;
    }
    let mut samples: BTreeMap<&'static str, Sample> = BTreeMap::new();
    for round in 0..pace.rounds {
        for index in 0..subjects.len() {
            // Each round begins with another one, so that no subject always follows the same.
            let subject = &subjects[(index + round) % subjects.len()];
            if subject.slow && !round.is_multiple_of(3) {
                continue;
            }
            let sample = samples.entry(subject.name).or_default();
            left_out.attempt(subject.name, what, || turn(subject, pace, sample))?;
        }
    }
    samples.retain(|name, _| !left_out.is_out(name, what));
    Ok(samples)
}

fn turn(subject: &Subject<'_>, pace: Pace, sample: &mut Sample) -> Result<()> {
    let batch = if subject.slow { 3 } else { pace.batch };
    sleep(SETTLE);
    if pace.idle.is_none() {
        subject.time(pace.limit)?;
    }
    for _ in 0..batch {
        if let Some(idle) = pace.idle {
            sleep(idle);
        }
        sample.push(subject.time(pace.limit)?.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Runs `commands` to their end, each after the one before, and each within `limit`.
pub fn time(commands: &mut [Command], limit: Duration) -> Result<Duration> {
    for command in &mut *commands {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    }
    let start = Instant::now();
    for command in commands {
        limit::run(command, limit)?;
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::left_out::tests::nobody;
    use super::super::subjects::{CRUN, FLOOR, RUNC, RUNTIME, SOUTE, YOUKI};
    use super::*;
    use crate::scratch::Scratch;
    use crate::shell::command;

    const PACE: Pace = Pace {
        rounds: 3,
        batch: 4,
        idle: None,
        limit: limit::LIMIT,
    };

    fn subject<'a>(name: &'static str, slow: bool, run: impl Fn() -> Command + 'a) -> Subject<'a> {
        Subject {
            name,
            commands: Box::new(move || vec![run()]),
            clear: None,
            slow,
        }
    }

    fn succeeds() -> Command {
        Command::new("true")
    }

    #[test]
    fn turns_are_counted() {
        let subjects = [
            subject(SOUTE, false, succeeds),
            subject(RUNC, true, succeeds),
        ];
        let samples = measure("run", &subjects, PACE, &mut nobody()).unwrap();
        assert_eq!((samples[SOUTE].len(), samples[RUNC].len()), (12, 3));
    }

    #[test]
    fn a_peer_that_fails_once_costs_its_own_figures_alone() {
        let runs = Cell::new(0);
        // After one that is not timed, and one that does not count.
        let third_fails = || {
            runs.set(runs.get() + 1);
            Command::new(if runs.get() == 5 { "false" } else { "true" })
        };
        let subjects = [
            subject(FLOOR, false, succeeds),
            subject(CRUN, false, third_fails),
            subject(SOUTE, false, succeeds),
        ];
        let mut left_out = nobody();
        let samples = measure("run", &subjects, PACE, &mut left_out).unwrap();
        assert_eq!(samples.keys().collect::<Vec<_>>(), [&FLOOR, &SOUTE]);
        assert_eq!((samples[FLOOR].len(), samples[SOUTE].len()), (12, 12));
        assert_eq!(runs.get(), 5);
        let figures = left_out.figures();
        assert_eq!(figures.as_array().unwrap().len(), 1);
        assert_eq!(
            (&figures[0]["who"], &figures[0]["of"]),
            (&CRUN.into(), &"run".into())
        );
        assert_eq!(figures[0]["why"], "false ended with exit status: 1");
    }

    #[test]
    fn a_peer_that_hangs_is_ended_and_what_it_left_is_removed() {
        let folder = Scratch::new("bench-hangs").unwrap();
        let state = folder.path().join("state");
        // As a runtime does that keeps what it has made, and refuses to make it twice.
        let sh = |script: &str| {
            let mut sh = command("sh", ["-c", script]);
            sh.arg(&state);
            sh
        };
        let hangs = || sh(r#"mkdir "$0" && sleep 1000"#);
        let subjects = [
            subject(RUNTIME, false, succeeds),
            Subject {
                clear: Some(Box::new(|| sh(r#"rmdir "$0""#))),
                ..subject(YOUKI, true, hangs)
            },
        ];
        let mut left_out = nobody();
        let pace = Pace {
            limit: Duration::from_secs(1),
            ..PACE
        };
        let samples = measure("run", &subjects, pace, &mut left_out).unwrap();
        assert_eq!(samples.keys().collect::<Vec<_>>(), [&RUNTIME]);
        let figures = left_out.figures();
        let why = figures[0]["why"].as_str().unwrap();
        assert!(
            why.contains("sleep 1000") && why.contains("did not end within 1 s"),
            "{why}"
        );
        assert!(!state.exists());
    }

    #[test]
    fn the_floor_and_soute_must_not_fail() {
        for name in [FLOOR, SOUTE, RUNTIME] {
            let fails = [subject(name, false, || Command::new("false"))];
            let error = measure("run", &fails, PACE, &mut nobody()).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("false ended with exit status: 1"), "{error}");
        }
    }
}
