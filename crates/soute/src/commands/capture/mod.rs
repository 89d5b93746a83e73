//! `soute capture`: what crosses the interfaces of a container, or of any process's network namespace.

mod form;
mod target;
mod writer;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use soute_engine::Places;
use soute_network::capture::{self, Filter, Heard, Packet, Tap};

use self::form::Form;
use self::target::Target;
use self::writer::{Stop, Writer};
use crate::cli::CommandLine;
use crate::error::warn;
use crate::output::{complain, visible};

/// As much of a packet as is taken if nothing else is said: all of nearly every one.
const SNAPLEN: u32 = 262_144;
/// Bytes that wait to be written, at most.
const WAITING: usize = 64 << 10;
/// How often there is a look whether an interface that is down is there still.
const NOW_AND_THEN: Duration = Duration::from_secs(1);
/// Packets that are taken in a row before there is a look at the clock and at signals.
const IN_A_ROW: u32 = 256;

/// The packets that cross a container's interfaces.
#[derive(Debug, Args)]
pub struct Capture {
    /// A container by name or id (ctr:NAME if the name is a number), a process by number, or a network namespace's file
    #[arg(value_name = "CONTAINER|PID|PATH")]
    target: String,

    /// Only packets that these words of pcap-filter(7) want, such as: tcp port 80 and not host 10.0.0.1
    #[arg(value_name = "EXPR")]
    words: Vec<String>,

    /// The same in one word
    #[arg(long, value_name = "EXPR", value_parser = wanted, conflicts_with = "words")]
    filter: Option<Wanted>,

    /// Only this interface; without it all that are up, and those that come
    #[arg(short, long, value_name = "IFACE")]
    interface: Option<String>,

    /// Write pcapng to a file, or to standard output (-)
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// End after so many packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    seconds: Option<u64>,

    /// Take so many bytes of each packet, at most
    #[arg(short, long, value_name = "BYTES", default_value_t = SNAPLEN, value_parser = clap::value_parser!(u32).range(1..=i64::from(SNAPLEN)))]
    snaplen: u32,
}

/// A filter and its text.
#[derive(Debug, Clone)]
struct Wanted {
    text: String,
    filter: Filter,
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let filter = Filter::parse(text).map_err(|e| e.to_string())?;
    Ok(Wanted {
        text: text.to_owned(),
        filter,
    })
}

impl CommandLine for Capture {
    const USAGE: &'static str = "[OPTIONS] CONTAINER|PID|PATH [EXPR...]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let wanted = match (self.filter, self.words.join(" ")) {
            (None, text) if !text.is_empty() => Some(wanted(&text).map_err(anyhow::Error::msg)?),
            (filter, _) => filter,
        };
        let is_stdout = self
            .write
            .as_ref()
            .is_none_or(|path| path.as_os_str() == "-");
        ensure!(
            self.write.is_none() || !is_stdout || !io::stdout().is_terminal(),
            "-w - writes a file's bytes, and standard output is a terminal: give a file's name, or pipe it to a program"
        );
        let target = target::find(&self.target, places)?;
        let filter = wanted.as_ref().map(|wanted| &wanted.filter);
        let interface = self.interface.as_deref();
        let tap = Tap::open(target.namespace.as_fd(), interface, filter, self.snaplen)
            .map_err(|e| not_allowed(e, &target))?;
        let stop = Stop::take()?;
        // Not before there is something to write to it: what was in it would be gone.
        let (out, name) = match &self.write {
            Some(path) if !is_stdout => {
                let file = File::create(path).with_context(|| format!("-w {path:?}"))?;
                (file, format!("{path:?}"))
            }
            _ => {
                let out = io::stdout().as_fd().try_clone_to_owned();
                (
                    out.context("standard output")?.into(),
                    "standard output".to_owned(),
                )
            }
        };
        let form = match &self.write {
            None => Form::text(),
            Some(_) => Form::file(self.snaplen, wanted.map(|wanted| wanted.text), now()),
        };
        let mut session = Session {
            line_by_line: self.write.is_none() && out.is_terminal(),
            out: Writer::new(out, name, self.write.is_some() && !is_stdout, stop)?,
            tap,
            form,
            target,
            waiting: Vec::new(),
            captured: 0,
            is_down: false,
            count: self.count.unwrap_or(u64::MAX),
            end: self
                .seconds
                .map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        };
        session.announce();
        session.run()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn not_allowed(error: capture::Error, target: &Target) -> anyhow::Error {
    let refused = matches!(&error, capture::Error::Call(e) if matches!(e.errno(), Errno::PERM | Errno::ACCESS));
    let error = anyhow::Error::from(error);
    match refused {
        true => error.context(format!(
            "the network of {} can be listened to by root alone (CAP_SYS_ADMIN to enter it, CAP_NET_RAW to hear)",
            target.name
        )),
        false => error.context(format!("capture of {}", target.name)),
    }
}

/// In nanoseconds after the epoch.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// Why a capture ends.
enum End {
    /// There are as many packets as were asked for.
    Count,
    /// Nobody reads any more.
    Unread,
    /// A signal, the clock, or the target's end: what is heard already belongs to it.
    Over,
    /// The only interface is gone.
    Gone(capture::Error),
}

