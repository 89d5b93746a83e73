//! Programs that must end in time.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How long anything may take before the test gives up: far more than it needs on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// After the program's end, for whoever else holds its output: nobody may.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `command` to its end and returns what became of it.
///
/// # Panics
/// It does not start, does not end within [`DEADLINE`], or leaves a process that holds its output.
#[track_caller]
pub fn output(command: &mut Command) -> Outcome {
    Running::start(command.stdin(Stdio::null())).outcome()
}

/// Runs `command` to its end with its output in the files `name.out` and `name.err` of `folder`, where processes that it
/// leaves behind go on writing.
///
/// # Panics
/// It does not start, or does not end within [`DEADLINE`].
#[track_caller]
pub fn output_in_files(command: &mut Command, folder: &Path, name: &str) -> Outcome {
    let [out, err] = ["out", "err"].map(|end| folder.join(format!("{name}.{end}")));
    let file = |path: &Path| File::create(path).expect("a new file");
    let line = line(command);
    command.stdout(file(&out)).stderr(file(&err));
    let mut child = match command.stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => panic!("cannot run `{line}`: {error}"),
    };
    let status = wait(&mut child, DEADLINE);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let read = |path: &Path| std::fs::read(path).expect("the file of its output");
    let (out, err) = (read(&out), read(&err));
    match status {
        Some(status) => Outcome::new(line, status, &out, &err),
        None => panic!(
            "`{line}` did not end within {DEADLINE:?}:\n{}",
            String::from_utf8_lossy(&err)
        ),
    }
}

/// A program that runs beside the test; killed if the test ends before it.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Pipe,
    stderr: Pipe,
}

impl Running {
    /// Starts `command` with its output captured, and its input too unless the command says otherwise.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let line = line(command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot run `{line}`: {error}"),
        };
        Self {
            stdin: child.stdin.take(),
            stdout: Pipe::new(child.stdout.take().expect("piped")),
            stderr: Pipe::new(child.stderr.take().expect("piped")),
            line,
            child,
        }
    }

    /// Its process id on the machine.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let stdin = self
            .stdin
            .as_mut()
            .expect("standard input was closed, or not asked for");
        stdin
            .write_all(text.as_bytes())
            .and_then(|()| stdin.flush())
            .expect("the program reads");
    }

    /// Closes its standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits until its standard output holds `text`, and returns all of it so far.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + DEADLINE;
        while !String::from_utf8_lossy(&self.stdout.seen).contains(text) {
            if !self.stdout.more(end) {
                let (line, seen) = (&self.line, String::from_utf8_lossy(&self.stdout.seen));
                panic!(
                    "`{line}` never said {text:?}, but:\n{seen}\n{}",
                    self.stderr.so_far()
                );
            }
        }
        String::from_utf8_lossy(&self.stdout.seen).into_owned()
    }

    /// Whether its standard output holds `text` by now; waits a moment for more.
    pub fn hears(&mut self, text: &str) -> bool {
        let end = Instant::now() + Duration::from_millis(20);
        while self.stdout.more(end) {}
        String::from_utf8_lossy(&self.stdout.seen).contains(text)
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid =
            rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("kill");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Closes its input, waits for its end, and returns what became of it.
    #[track_caller]
    pub fn outcome(mut self) -> Outcome {
        self.close();
        let Some(status) = wait(&mut self.child, DEADLINE) else {
            let _ = self.child.kill();
            let (line, so_far) = (
                &self.line,
                [self.stdout.so_far(), self.stderr.so_far()].join("\n"),
            );
            panic!("`{line}` did not end within {DEADLINE:?}:\n{so_far}");
        };
        let end = Instant::now() + GRACE;
        for (name, pipe) in [
            ("standard output", &mut self.stdout),
            ("standard error", &mut self.stderr),
        ] {
            while pipe.more(end) {}
            assert!(
                pipe.ended,
                "`{}` has ended, but its {name} is held open by another process",
                self.line
            );
        }
        Outcome::new(
            self.line.clone(),
            status,
            &self.stdout.seen,
            &self.stderr.seen,
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for the end of `child`, `time` at most.
pub(crate) fn wait(child: &mut Child, time: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + time;
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The reading end of a program's output, read by a thread so that the program never waits for the test.
#[derive(Debug)]
struct Pipe {
    chunks: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    ended: bool,
}

impl Pipe {
    fn new(mut from: impl Read + Send + 'static) -> Self {
        let (sender, chunks) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            chunks,
            seen: Vec::new(),
            ended: false,
        }
    }

    /// Waits for more until `end`; false at the end of the output or of the time.
    fn more(&mut self, end: Instant) -> bool {
        match self
            .chunks
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            Ok(chunk) => {
                self.seen.extend(chunk);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                false
            }
        }
    }

    fn so_far(&mut self) -> String {
        while self.more(Instant::now()) {}
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_program_is_written_to_and_heard() {
        let mut cat = Running::start(Command::new("cat").stdin(Stdio::piped()));
        cat.write("one\n");
        cat.expect("one");
        assert!(cat.is_running());
        cat.outcome().success().prints("one");
    }

    #[test]
    fn a_signal_is_shown_as_a_shell_does() {
        let sleep = Running::start(Command::new("sleep").arg("1000").stdin(Stdio::null()));
        sleep.signal(rustix::process::Signal::TERM);
        sleep.outcome().code(128 + 15);
    }

    #[test]
    #[should_panic(expected = "held open by another process")]
    fn output_held_by_a_leftover_process_is_a_failure() {
        output(Command::new("sh").args(["-c", "sleep 8 & exit 0"]));
    }
}
