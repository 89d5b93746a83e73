//! The binary's edge: what is said when something fails, and the exit code.
//!
//! Exit codes are Docker's. `run`, `create` and `exec` end with 125 when soute
//! itself fails, 126 when the program cannot be executed, 127 when it is not
//! found, and else as the program does; other commands end with 1. A flag
//! that is unknown or has a value that it cannot have ends every command with
//! 125, an argument too few or too many, or an unknown command, with 1 (but
//! with 125 where that is the command's own).

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::output::visible;

/// Says what failed and why, one cause a line, with what to do about it, and gives the exit code.
pub fn report(error: &anyhow::Error, failure: u8) -> ExitCode {
    eprint!("{}", text(error));
    ExitCode::from(failure)
}

fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut before = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        // Some libraries' messages already end with their cause.
        if depth > 0 && before.ends_with(&cause) {
            continue;
        }
        text += match depth {
            0 => "soute: error: ",
            _ => "  caused by: ",
        };
        text += &visible(&cause);
        text.push('\n');
        before = cause;
    }
    text
}

/// Prints help or version (exit code 0), or what is wrong with the command line.
pub fn explain(usage: clap::Error) -> ExitCode {
    let code = match usage.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A closed standard output is nothing that help could tell anybody.
            let _ = crate::output::print(&usage.render().to_string());
            return ExitCode::SUCCESS;
        }
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::InvalidSubcommand => 1,
        _ => 125,
    };
    eprint!("soute: {}", usage.render());
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_one_a_line_and_once() {
        let error = anyhow::anyhow!("no such file")
            .context("open x: no such file")
            .context("--env-file \x1b[31mx");
        assert_eq!(
            text(&error),
            "soute: error: --env-file \\u{1b}[31mx\n  caused by: open x: no such file\n"
        );
    }
}
