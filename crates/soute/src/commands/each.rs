//! Commands that do one thing to each of several containers or images.

use std::process::ExitCode;

use anyhow::Result;

use crate::error;
use crate::output::print;

/// Does `act` to each of `names` and prints what it gives, one a line. A
/// failure is reported and does not spare the others; the exit code is then 1.
pub fn each(names: &[String], mut act: impl FnMut(&str) -> Result<String>) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match act(name) {
            Ok(line) => print(&(line + "\n"))?,
            Err(failure) => code = error::report(&failure, 1),
        }
    }
    Ok(code)
}

/// As [`each`], of actions that give nothing: the name is printed.
pub fn each_named(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<ExitCode> {
    each(names, |name| act(name).map(|()| name.to_owned()))
}

/// As many as are waited for at once.
const AT_ONCE: usize = 50;

/// As [`each_named`], for what waits: all at once, told in the order of `names`.
pub fn each_at_once(names: &[String], act: impl Fn(&str) -> Result<()> + Sync) -> Result<ExitCode> {
    if names.len() == 1 {
        return each_named(names, act);
    }
    let mut code = ExitCode::SUCCESS;
    for names in names.chunks(AT_ONCE) {
        let mut outcomes = std::thread::scope(|scope| {
            let acting: Vec<_> = names.iter().map(|name| scope.spawn(|| act(name))).collect();
            let outcome = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            acting.into_iter().map(outcome).collect::<Vec<_>>()
        })
        .into_iter();
        let told = each_named(names, |_| outcomes.next().unwrap_or(Ok(())))?;
        if told != ExitCode::SUCCESS {
            code = told;
        }
    }
    Ok(code)
}
