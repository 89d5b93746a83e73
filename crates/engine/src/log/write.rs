//! The monitor's side of the log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::settings::LogSettings;

/// A line longer than this is written in pieces, as Docker does: the monitor's memory stays small.
const LONGEST: usize = 16 * 1024;

/// Appends output to the log of a container.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: PathBuf,
    settings: LogSettings,
    file: Option<File>,
    size: u64,
    /// The beginning of a line whose end has not come: standard output's and standard error's.
    pending: [Vec<u8>; 2],
}

/// Which stream the bytes are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout = 0,
    Stderr = 1,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl Writer {
    /// The file is made with the first line: most short-lived containers say nothing.
    pub(crate) fn new(folder: &Path, settings: LogSettings) -> Self {
        Self {
            folder: folder.to_owned(),
            settings,
            file: None,
            size: 0,
            pending: [Vec::new(), Vec::new()],
        }
    }

    /// The descriptor that is in use, if there is one yet.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.file.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Adds bytes as they came; whole lines go to the file at once.
    pub(crate) fn add(&mut self, stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
        let mut text = Vec::new();
        while !bytes.is_empty() {
            // No more at once than a file may hold: files rotate between two appends.
            if text.len() as u64 >= self.settings.max_size / 2 {
                self.append(&std::mem::take(&mut text))?;
            }
            let pending = &mut self.pending[stream as usize];
            let room = LONGEST - pending.len();
            let end = bytes.iter().take(room).position(|&b| b == b'\n');
            let take = end.map_or(bytes.len().min(room), |n| n + 1);
            pending.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if end.is_some() || pending.len() == LONGEST {
                let line = std::mem::take(pending);
                encode(&mut text, stream, &line);
            }
        }
        self.append(&text)
    }

    /// Writes what has no newline yet.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let line = std::mem::take(&mut self.pending[stream as usize]);
            if !line.is_empty() {
                encode(&mut text, stream, &line);
            }
        }
        self.append(&text)
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.size > 0 && self.size + text.len() as u64 > self.settings.max_size {
            self.rotate()?;
        }
        if self.file.is_none() {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(super::path(&self.folder, 0))?;
            self.size = file.metadata()?.len();
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(text)?;
        }
        self.size += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.size = 0;
        let oldest = self.settings.max_files - 1;
        if oldest == 0 {
            return std::fs::remove_file(super::path(&self.folder, 0));
        }
        for number in (0..oldest).rev() {
            match std::fs::rename(
                super::path(&self.folder, number),
                super::path(&self.folder, number + 1),
            ) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

fn encode(text: &mut Vec<u8>, stream: Stream, line: &[u8]) {
    let line = super::Line {
        log: String::from_utf8_lossy(line).into_owned(),
        stream: stream.name().to_owned(),
        time: jiff::Timestamp::now(),
    };
    // A structure of three strings always serialises.
    if serde_json::to_writer(&mut *text, &line).is_ok() {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(folder: &Path, number: u32) -> Vec<super::super::Line> {
        std::fs::read_to_string(super::super::path(folder, number))
            .unwrap_or_default()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_joined_from_pieces_and_kept_apart_by_stream() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Writer::new(dir.path(), LogSettings::default());
        log.add(Stream::Stdout, b"one\ntw").unwrap();
        log.add(Stream::Stderr, b"oops").unwrap();
        log.add(Stream::Stdout, b"o\n\xff\n").unwrap();
        log.finish().unwrap();
        let got: Vec<_> = lines(dir.path(), 0)
            .into_iter()
            .map(|l| (l.stream, l.log))
            .collect();
        let want = [
            ("stdout", "one\n"),
            ("stdout", "two\n"),
            ("stdout", "\u{fffd}\n"),
            ("stderr", "oops"),
        ];
        assert_eq!(got, want.map(|(s, l)| (s.to_owned(), l.to_owned())));
    }

    #[test]
    fn files_rotate_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let settings = LogSettings {
            max_size: 1000,
            max_files: 3,
        };
        let mut log = Writer::new(dir.path(), settings);
        for i in 0..100 {
            log.add(Stream::Stdout, format!("line {i}\n").as_bytes())
                .unwrap();
        }
        let last = lines(dir.path(), 0).pop().unwrap();
        assert_eq!(last.log, "line 99\n");
        for number in 0..3 {
            let size = std::fs::metadata(super::super::path(dir.path(), number))
                .unwrap()
                .len();
            assert!(size <= 1000);
        }
        assert!(!super::super::path(dir.path(), 3).exists());
        // No line is lost between two files.
        let older = lines(dir.path(), 1).pop().unwrap().log;
        let newer = lines(dir.path(), 0).remove(0).log;
        let n = |s: &str| s.trim().rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        assert_eq!(n(&older) + 1, n(&newer));
    }

    #[test]
    fn an_endless_line_stays_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Writer::new(dir.path(), LogSettings::default());
        log.add(Stream::Stdout, &vec![b'x'; 40_000]).unwrap();
        assert_eq!(lines(dir.path(), 0).len(), 2);
        assert!(log.pending[0].len() < LONGEST);
    }
}
