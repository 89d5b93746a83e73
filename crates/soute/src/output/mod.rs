//! What people and scripts read.

mod human;
mod table;
mod template;
mod visible;

use std::io::{self, IsTerminal as _, Write as _};

pub use human::{age, binary_size, decimal_size, duration};
use serde::Serialize;
pub use table::{Format, Rows};
pub use template::Template;
use visible::visible_json;
pub use visible::{visible, visible_text};

/// Writes `text` to standard output.
///
/// A reader that has left (`soute ps | head -1`) is no failure.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A value as JSON, with nothing in it that a terminal obeys, and a line's end.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(visible_json(&text).into_owned() + "\n")
}

/// The same in one line.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(visible_json(&text).into_owned() + "\n")
}

/// Writes `text` to standard error. That nobody reads it is no reason to fail, or to fail otherwise than said.
pub fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// As [`print`], of text from images and containers: a terminal is shown control
/// characters but never obeys them, a pipe gets what is.
pub fn print_foreign(text: &str) -> io::Result<()> {
    match io::stdout().is_terminal() {
        true => print(&visible_text(text)),
        false => print(text),
    }
}
