//! Reading a container's log, and following it.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::Line;
use crate::error::{Error, io};

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Not younger than this.
    pub until: Option<Timestamp>,
    /// Only so many of the last.
    pub tail: Option<usize>,
}

impl Filter {
    fn wants(&self, line: &Line) -> bool {
        self.since.is_none_or(|t| line.time >= t) && self.until.is_none_or(|t| line.time <= t)
    }
}

/// Whether to go on when the end is reached: asked each time, so that following ends with the container.
pub type Follow<'a> = Option<&'a mut dyn FnMut() -> bool>;

/// How long to wait for more; a person does not notice, and a machine can attach instead.
const PAUSE: Duration = Duration::from_millis(50);

/// Gives each wanted line of the log in `folder` to `each`, the oldest first; stops early when `each` says `false`.
pub fn read(
    folder: &Path,
    filter: &Filter,
    follow: Follow<'_>,
    each: &mut dyn FnMut(Line) -> bool,
) -> Result<(), Error> {
    let mut current = None;
    let mut lines: std::collections::VecDeque<Line> = std::collections::VecDeque::new();
    let mut go_on = true;
    for number in (0..numbers(folder)).rev() {
        let Some(mut reader) = open(folder, number)? else {
            continue;
        };
        while let Some(line) = next(&mut reader, folder)? {
            if !filter.wants(&line) {
                continue;
            }
            match filter.tail {
                Some(tail) => {
                    lines.push_back(line);
                    if lines.len() > tail {
                        lines.pop_front();
                    }
                }
                None => go_on = each(line),
            }
            if !go_on {
                return Ok(());
            }
        }
        current = Some(reader);
    }
    for line in lines {
        if !each(line) {
            return Ok(());
        }
    }
    match follow {
        Some(more) => follow_on(folder, filter, current, more, each),
        None => Ok(()),
    }
}

fn follow_on(
    folder: &Path,
    filter: &Filter,
    mut current: Option<BufReader<File>>,
    more: &mut dyn FnMut() -> bool,
    each: &mut dyn FnMut(Line) -> bool,
) -> Result<(), Error> {
    loop {
        // Asked before the read: what is written before the container's end is then still read.
        let last = !more();
        loop {
            if current.is_none() {
                current = open(folder, 0)?;
            }
            let Some(reader) = &mut current else { break };
            match next(reader, folder)? {
                Some(line) if filter.until.is_some_and(|t| line.time > t) => return Ok(()),
                Some(line) => {
                    if filter.wants(&line) && !each(line) {
                        return Ok(());
                    }
                }
                // The end: of the newest file, or of one that has been rotated away.
                None if is_newest(reader, folder) => break,
                None => current = newer(reader, folder)?,
            }
        }
        if last {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// How many files there may be: the numbers are dense.
fn numbers(folder: &Path) -> u32 {
    (0..)
        .find(|&n| !super::path(folder, n).exists() && n > 0)
        .unwrap_or(0)
}

fn open(folder: &Path, number: u32) -> Result<Option<BufReader<File>>, Error> {
    let path = super::path(folder, number);
    match File::open(&path) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => io("reading the log", &path, Err(e)),
    }
}

/// The next whole line; one that the monitor is still writing is left for the next time.
fn next(reader: &mut BufReader<File>, folder: &Path) -> Result<Option<Line>, Error> {
    loop {
        let mut text = Vec::new();
        let read = io(
            "reading the log in",
            folder,
            reader.read_until(b'\n', &mut text),
        )?;
        if read == 0 {
            return Ok(None);
        }
        if text.last() != Some(&b'\n') {
            let back = -(read as i64);
            io("reading the log in", folder, reader.seek_relative(back))?;
            return Ok(None);
        }
        // A line that a full disk cut short is passed over, not an end to all that follow.
        if let Ok(line) = serde_json::from_slice(&text) {
            return Ok(Some(line));
        }
    }
}

fn inode(file: &File) -> Option<u64> {
    file.metadata().ok().map(|m| m.ino())
}

fn is_newest(reader: &BufReader<File>, folder: &Path) -> bool {
    match std::fs::metadata(super::path(folder, 0)) {
        Ok(newest) => inode(reader.get_ref()) == Some(newest.ino()),
        Err(_) => true,
    }
}

/// The file that follows the one just read: files only ever move one number up.
fn newer(reader: &mut BufReader<File>, folder: &Path) -> Result<Option<BufReader<File>>, Error> {
    let here = inode(reader.get_ref());
    let position = (1..numbers(folder))
        .find(|&n| std::fs::metadata(super::path(folder, n)).is_ok_and(|m| Some(m.ino()) == here));
    // Rotated out altogether: the oldest that is left is the nearest.
    let next = position.map_or_else(|| numbers(folder).saturating_sub(1), |n| n - 1);
    let mut opened = open(folder, next)?;
    if let Some(reader) = &mut opened {
        io("reading the log in", folder, reader.rewind())?;
    }
    Ok(opened)
}
