//! What `create`, `run` and `exec` have of one kind: the process, and who hears of it.

use std::path::PathBuf;

use clap::Args;
use soute_runtime::containers::{Error, Recipients, TerminalSize};

use crate::terminal::own_size;

/// Who hears of the process, and what it gets of the caller's.
#[derive(Debug, Args)]
pub struct StartedArgs {
    /// Send the terminal to this socket
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,

    /// Send a descriptor of the process to this socket
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,

    /// Write the number of the process to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Give the program this many descriptors more, from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
}

impl StartedArgs {
    pub fn recipients(&self) -> Recipients {
        Recipients {
            console_socket: self.console_socket.clone(),
            pidfd_socket: self.pidfd_socket.clone(),
            pid_file: self.pid_file.clone(),
        }
    }

    /// Tells the size of the terminal that the program's is joined to while its end is waited for.
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        match self.console_socket {
            None => Some(own_size),
            Some(_) => None,
        }
    }

    /// Whether somebody takes the program's terminal, if it is to have one, and there is one for who would take it.
    pub fn check_terminal(&self, terminal: bool, detached: bool) -> Result<(), Error> {
        let why = match (terminal, &self.console_socket) {
            (true, None) if detached => {
                "cannot allocate tty if runc will detach without setting console socket: the process is to have a \
                 terminal, and --console-socket names nobody who would take it"
            }
            (false, Some(_)) => {
                "cannot use console socket if runc will not detach or allocate tty: --console-socket is given, and the \
                 process is to have no terminal"
            }
            _ => return Ok(()),
        };
        Err(Error::Impossible(why.to_owned()))
    }
}
