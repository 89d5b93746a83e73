//! Whether a bind can have the propagation that is asked for (mount_namespaces(7)).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use soute_runtime::mountinfo::unescape;

use crate::error::{Error, io};

/// Refuses to share with a mount that shares nothing: the flag would do nothing.
pub(crate) fn check(source: &Path, wanted: Option<&str>) -> Result<(), Error> {
    let Some(wanted) = wanted.filter(|word| !word.ends_with("private")) else {
        return Ok(());
    };
    let path = Path::new("/proc/self/mountinfo");
    let table = io("reading", path, std::fs::read(path))?;
    let source = io("the mount source", source, std::fs::canonicalize(source))?;
    let Some(mount) = mount_of(&table, &source) else {
        return Ok(());
    };
    let shared = mount.shared || (mount.slave && wanted.ends_with("slave"));
    if shared {
        return Ok(());
    }
    let needs = match wanted.ends_with("slave") {
        true => "a shared or slave mount",
        false => "a shared mount",
    };
    Err(Error::Impossible(format!(
        "mount propagation {wanted} of {}: {} is not {needs} (mount --make-shared {1} makes it one)",
        source.display(),
        mount.point.display(),
    )))
}

struct MountPoint {
    point: PathBuf,
    shared: bool,
    slave: bool,
}

/// The mount that `path` is on: the last of those with the longest mount point.
fn mount_of(table: &[u8], path: &Path) -> Option<MountPoint> {
    table
        .split(|&byte| byte == b'\n')
        .filter_map(parse)
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.as_os_str().len())
}

/// A line of proc_pid_mountinfo(5).
fn parse(line: &[u8]) -> Option<MountPoint> {
    let mut fields = line.split(|&byte| byte == b' ');
    let point = unescape(fields.nth(4)?);
    let optional: Vec<&[u8]> = fields.skip(1).take_while(|field| *field != b"-").collect();
    let has = |tag: &[u8]| optional.iter().any(|field| field.starts_with(tag));
    Some(MountPoint {
        point: PathBuf::from(std::ffi::OsStr::from_bytes(&point)),
        shared: has(b"shared:"),
        slave: has(b"master:"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        2 1 0:5 / /a rw - tmpfs none rw\n\
        3 1 0:6 / /a\\040b rw master:3 - tmpfs none rw\n";

    #[test]
    fn the_nearest_mount_counts() {
        for (path, point, shared, slave) in [
            ("/etc", "/", true, false),
            ("/a/x", "/a", false, false),
            ("/ab", "/", true, false),
            ("/a b/c", "/a b", false, true),
        ] {
            let mount = mount_of(TABLE, Path::new(path)).unwrap();
            assert_eq!(mount.point, Path::new(point), "{path}");
            assert_eq!((mount.shared, mount.slave), (shared, slave), "{path}");
        }
    }
}
