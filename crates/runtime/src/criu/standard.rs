//! Standard input, output and error: what a container has of its caller's, and gets of another's when it is restored.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use soute_sys::{CallError, Called as _};

use super::mounts::MountTable;
use crate::containers::Error;

/// Where the images keep the names, as runc has it.
const FILE: &str = "descriptors.json";
/// The names are three of some dozen bytes.
const MOST: u64 = 64 << 10;
/// Terminals are known by other names (`--shell-job`): the machine's consoles, and pseudo-terminals.
const TERMINALS: &[std::ops::RangeInclusive<u32>] = &[4..=5, 136..=143];

/// The names of the three, as images know them; empty: it is the container's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandardFiles([String; 3]);

impl StandardFiles {
    /// Those of a process, which are outside where `mounts` does not hold them.
    pub(crate) fn of(pid: i32, mounts: &MountTable) -> Result<Self, Error> {
        let mut names = [const { String::new() }; 3];
        for (number, name) in names.iter_mut().enumerate() {
            *name = name_of(pid, number, mounts)?;
        }
        Ok(Self(names))
    }

    /// The arguments by which criu leaves files out of the images. A pipe it takes by itself, with what is in it.
    pub(crate) fn external(&self) -> Vec<String> {
        self.each_once()
            .filter(|(_, name)| name.starts_with("file["))
            .flat_map(|(_, name)| ["--external".to_owned(), name.clone()])
            .collect()
    }

    /// The names, each with the first of the three that has it: one file may be several of them.
    pub(super) fn each_once(&self) -> impl Iterator<Item = (usize, &String)> {
        let names = &self.0;
        let first = |(number, name): &(usize, &String)| !names[..*number].contains(name);
        names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
            .filter(first)
    }

    /// Writes them to the images.
    pub(crate) fn write(&self, images: &fs::File) -> Result<(), Error> {
        let text = serde_json::to_vec(&self.0).map_err(|e| Error::Impossible(e.to_string()))?;
        match rustix::fs::unlinkat(images, FILE, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(CallError::new(format!("unlink({FILE})"), e).into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(images, FILE, flags, Mode::from_raw_mode(0o600))
            .called(|| format!("open({FILE}, O_CREAT)"))?;
        fs::File::from(file)
            .write_all(&text)
            .map_err(|error| Error::Io {
                what: "writing",
                path: FILE.into(),
                error,
            })
    }

    /// Reads them. What is no such name is no name: whoever wrote the images can have the caller's three files for a
    /// file of the container's, and nothing else.
    pub(crate) fn read(images: &fs::File, folder: &Path) -> Result<Self, Error> {
        let bad = |why: &dyn std::fmt::Display| {
            Error::Impossible(format!(
                "{}: no images of a container: {FILE}: {why}",
                folder.display()
            ))
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(images, FILE, flags, Mode::empty()).map_err(|e| bad(&e))?;
        let mut text = Vec::new();
        fs::File::from(file)
            .take(MOST)
            .read_to_end(&mut text)
            .map_err(|e| bad(&e))?;
        let listed: Vec<String> = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
        let mut names = [const { String::new() }; 3];
        for (name, listed) in names.iter_mut().zip(listed) {
            if is_name(&listed) {
                *name = listed;
            }
        }
        Ok(Self(names))
    }
}

fn name_of(pid: i32, number: usize, mounts: &MountTable) -> Result<String, Error> {
    let path = format!("/proc/{pid}/fd/{number}");
    let target = match fs::read_link(&path) {
        // Closed.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        target => target.map_err(|error| Error::Io {
            what: "reading the link",
            path: path.clone().into(),
            error,
        })?,
    };
    let target = target.to_string_lossy().into_owned();
    if target.starts_with("pipe:[") {
        return Ok(target);
    }
    if !target.starts_with('/') {
        return Ok(String::new());
    }
    let stat = rustix::fs::stat(&path).called(|| format!("stat(\"{path}\")"))?;
    let is_terminal = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && TERMINALS
            .iter()
            .any(|majors| majors.contains(&rustix::fs::major(stat.st_rdev)));
    let info = format!("/proc/{pid}/fdinfo/{number}");
    let text = fs::read_to_string(&info).map_err(|error| Error::Io {
        what: "reading",
        path: info.into(),
        error,
    })?;
    let mount = text
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))
        .and_then(|id| id.trim().parse().ok());
    match mount {
        Some(mount) if !is_terminal && !mounts.has(mount) => {
            Ok(format!("file[{mount:x}:{:x}]", stat.st_ino))
        }
        _ => Ok(String::new()),
    }
}

fn is_name(text: &str) -> bool {
    let inside = |head: &str| text.strip_prefix(head)?.strip_suffix(']');
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let hex = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    inside("pipe:[").is_some_and(number)
        || inside("file[").is_some_and(|ids| {
            ids.split_once(':')
                .is_some_and(|(mount, inode)| hex(mount) && hex(inode))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_pipes_and_files_are_names() {
        for good in ["pipe:[123]", "file[1b:309c]"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "pipe:[]",
            "pipe:[1]x",
            "pipe:[1]:fd[4]",
            "file[1]",
            "file[1:]",
            "file[1:G]",
            "extRootNetNS",
            "/dev/null",
            "tty[1:2]",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_twice_is_told_once() {
        let files = StandardFiles(["file[1:2]", "pipe:[3]", "pipe:[3]"].map(str::to_owned));
        assert_eq!(files.external(), ["--external", "file[1:2]"]);
        let numbers: Vec<usize> = files.each_once().map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 1]);
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let images = fs::File::open(folder.path()).unwrap();
        let files = StandardFiles(["file[1:2]", "", "pipe:[3]"].map(str::to_owned));
        files.write(&images).unwrap();
        files.write(&images).unwrap();
        let read = |images| StandardFiles::read(images, folder.path());
        assert_eq!(read(&images).unwrap(), files);
        fs::write(
            folder.path().join(FILE),
            r#"["fd[9]:x", "pipe:[1]", "", "pipe:[4]"]"#,
        )
        .unwrap();
        let odd = StandardFiles(["", "pipe:[1]", ""].map(str::to_owned));
        assert_eq!(read(&images).unwrap(), odd);
        for bad in ["{}", "[1]", ""] {
            fs::write(folder.path().join(FILE), bad).unwrap();
            read(&images).unwrap_err();
        }
    }
}
