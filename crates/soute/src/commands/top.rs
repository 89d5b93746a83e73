//! `soute top`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use soute_engine::{Places, Status};
use soute_lens::proc::{Look, Proc, ProcessFolder, Users};
use soute_runtime::cgroups::{Cgroup, Layout};

use crate::cli::CommandLine;
use crate::output::{Format, Rows, print_foreign};

/// The processes of a container, as the machine numbers them and as it does.
#[derive(Debug, Args)]
pub struct Top {
    /// Name or id
    #[arg(value_name = "CONTAINER", trailing_var_arg = true, required = true, num_args = 1..)]
    words: Vec<String>,
}

/// `ps -f`'s, and the numbers inside: one per level of pid namespaces below the machine's.
const FIELDS: &[(&str, &str)] = &[
    ("UID", "UID"),
    ("PID", "PID"),
    ("NSPID", "NSPID"),
    ("PPID", "PPID"),
    ("C", "C"),
    ("STIME", "STIME"),
    ("TTY", "TTY"),
    ("TIME", "TIME"),
    ("CMD", "CMD"),
];

impl CommandLine for Top {
    const USAGE: &'static str = "CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let [name, options @ ..] = &self.words[..] else {
            bail!("a container is needed");
        };
        ensure!(
            options.is_empty(),
            "options of ps are not there yet: soute looks at the processes itself"
        );
        let engine = super::open(places)?;
        let container = engine.container(name)?;
        if !matches!(container.status, Status::Running(_)) {
            bail!(
                "container {} is {}: it has no processes",
                container.record.name,
                container.status.word()
            );
        }
        let cgroup = Cgroup::open(&Layout::discover()?, &container.record.cgroup)?;
        let (proc, users, clock) = (Proc::open()?, Users::of_machine(), Clock::read()?);
        let mut rows = Rows::new(FIELDS);
        for pid in cgroup.pids()? {
            // One that has ended since is no longer a process of the container.
            if let Look::Seen(folder) = proc.process(pid.as_raw_nonzero().get().unsigned_abs())?
                && let Some(row) = row(&folder, &users, &clock)?
            {
                rows.push(row);
            }
        }
        let columns: Vec<_> = FIELDS.iter().map(|(field, _)| *field).collect();
        print_foreign(&rows.render(&Format::Table, &columns)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `None`: it has ended meanwhile.
fn row(folder: &ProcessFolder, users: &Users, clock: &Clock) -> Result<Option<[String; 9]>> {
    let (Look::Seen(status), Look::Seen(stat), Look::Seen(command)) = (
        folder.status()?,
        folder.read("stat")?,
        folder.command_line()?,
    ) else {
        return Ok(None);
    };
    let stat = Stat::parse(&stat).with_context(|| format!("/proc/{}/stat", status.pid))?;
    let words = command.iter().map(|word| String::from_utf8_lossy(word));
    let command = match command.is_empty() {
        // A zombie has no arguments any more.
        true => format!("[{}]", stat.name),
        false => words.collect::<Vec<_>>().join(" "),
    };
    let inside = status.pids.iter().skip(1).map(u32::to_string);
    Ok(Some([
        users.name(status.uid.effective),
        status.pid.to_string(),
        inside.collect::<Vec<_>>().join("/"),
        status.parent.to_string(),
        clock.share(&stat).to_string(),
        clock.start(&stat),
        terminal(stat.terminal),
        time(stat.ticks / TICKS),
        command,
    ]))
}

/// USER_HZ: the unit of times in /proc, the same on all machines that Linux 6 and soute run on.
const TICKS: u64 = 100;

/// The fields of /proc/PID/stat (proc_pid_stat(5)) that `ps -f` shows.
struct Stat {
    /// Field 2.
    name: String,
    /// Field 7: a device number.
    terminal: u32,
    /// Fields 14 and 15: time on a CPU, in ticks.
    ticks: u64,
    /// Field 22: ticks after boot.
    start: u64,
}

impl Stat {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        // The name may contain anything, parentheses too.
        let (before, after) = text.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = after.split_whitespace().collect();
        // The first of them is field 3.
        let field = |number: usize| fields.get(number - 3);
        let number = |at: usize| field(at)?.parse::<u64>().ok();
        Some(Self {
            name,
            terminal: field(7)?.parse::<i32>().ok()?.cast_unsigned(),
            ticks: number(14)?.checked_add(number(15)?)?,
            start: number(22)?,
        })
    }
}

/// When the machine started, and now.
struct Clock {
    boot: Timestamp,
    now: Timestamp,
}

impl Clock {
    fn read() -> Result<Self> {
        let now = Timestamp::now();
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = SignedDuration::new(up.tv_sec, up.tv_nsec as i32);
        Ok(Self {
            boot: now.checked_sub(up)?,
            now,
        })
    }

    fn started(&self, stat: &Stat) -> Timestamp {
        let after = SignedDuration::from_millis((stat.start * 1000 / TICKS) as i64);
        self.boot.checked_add(after).unwrap_or(self.now)
    }

    /// Percent of its life that it was on a CPU.
    fn share(&self, stat: &Stat) -> u64 {
        let life = self.now.duration_since(self.started(stat)).as_secs().max(1);
        stat.ticks * 100 / TICKS / life.unsigned_abs()
    }

    /// The time of day, or the day if that was another.
    fn start(&self, stat: &Stat) -> String {
        let zone = TimeZone::system();
        let started = self.started(stat).to_zoned_datetime(zone.clone());
        match started.date() == self.now.to_zoned_datetime(zone).date() {
            true => started.strftime("%H:%M").to_string(),
            false => started.strftime("%b%d").to_string(),
        }
    }
}

/// A terminal's name by its device number (bits as in proc_pid_stat(5)).
fn terminal(device: u32) -> String {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    match major {
        0 => "?".to_owned(),
        // Documentation/admin-guide/devices.txt: 4 has consoles and serial lines, 136 to 143 pseudoterminals.
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => format!("{major}:{minor}"),
    }
}

/// `hh:mm:ss`.
fn time(seconds: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_hostile_names() {
        let text = b"42 (a) R (b) S 7 42 42 34816 42 0 0 0 0 0 150 50 0 0 20 0 1 0 1234 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.name, "a) R (b");
        assert_eq!((stat.terminal, stat.ticks, stat.start), (34816, 200, 1234));
        assert!(Stat::parse(b"42 (sh) S 1").is_none());
        assert!(Stat::parse(b"").is_none());
    }

    #[test]
    fn terminals_have_names() {
        for (device, name) in [
            (0, "?"),
            (0x8800, "pts/0"),
            (0x8805, "pts/5"),
            (0x8900, "pts/256"),
            (0x0401, "tty1"),
            (0x0440, "ttyS0"),
        ] {
            assert_eq!(terminal(device), name);
        }
        assert_eq!(time(3725), "01:02:05");
    }

    #[test]
    fn our_own_process_is_seen() {
        let proc = Proc::open().unwrap();
        let folder = proc.myself().unwrap();
        let row = row(&folder, &Users::of_machine(), &Clock::read().unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(row[1], std::process::id().to_string());
        assert!(row[8].contains("soute"));
    }
}
