//! `soute run`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{ArgAction, Args};
use soute_engine::request::Request;
use soute_engine::{Places, Start};

use super::cidfile::CidFile;
use crate::args::{CreateArgs, Machine, numbers};
use crate::cli::CommandLine;
use crate::error::warn_all;
use crate::images;
use crate::output::print;
use crate::relay::{self, Attachment, Signals, Stream};
use crate::terminal::{self, DetachKeys};

/// Create, start, and take part.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    container: CreateArgs,

    #[command(flatten)]
    attach: AttachArgs,
}

/// How the caller takes part in the container.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attaching")]
struct AttachArgs {
    /// Do not wait: print the id
    #[arg(short, long)]
    detach: bool,

    /// Take part in these alone
    #[arg(short, long, value_name = "STREAM", value_enum, ignore_case = true)]
    attach: Vec<Stream>,

    /// The keys that leave the container running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,

    /// Pass signals on to the program (without a terminal)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = numbers::boolean, num_args = 0..=1,
        require_equals = true, default_value = "true", default_missing_value = "true")]
    sig_proxy: bool,
}

impl AttachArgs {
    /// `None`: detached.
    fn attachment(self, request: &Request) -> Result<Option<Attachment>> {
        if self.detach {
            if !self.attach.is_empty() {
                bail!("--attach and --detach exclude each other");
            }
            return Ok(None);
        }
        let wants = |stream| match self.attach.is_empty() {
            true => stream != Stream::Stdin || request.interactive,
            false => self.attach.contains(&stream),
        };
        let attachment = Attachment {
            stdin: wants(Stream::Stdin) && request.interactive,
            stdout: wants(Stream::Stdout),
            stderr: wants(Stream::Stderr),
            terminal: request.terminal,
            keys: Some(self.detach_keys),
            forward_signals: self.sig_proxy && !request.terminal,
        };
        if self.attach.contains(&Stream::Stdin) && !request.interactive {
            bail!("--attach stdin needs --interactive, without which there is no standard input");
        }
        attachment.check_terminal()?;
        Ok(Some(attachment))
    }
}

impl CommandLine for Run {
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND [ARG]...]";
    const FAILURE: u8 = 125;

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open_in_a_hurry(places)?;
        self.container.shield(&engine)?;
        let creation = self.container.into_request(&Machine)?;
        let attachment = self.attach.attachment(&creation.request)?;
        let cidfile = creation.cidfile.map(CidFile::reserve).transpose()?;
        images::ensure(&engine, &creation.request, creation.pull, creation.quiet)?;
        // A signal from here on is for the container.
        let taken =
            attachment.map(|attachment| Ok::<_, anyhow::Error>((Signals::take()?, attachment)));
        let taken = taken.transpose()?;
        let terminal_size = match creation.request.terminal {
            true => terminal::window_size(rustix::stdio::stdin()),
            false => None,
        };
        let started = engine.run(
            creation.request,
            Start {
                attach: taken.is_some(),
                terminal_size,
            },
            |id| cidfile.map_or(Ok(()), |file| file.fill(id)),
        )?;
        warn_all(&started.notices);
        let Some((signals, attachment)) = taken else {
            print(&(started.id + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        if !attachment.stdout && !attachment.stderr {
            print(&(started.id.clone() + "\n"))?;
        }
        // While there is nothing to do but wait: all that is mapped by then has to be unmapped in the end.
        soute_sys::memory::trim();
        let ending = relay::follow(&started.connection, &attachment, &signals)?;
        Ok(ending.conclude(&started.name))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn attachment(line: &str, interactive: bool, terminal: bool) -> Result<Option<Attachment>> {
        let command = Command::new("run").no_binary_name(true);
        let command = crate::cli::as_docker_parses(AttachArgs::augment_args(command));
        let matches = command.try_get_matches_from(line.split_whitespace())?;
        let request = Request {
            interactive,
            terminal,
            ..Request::default()
        };
        AttachArgs::from_arg_matches(&matches)?.attachment(&request)
    }

    #[test]
    fn streams_follow_the_flags() {
        for (line, interactive, streams) in [
            ("", false, (false, true, true)),
            ("", true, (true, true, true)),
            ("-a stdout", true, (false, true, false)),
            ("-a STDIN -a stderr", true, (true, false, true)),
        ] {
            let attachment = attachment(line, interactive, false).unwrap().unwrap();
            assert_eq!(
                (attachment.stdin, attachment.stdout, attachment.stderr),
                streams,
                "{line}"
            );
            assert!(attachment.forward_signals);
        }
        assert!(attachment("-d", true, true).unwrap().is_none());
        assert!(
            !attachment("--sig-proxy=false", false, false)
                .unwrap()
                .unwrap()
                .forward_signals
        );
        assert!(
            attachment("--sig-proxy", false, false)
                .unwrap()
                .unwrap()
                .forward_signals
        );
        assert!(
            !attachment("", false, true)
                .unwrap()
                .unwrap()
                .forward_signals
        );
    }

    #[test]
    fn contradictions_are_refused() {
        for (line, interactive) in [
            ("-d -a stdout", false),
            ("-a stdin", false),
            ("-a foo", false),
            ("--detach-keys foo", false),
        ] {
            assert!(attachment(line, interactive, false).is_err(), "{line}");
        }
    }
}
