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
use soute_engine::{Error, exit_code};
use soute_lens::Maker;
use soute_runtime::capabilities::{Cap, CapSet};

use crate::output::{complain, print, visible, visible_text};

/// Says what failed and why, one cause a line, with what to do about it, and
/// gives the exit code: `failure`, or what the error itself asks for.
pub fn report(error: &anyhow::Error, failure: u8) -> ExitCode {
    complain(&text(error));
    match error.downcast_ref() {
        // The program in the container could not be started: a word about it, not about soute.
        Some(Error::Start(why)) if failure == 125 => ExitCode::from(exit_code(why.kind) as u8),
        _ => ExitCode::from(failure),
    }
}

/// Says what went wrong beside what was asked for.
pub fn warn(what: &str) {
    complain(&format!("soute: warning: {}\n", visible(what)));
}

/// What the engine has to say of what it did, a line each.
pub fn warn_all(notices: &[String]) {
    notices.iter().for_each(|notice| warn(notice));
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
    for hint in error.chain().filter_map(hint) {
        text += &format!("hint: {hint}\n");
    }
    text
}

/// What to do about it.
fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<Error>() {
        return engine_hint(error);
    }
    if let Some(error) = cause.downcast_ref::<soute_network::why::Error>() {
        return trace_hint(error);
    }
    cause.downcast_ref().and_then(image_hint)
}

fn trace_hint(error: &soute_network::why::Error) -> Option<String> {
    use rustix::io::Errno;
    use soute_network::why::Error;
    match error {
        Error::Trace { source, .. } => match source.errno() {
            Errno::OPNOTSUPP | Errno::INVAL | Errno::PROTONOSUPPORT => Some(
                "it takes Linux 5.12 or later with nf_tables: a table that outlives a killed command is not made".to_owned(),
            ),
            _ => None,
        },
        _ => None,
    }
}

fn engine_hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoSuchNetwork(_) => {
            "'soute network ls' lists the networks that there are; 'soute network create' makes one"
                .to_owned()
        }
        Error::NoSuchContainer(name) => match maker_of(name) {
            Some(maker) => format!(
                "{maker} has one that is called so: 'soute ns', 'soute enter' and 'soute capture' take it, all else is for whoever made it"
            ),
            None => "'soute ps -a' lists the containers that there are".to_owned(),
        },
        Error::AmbiguousId { .. } => "give more digits, or the name".to_owned(),
        Error::NameTaken { name, .. } => {
            format!(
                "'soute rm {}' frees the name; or take another with --name",
                visible(name)
            )
        }
        Error::NotRoot(_) => "run it as root, with sudo for instance".to_owned(),
        Error::WrongState { operation, .. } if *operation == "exec" || *operation == "kill" => {
            "'soute start' runs it again".to_owned()
        }
        Error::NoIds(_) => {
            "remove containers that are not needed, or share the machine's ids with --userns host"
                .to_owned()
        }
        Error::Remap { user, .. } => format!(
            "/etc/subuid and /etc/subgid each need a line such as '{}:100000:65536'",
            visible(user)
        ),
        Error::Corrupt { .. } => {
            "'soute rm --force' removes the container, if it is one's file".to_owned()
        }
        Error::MonitorLost => {
            "the kernel's log ('dmesg') tells if it was killed for want of memory".to_owned()
        }
        Error::Ruleset(soute_network::ruleset::Error::Unsupported(_)) => {
            "a network needs nf_tables of the kernel; --network none and --network host do without"
                .to_owned()
        }
        Error::Call(call) | Error::Ruleset(soute_network::ruleset::Error::Call(call))
            if call.errno() == rustix::io::Errno::PERM
                && asks_of_networks(call)
                && !CapSet::own_effective().contains(Cap::NET_ADMIN) =>
        {
            "networks are for root with CAP_NET_ADMIN, which this one lacks; --network none and --network host do without"
                .to_owned()
        }
        Error::Image(error) => return image_hint(error),
        _ => return None,
    })
}

/// Who else has a running container of that name or id.
fn maker_of(name: &str) -> Option<String> {
    let all = soute_lens::Container::all().ok()?;
    let found = soute_lens::Container::called(all, name);
    let (_, container) = found.first()?;
    Some(match container.engine {
        Maker::Soute => "soute with another --root".to_owned(),
        Maker::Unknown => "another engine".to_owned(),
        engine => engine.to_string(),
    })
}

/// Whether it is a message to the kernel's netlink, of nf_tables or of links and routes.
fn asks_of_networks(call: &soute_sys::CallError) -> bool {
    let text = call.to_string();
    ["NFT_MSG_", "RTM_"]
        .iter()
        .any(|message| text.starts_with(message))
}

fn image_hint(error: &soute_image::Error) -> Option<String> {
    use soute_image::Error;
    Some(match error {
        Error::NoSuchImage { .. } => "'soute images' lists the images that are here".to_owned(),
        Error::Ambiguous { .. } => "give more digits, or the name".to_owned(),
        Error::InUse { .. } => {
            "'soute rm' removes the containers; --force takes the image's names away and keeps it"
                .to_owned()
        }
        Error::NotInRegistry { registry, .. } => format!(
            "if it is private: 'docker login {}' or --creds",
            visible(registry)
        ),
        Error::SeveralNames { .. } => {
            "give the name that is to go, or --force for all of them".to_owned()
        }
        _ => return None,
    })
}

/// Prints help or version (exit code 0), or what is wrong with the command line.
pub fn explain(usage: clap::Error) -> ExitCode {
    let text = usage.render().to_string();
    let code = match usage.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A standard output that is closed is nothing that help could be for.
            let _ = print(&text);
            return ExitCode::SUCCESS;
        }
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::InvalidSubcommand => 1,
        _ => 125,
    };
    // It repeats words of the command line, which scripts make of anything.
    complain(&format!("soute: {}", visible_text(&text)));
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

    #[test]
    fn typed_errors_have_hints() {
        let error = anyhow::Error::from(Error::NoSuchContainer("web".to_owned()));
        assert_eq!(
            text(&error),
            "soute: error: no such container: web\nhint: 'soute ps -a' lists the containers that there are\n"
        );
        let missing = soute_image::Error::NoSuchImage {
            name: "debian".to_owned(),
        };
        assert!(text(&Error::Image(missing).into()).contains("hint: 'soute images'"));
    }
}
