//! /proc/PID/mountinfo (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::number;
use crate::Error;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Its number, which is used again after it is gone.
    pub id: u32,
    /// The number of the mount that it is on; its own: the top of the tree.
    pub parent: u32,
    /// The device number of the file system, major and minor.
    pub device: (u32, u32),
    /// What of the file system is mounted: a path in it, or `net:[4026532300]` of a namespace.
    pub root: Vec<u8>,
    /// Where, as seen from the process's root.
    pub mount_point: PathBuf,
    /// Options of the mount, comma-separated.
    pub options: Vec<u8>,
    /// `shared:N`, `master:N`, `propagate_from:N`, `unbindable`.
    pub propagation: Vec<Vec<u8>>,
    /// The file system's type.
    pub file_system: Vec<u8>,
    /// What was given as the source.
    pub source: Vec<u8>,
    /// Options of the file system, comma-separated.
    pub super_options: Vec<u8>,
}

/// Parses the text of the file.
///
/// # Errors
/// [`Error::Malformed`] for what no kernel writes.
pub fn mountinfo(text: &[u8]) -> Result<Vec<MountEntry>, Error> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| entry(line).ok_or_else(|| Error::malformed("/proc/PID/mountinfo", line)))
        .collect()
}

fn entry(line: &[u8]) -> Option<MountEntry> {
    // Blanks within fields are escaped, so that fields are what is between blanks. A source may be empty.
    let mut fields = line.split(|byte| *byte == b' ');
    let mut next = || fields.next();
    let id = number(next()?)?;
    let parent = number(next()?)?;
    let device = next()?;
    let colon = device.iter().position(|byte| *byte == b':')?;
    let device = (number(&device[..colon])?, number(&device[colon + 1..])?);
    let root = unescape(next()?);
    let mount_point = PathBuf::from(OsString::from_vec(unescape(next()?)));
    let options = next()?.to_vec();
    let mut propagation = Vec::new();
    loop {
        match next()? {
            b"-" => break,
            field => propagation.push(field.to_vec()),
        }
    }
    let file_system = unescape(next()?);
    let source = unescape(next()?);
    let super_options = unescape(next()?);
    Some(MountEntry {
        id,
        parent,
        device,
        root,
        mount_point,
        options,
        propagation,
        file_system,
        source,
        super_options,
    })
}

/// The kernel writes blanks, newlines, backslashes and `#` as `\ooo`.
pub fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        match digits
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok())
        {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_read_whole() {
        let line = b"36 35 98:0 /sub\\040dir /mnt\\0122\\134 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n";
        let [entry] = <[_; 1]>::try_from(mountinfo(line).unwrap()).unwrap();
        let expected = MountEntry {
            id: 36,
            parent: 35,
            device: (98, 0),
            root: b"/sub dir".to_vec(),
            mount_point: PathBuf::from("/mnt\n2\\"),
            options: b"rw,noatime".to_vec(),
            propagation: vec![b"master:1".to_vec(), b"shared:2".to_vec()],
            file_system: b"ext3".to_vec(),
            source: b"/dev/root".to_vec(),
            super_options: b"rw,errors=continue".to_vec(),
        };
        assert_eq!(entry, expected);
    }

    #[test]
    fn a_namespace_bound_to_a_file_and_an_empty_source_are_read() {
        let text = b"40 27 0:4 net:[4026532300] /run/netns/a rw shared:7 - nsfs nsfs rw\n41 27 0:30 / /x rw - tmpfs  rw\n";
        let entries = mountinfo(text).unwrap();
        assert_eq!(entries[0].root, b"net:[4026532300]");
        assert_eq!(entries[0].file_system, b"nsfs");
        assert_eq!(entries[1].source, b"");
    }

    #[test]
    fn what_no_kernel_writes_is_refused() {
        for line in [
            &b"x"[..],
            b"36 35 98:0 / /mnt rw master:1",
            b"36 35 98 / / rw - a b c",
            b"36 35 98:0 / /mnt rw - ext3 x",
        ] {
            assert!(
                matches!(mountinfo(line), Err(Error::Malformed { .. })),
                "{line:?}"
            );
        }
    }

    #[test]
    fn this_machines_mounts_are_read() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let entries = mountinfo(&text).unwrap();
        assert!(
            entries
                .iter()
                .any(|entry| entry.mount_point.as_os_str() == "/")
        );
        assert_eq!(
            entries.len(),
            text.iter().filter(|byte| **byte == b'\n').count()
        );
    }

    proptest! {
        // As show_mountinfo of the kernel writes them.
        #[test]
        fn any_path_comes_back(path in proptest::collection::vec(1u8.., 1..40)) {
            let mut line = b"1 1 0:1 / ".to_vec();
            for byte in &path {
                match byte {
                    b' ' | b'\t' | b'\n' | b'\\' | b'#' => line.extend(format!("\\{byte:03o}").into_bytes()),
                    _ => line.push(*byte),
                }
            }
            line.extend_from_slice(b" rw - tmpfs x rw\n");
            let entries = mountinfo(&line).unwrap();
            prop_assert_eq!(&entries[0].mount_point, &PathBuf::from(OsString::from_vec(path)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = mountinfo(&bytes);
        }
    }
}
