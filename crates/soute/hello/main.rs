//! `hello`, the image that is embedded in soute: tells what a container is,
//! by what it sees of itself in /proc and /sys. Nothing is assumed: run on the
//! machine itself, it says so.
//!
//! One file with the standard library alone, since the build script compiles it by itself.

#![forbid(unsafe_code)]

mod look;
mod tell;

use std::io::{IsTerminal, Read, Write};

fn main() {
    let stay = match std::env::args_os().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [only] if only == "--stay" => true,
        _ => {
            eprintln!("usage: hello [--stay]");
            std::process::exit(2);
        }
    };
    let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = tell::tell(&look::look(), bold);
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        std::process::exit(1);
    }
    if stay {
        wait();
    }
}

/// So that the container can be looked at from the machine meanwhile.
fn wait() {
    if std::io::stdin().is_terminal() {
        println!("\nPress Enter to leave.");
        // End of file and an error both mean that nobody will press a key.
        let _ = std::io::stdin().read(&mut [0; 1]);
        return;
    }
    loop {
        std::thread::park();
    }
}
