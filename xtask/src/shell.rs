//! Running other programs, with errors that say which and how.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// A command and its arguments, to be given to [`run`] or [`output`].
pub fn command<const N: usize>(program: &str, arguments: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs `command` with this process's terminal; an error if it does not exit with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", line(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// What `command` prints; an error, with its standard error, if it does not exit with 0.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", line(command)))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}\n{}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", line(command)))
}

/// The command as a person would type it, for messages.
pub fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let plain = !argument.is_empty() && !argument.contains([' ', '\n', '"', '\'', '$', '*']);
        let _ = if plain {
            write!(line, " {argument}")
        } else {
            write!(line, " '{argument}'")
        };
    }
    line
}

/// Sends `signal` to the process `pid`. By the shell: kill(1) is not everywhere.
pub fn kill(signal: &str, pid: &str) -> Result<()> {
    let script = r#"kill -s "$1" "$2""#;
    run(&mut command("sh", ["-c", script, "sh", signal, pid]))
}

/// Announces a step of a chore, and tells how long the chore has taken so far.
pub fn step(what: &str) {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let seconds = BEGUN.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("\x1b[1m==> {what}\x1b[0m ({seconds} s)");
}

/// Whether this process is root, which containers' tests need.
pub fn is_root() -> Result<bool> {
    Ok(output(&mut command("id", ["-u"]))?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_words() {
        let error = output(&mut command("sh", ["-c", "echo why >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c 'echo why >&2; exit 3'"), "{text}");
        assert!(
            text.contains("exit status: 3") && text.ends_with("why"),
            "{text}"
        );
    }
}
