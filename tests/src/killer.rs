//! Programs that are killed right before one of their system calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::output;

/// Kills others at a call of its user's choice: `programs/kill_at.c`.
#[derive(Debug)]
pub struct Killer(PathBuf);

impl Killer {
    /// Its exit code when it has killed.
    pub const HAS_KILLED: i32 = 99;

    /// Compiles it in `folder`.
    #[track_caller]
    pub fn new(folder: &Path) -> Self {
        let (source, program) = (folder.join("kill_at.c"), folder.join("kill_at"));
        fs::write(&source, include_str!("programs/kill_at.c")).expect("a file");
        let mut compiler = Command::new("cc");
        compiler.args(["-static", "-O1", "-o"]);
        output(compiler.arg(&program).arg(&source)).success();
        Self(program)
    }

    /// `command`, killed before its `call`th system call, the first being 1. Without so many it ends as it would.
    pub fn command(&self, call: usize, command: &Command) -> Command {
        let mut killed = Command::new(&self.0);
        killed.arg(call.to_string()).arg(command.get_program());
        killed.args(command.get_args());
        for (name, value) in command.get_envs() {
            killed.env(name, value.expect("only set"));
        }
        killed
    }
}