struct Session {
    tap: Tap,
    form: Form,
    target: Target,
    out: Writer,
    /// What is not written yet.
    waiting: Vec<u8>,
    line_by_line: bool,
    captured: u64,
    /// The only interface was down when it was last heard of.
    is_down: bool,
    count: u64,
    end: Option<Instant>,
}

impl Session {
    fn announce(&self) {
        let names: Vec<_> = self
            .tap
            .interfaces()
            .map(|one| visible(&one.name))
            .collect();
        let names = match names.is_empty() {
            true => "no interface yet".to_owned(),
            false => names.join(", "),
        };
        complain(&format!(
            "soute: capturing on {names} of {}\n",
            visible(&self.target.name)
        ));
    }

    fn run(&mut self) -> Result<()> {
        self.form.begin(&self.tap, &mut self.waiting);
        let why = self.capture(u64::MAX)?;
        let why = match why {
            End::Over => match self.capture(now())? {
                End::Gone(_) => End::Over,
                why => why,
            },
            why => why,
        };
        let dropped = self.tap.dropped()?;
        self.form.end(dropped, now(), &mut self.waiting);
        if !matches!(why, End::Unread) {
            self.write()?;
        }
        let packets = if self.captured == 1 {
            "packet"
        } else {
            "packets"
        };
        complain(&format!(
            "soute: {} {packets} captured, {dropped} dropped by the kernel\n",
            self.captured
        ));
        if self.out.gave_up {
            warn("nobody read it: the last of these packets are not written");
        }
        if let Some(left) = self.form.left_out() {
            warn(&left);
        }
        match why {
            End::Gone(e) => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Takes packets, until there is a reason to end; if `until` is a time, those that were heard by then and no other.
    fn capture(&mut self, until: u64) -> Result<End> {
        let last = until != u64::MAX;
        loop {
            let mut more = true;
            for _ in 0..IN_A_ROW {
                match self.tap.hear() {
                    Ok(Heard::Packet(packet)) if packet.time > until => return Ok(End::Over),
                    Ok(Heard::Packet(packet)) => {
                        if let Some(end) = self.packet(&packet)? {
                            return Ok(end);
                        }
                    }
                    Ok(Heard::WentDown) => {
                        warn("the interface went down");
                        self.is_down = true;
                    }
                    Ok(Heard::Nothing) => {
                        more = false;
                        break;
                    }
                    Err(e) => return self.gone(e),
                }
            }
            if !more {
                if !self.write()? {
                    return Ok(End::Unread);
                }
                if last {
                    return Ok(End::Over);
                }
            }
            if !last && let Some(end) = self.wait(more)? {
                return Ok(end);
            }
        }
    }

    /// The end, if the only interface is gone; any other error is one. A container's goes with it.
    fn gone(&self, error: capture::Error) -> Result<End> {
        match error {
            capture::Error::Gone(_) if self.target.has_ended() => Ok(End::Over),
            e @ capture::Error::Gone(_) => Ok(End::Gone(e)),
            e => Err(e.into()),
        }
    }

    fn packet(&mut self, packet: &Packet) -> Result<Option<End>> {
        if !self.form.packet(&mut self.tap, packet, &mut self.waiting)? {
            return Ok(None);
        }
        self.captured += 1;
        self.is_down = false;
        let full = self.waiting.len() >= WAITING || self.line_by_line;
        if full && !self.write()? {
            return Ok(Some(End::Unread));
        }
        Ok((self.captured >= self.count).then_some(End::Count))
    }

    /// Writes all that waits; `false`: nobody reads any more.
    fn write(&mut self) -> Result<bool> {
        let written = self.out.write(&self.waiting);
        self.waiting.clear();
        written
    }

    /// Waits for a packet, unless there are `more`, and looks for a reason to end.
    fn wait(&mut self, more: bool) -> Result<Option<End>> {
        let left = self
            .end
            .map(|end| end.saturating_duration_since(Instant::now()));
        let left = match () {
            // A signal may have come while something was written: nothing of it is left to wait for.
            () if more || self.out.was_interrupted() => Some(Duration::ZERO),
            () if self.is_down => Some(left.unwrap_or(NOW_AND_THEN).min(NOW_AND_THEN)),
            () => left,
        };
        let left = left.map(Timespec::try_from).transpose()?;
        let nobody: Option<BorrowedFd<'_>> = self.target.pidfd();
        let mut fds = vec![
            PollFd::new(&self.tap, PollFlags::IN),
            PollFd::new(self.out.signals(), PollFlags::IN),
            // Nothing is asked: that nobody reads is always told.
            PollFd::new(&self.out, PollFlags::empty()),
        ];
        fds.extend(nobody.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => bail!("poll: {e}"),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let ready = |place: usize| ready.get(place).copied().unwrap_or(false);
        if ready(1) {
            self.out.hear()?;
        }
        if self.is_down
            && let Err(e) = self.tap.still_there()
        {
            return self.gone(e).map(Some);
        }
        Ok(if ready(2) && !ready(1) {
            Some(End::Unread)
        } else if self.out.was_interrupted()
            || ready(3)
            || self.end.is_some_and(|end| end <= Instant::now())
        {
            Some(End::Over)
        } else {
            None
        })
    }
}
