//! Which functions a command reaches, in the order in which it does so (ptrace(2)).

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::program::Program;
use crate::shell::line;

/// The functions of which `command`, an executable with breakpoints, and its children reach the first byte. What they
/// execute in turn is not traced.
pub fn first_hits(command: Command, program: &Program) -> Result<Vec<u64>> {
    let mut shell = Command::new("sh");
    // Stopped until it is traced.
    shell.args(["-c", r#"kill -s STOP $$; exec "$@""#, "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    // Reaped below: with the others, in the order of their ends.
    let child = shell
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot run sh")?;
    let first = Pid::from_raw(i32::try_from(child.id())?);
    waitpid(first, Some(WaitPidFlag::WUNTRACED))?;
    let options = Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(first, options)?;
    nix::sys::signal::kill(first, Signal::SIGCONT)?;
    // Other threads may have children of their own.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let mut hits = Vec::new();
    let mut executed = false;
    let mut end = None;
    loop {
        let status = match waitpid(None, Some(flags)) {
            // What it leaves behind, a monitor, ends a little later.
            Err(Errno::ECHILD) => break,
            status => status?,
        };
        match status {
            WaitStatus::Exited(pid, code) if pid == first => {
                end = Some(ExitStatus::from_raw(code << 8))
            }
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                end = Some(ExitStatus::from_raw(signal as i32));
            }
            WaitStatus::PtraceEvent(pid, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => {
                // The first is the shell's, of the command itself.
                match std::mem::replace(&mut executed, true) {
                    false => ptrace::cont(pid, None)?,
                    true => ptrace::detach(pid, None)?,
                }
            }
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                hits.extend(step_over(pid, program)?);
                ptrace::cont(pid, None)?;
            }
            // It has a child, or is one, or stops with its group.
            WaitStatus::PtraceEvent(pid, ..) => ptrace::cont(pid, None)?,
            WaitStatus::Stopped(pid, signal) => ptrace::cont(pid, signal)?,
            _ => {}
        }
    }
    match end {
        Some(end) if end.success() => Ok(hits),
        end => bail!("{} under ptrace ended with {end:?}", line(&command)),
    }
}

/// Puts the function's own first byte where the breakpoint is, and the process before it.
fn step_over(pid: Pid, program: &Program) -> Result<Option<u64>> {
    let mut registers = ptrace::getregs(pid)?;
    let address = registers.rip - 1;
    let Some(byte) = program.first_byte(address) else {
        return Ok(None);
    };
    let place = address as ptrace::AddressType;
    let word = ptrace::read(pid, place)? & !0xff | i64::from(byte);
    ptrace::write(pid, place, word)?;
    registers.rip = address;
    ptrace::setregs(pid, registers)?;
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::shell::{command, run};

    #[test]
    fn first_calls_of_a_process_and_its_child_in_their_order() {
        const PROGRAM: &str = r#"
            #include <sys/wait.h>
            #include <unistd.h>
            __attribute__((noinline, noipa)) void unused_one(void) { __asm__(""); }
            __attribute__((noinline, noipa)) void of_child(void) { __asm__(""); }
            __attribute__((noinline, noipa)) void before(void) { __asm__(""); }
            __attribute__((noinline, noipa)) void after(void) { __asm__(""); }
            int main(int count, char **words) {
                if (count > 2) unused_one();
                before(); before();
                if (fork() == 0) { of_child(); execl("/bin/true", "true", (char *)0); _exit(1); }
                int status = 1;
                wait(&status);
                after();
                return status;
            }
        "#;
        let scratch = Scratch::new("breakpoints").unwrap();
        let (source, file) = (scratch.path().join("main.c"), scratch.path().join("main"));
        std::fs::write(&source, PROGRAM).unwrap();
        run(command("gcc", ["-O1", "-static", "-no-pie", "-o"])
            .arg(&file)
            .arg(&source))
        .unwrap();
        let program = Program::read(&file).unwrap();
        std::fs::write(&file, program.with_breakpoints()).unwrap();
        let hits = first_hits(Command::new(&file), &program).unwrap();
        let ours = [
            "frame_dummy",
            "main",
            "before",
            "of_child",
            "after",
            "unused_one",
        ];
        let names = hits.iter().flat_map(|&hit| program.names_at(hit));
        let names: Vec<&str> = names.filter(|name| ours.contains(name)).collect();
        assert_eq!(
            names,
            ["frame_dummy", "main", "before", "of_child", "after"]
        );
        let failure = first_hits(Command::new("/bin/false"), &program).unwrap_err();
        assert!(failure.to_string().contains("/bin/false"), "{failure}");
    }
}
