//! Booting the virtual machine, and what it says on its serial console.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::base::{Base, Kernel, ROOT_PARTITION};
use super::disk::Program;
use crate::shell::command;

/// Far more than it takes; a machine that hangs is ended then.
const DEADLINE: Duration = Duration::from_secs(900);

/// What the lines begin with that are for us.
const PREFIX: &str = "vm: ";

/// What the machine said.
pub struct Verdict {
    lines: Vec<String>,
    in_time: bool,
}

impl Verdict {
    /// All of the console.
    pub fn log(&self) -> String {
        self.lines.join("\n")
    }

    /// # Errors
    /// Not every one of `programs` has passed, something was left behind, or the machine did not come to its end.
    pub fn check(&self, programs: &[Program]) -> Result<()> {
        let names = programs.iter().map(Program::name);
        let missing: Vec<String> = names
            .chain(["leftovers".to_owned()])
            .filter(|name| !self.said(&format!("{name} passed")))
            .collect();
        if !self.in_time {
            bail!(
                "not at its end within {DEADLINE:?}; not passed: {}",
                missing.join(", ")
            );
        }
        if !self.said("end") {
            bail!(
                "the machine ended early; not passed: {}",
                missing.join(", ")
            );
        }
        if !missing.is_empty() {
            bail!("not passed: {}", missing.join(", "));
        }
        Ok(())
    }

    fn said(&self, words: &str) -> bool {
        self.lines
            .iter()
            .any(|line| line.strip_prefix(PREFIX) == Some(words))
    }
}

/// Boots `kernel` with the base's disk and the tests', and listens until the machine ends.
pub fn boot(base: &Base, kernel: &Kernel, tests: &Path) -> Result<Verdict> {
    let begin = Instant::now();
    let mut machine = Machine(
        emulator(base, kernel, tests)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run qemu-system-x86_64")?,
    );
    let stdout = machine.0.stdout.take().context("qemu has no output")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut verdict = Verdict {
        lines: Vec::new(),
        in_time: true,
    };
    loop {
        match lines.recv_timeout(DEADLINE.saturating_sub(begin.elapsed())) {
            Ok(line) => {
                let line = readable(&line);
                if line.starts_with(PREFIX) {
                    eprintln!("{:5.1} s  {line}", begin.elapsed().as_secs_f32());
                }
                verdict.lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(verdict),
            Err(RecvTimeoutError::Timeout) => {
                verdict.in_time = false;
                return Ok(verdict);
            }
        }
    }
}

fn emulator(base: &Base, kernel: &Kernel, tests: &Path) -> Command {
    let mut qemu = command(
        "qemu-system-x86_64",
        [
            // In software: on some hosts that offer KVM to their own guests, a kernel hangs in it.
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "1536",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
            "-device",
            "nvme,serial=soute",
        ],
    );
    let base_disk = base.disk();
    for (number, disk) in [base_disk.as_path(), tests].into_iter().enumerate() {
        // Changes go to a temporary file that is gone with the machine.
        let file = disk.display();
        qemu.args([
            "-drive",
            &format!("id=disk{number},file={file},format=raw,if=none,snapshot=on,cache=unsafe"),
            "-device",
            &format!("nvme-ns,drive=disk{number},nsid={}", number + 1),
        ]);
    }
    qemu.arg("-kernel").arg(base.kernel(kernel)).args([
        "-append",
        &format!(
            "root=PARTUUID={ROOT_PARTITION} rootwait rw console=ttyS0 panic=-1 quiet loglevel=4 \
             systemd.unit=soute-tests.service systemd.show_status=false systemd.firstboot=off"
        ),
    ]);
    qemu
}

/// Without what a console sends to move its cursor: this is shown on another terminal.
fn readable(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches('\r')
        .replace(|c: char| c.is_control() && c != '\t', "")
}

/// Killed if this process gives up on it.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: &[Program] = &[Program::all("soute-runtime", "cgroups")];

    fn check(lines: &[&str]) -> Result<()> {
        Verdict {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            in_time: true,
        }
        .check(PROGRAMS)
    }

    #[test]
    fn only_what_has_said_so_has_passed() {
        let good = [
            "vm: soute-runtime-cgroups passed",
            "vm: leftovers passed",
            "vm: end",
        ];
        check(&good).unwrap();
        for lost in 0..good.len() {
            let mut lines = good.to_vec();
            lines.remove(lost);
            assert!(check(&lines).is_err(), "without {:?}", good[lost]);
        }
        // A test that prints such a line in the middle of another is not heard.
        assert!(check(&["x vm: soute-runtime-cgroups passed", good[1], good[2]]).is_err());
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(readable(b"\x1b[2Jvm: end\r"), "[2Jvm: end");
    }
}
