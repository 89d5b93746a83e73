//! Reading a container's log, and following it.

use std::fs::File;
use std::io::{BufRead, BufReader};
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
    // All before any is read: rotation renames files meanwhile, and these stay the ones that they were.
    let files = open_all(folder)?;
    let mut lines: std::collections::VecDeque<Line> = std::collections::VecDeque::new();
    let mut go_on = true;
    for mut reader in files.into_iter().rev() {
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
                current = open_all(folder)?.pop();
            }
            let Some(reader) = &mut current else { break };
            let line = match next(reader, folder)? {
                None if is_newest(reader, folder) => break,
                // Rotated away. What was written to it between its end being read and that is still to be read.
                None => next(reader, folder)?,
                line => line,
            };
            match line {
                Some(line) if filter.until.is_some_and(|t| line.time > t) => return Ok(()),
                Some(line) => {
                    if filter.wants(&line) && !each(line) {
                        return Ok(());
                    }
                }
                None => current = newer(reader, folder)?,
            }
        }
        if last {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Attempts to see all files between two rotations. Megabytes are written from one to the next, so that two will do.
const ATTEMPTS: usize = 100;

/// All files, the newest first.
fn open_all(folder: &Path) -> Result<Vec<BufReader<File>>, Error> {
    let mut files = Vec::new();
    for _ in 0..ATTEMPTS {
        files = open_each(folder)?;
        let Some((number, newest)) = files.first() else {
            break;
        };
        // It comes last in a rotation: where it has not moved, the others have moved by one at most.
        if is_at(newest, folder, *number) {
            break;
        }
    }
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// All files with their numbers, although a rotation may be under way. It begins with the oldest and moves each up by one,
/// so that going up meets every file, some perhaps twice, and at most one number that nobody has at the moment.
fn open_each(folder: &Path) -> Result<Vec<(u32, BufReader<File>)>, Error> {
    let mut files: Vec<(u32, BufReader<File>)> = Vec::new();
    let mut missing = 0;
    for number in 0.. {
        match open(folder, number)? {
            Some(file) => {
                missing = 0;
                let here = inode(file.get_ref());
                if files
                    .iter()
                    .all(|(_, other)| inode(other.get_ref()) != here)
                {
                    files.push((number, file));
                }
            }
            None if missing == 1 => break,
            None => missing += 1,
        }
    }
    Ok(files)
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
    !super::path(folder, 0).exists() || is_at(reader, folder, 0)
}

fn is_at(reader: &BufReader<File>, folder: &Path, number: u32) -> bool {
    let there = std::fs::metadata(super::path(folder, number));
    there.is_ok_and(|there| inode(reader.get_ref()) == Some(there.ino()))
}

/// The file that follows the one just read.
fn newer(reader: &BufReader<File>, folder: &Path) -> Result<Option<BufReader<File>>, Error> {
    let here = inode(reader.get_ref());
    let mut files = open_all(folder)?;
    if let Some(position) = files.iter().position(|f| inode(f.get_ref()) == here) {
        files.truncate(position);
    }
    // Where it was rotated out altogether, the oldest that is left is the nearest.
    Ok(files.pop())
}

#[cfg(test)]
mod tests {
    use super::super::{Stream, Writer};
    use super::*;
    use crate::settings::LogSettings;

    fn writer(folder: &Path, max_size: u64) -> Writer {
        let settings = LogSettings {
            max_size,
            max_files: 50,
        };
        Writer::new(folder, settings)
    }

    fn write(log: &mut Writer, numbers: std::ops::Range<usize>) {
        for number in numbers {
            log.add(Stream::Stdout, format!("{number}\n").as_bytes())
                .unwrap();
        }
    }

    fn number(line: &Line) -> usize {
        line.log.trim().parse().unwrap()
    }

    #[test]
    fn files_that_rotate_while_they_are_read_are_read_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 2000);
        write(&mut log, 0..70);
        let mut read = Vec::new();
        super::read(dir.path(), &Filter::default(), None, &mut |line| {
            read.push(number(&line));
            // With the first line of the oldest file read, each moves up by three.
            if read.len() == 1 {
                write(&mut log, 70..140);
            }
            true
        })
        .unwrap();
        let expected: Vec<_> = (0..read.len()).collect();
        assert_eq!(read, expected);
        assert!(read.len() >= 70);
    }

    #[test]
    fn a_gap_in_the_middle_of_a_rotation_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 2000);
        write(&mut log, 0..70);
        let name = |number| super::super::path(dir.path(), number);
        for number in [2, 1] {
            std::fs::rename(name(number), name(number + 1)).unwrap();
            let mut read = 0;
            super::read(dir.path(), &Filter::default(), None, &mut |_| {
                read += 1;
                true
            })
            .unwrap();
            assert_eq!(read, 70, "with no file {number}");
        }
    }

    #[test]
    fn following_loses_no_line_to_rotation() {
        const LINES: usize = 4000;
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 20_000);
        let written = std::sync::atomic::AtomicBool::new(false);
        let mut read = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                write(&mut log, 0..LINES);
                written.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            let mut more = || !written.load(std::sync::atomic::Ordering::SeqCst);
            super::read(
                dir.path(),
                &Filter::default(),
                Some(&mut more),
                &mut |line| {
                    read.push(number(&line));
                    true
                },
            )
            .unwrap();
        });
        assert!(read.iter().copied().eq(0..LINES), "{} lines", read.len());
    }
}
