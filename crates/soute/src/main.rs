//! soute: a container engine that shows what a container is made of.
//!
//! `argv → Args → Request`, then the engine; all printing is here.

#![cfg_attr(not(test), no_main)]
#![deny(
    clippy::disallowed_macros,
    reason = "clippy.toml says which and why; programs for ourselves (xtask, tests) may use them"
)]

/// The flags that describe a container, and the request that they make.
mod args;
/// The table of commands, and how a command line becomes one of them.
mod cli;
/// One file per command.
mod commands;
/// What is said when something fails, and the exit code.
mod error;
/// Images, there when a container is made.
mod images;
/// Tables, templates, times and sizes as people read them.
mod output;
/// Between the caller's standard files and a program in a container.
mod relay;
/// The OCI runtime.
mod runtime;
/// The caller's terminal while a container has it.
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

#[global_allocator]
static HEAP: soute_sys::memory::Heap = soute_sys::memory::Heap;

#[cfg(not(test))]
soute_sys::entry!(run);

#[cfg_attr(test, expect(dead_code, reason = "the tests have a main of their own"))]
fn run() -> ExitCode {
    // A caller that ignores it (and has made us inherit that) would take all exit statuses away from us.
    soute_sys::signals::reset(rustix::process::Signal::CHILD.as_raw());
    let words = soute_sys::start::words();
    if runtime::is_called(words.first().map(OsString::as_os_str)) {
        return runtime::main("runc", words);
    }
    if words.get(1).is_some_and(|word| word == "runtime") {
        return runtime::main("soute runtime", words.into_iter().skip(1));
    }
    match cli::parse(words) {
        Ok(mut invocation) => match invocation.run() {
            Ok(code) => code,
            Err(error) => error::report(&error, invocation.failure()),
        },
        Err(usage) => error::explain(usage),
    }
}
