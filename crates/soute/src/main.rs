//! soute: a container engine that shows what a container is made of.
//!
//! `argv → Args → Request`, then the engine; all printing is here.

// Most of `args` waits for the commands that call the engine.
#![allow(dead_code, unused_imports)]

/// The flags that describe a container, and the request that they make.
mod args;
/// The table of commands, and how a command line becomes one of them.
mod cli;
/// One file per command.
mod commands;
/// What is said when something fails, and the exit code.
mod error;
/// Tables, templates, times and sizes as people read them.
mod output;
/// The caller's terminal while a container has it.
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(invocation) => match invocation.run() {
            Ok(code) => code,
            Err(error) => error::report(&error, invocation.failure()),
        },
        Err(usage) => error::explain(usage),
    }
}
