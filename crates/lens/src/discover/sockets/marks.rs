//! What the machine marks sockets by (cgroup v1: net_cls, net_prio). Whoever receives a socket gives it the mark of its own
//! cgroup, by which its packets may be filtered, and never gives the other one back.

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use soute_sys::Called as _;

use crate::Error;
use crate::proc::{Look, MountEntry, Proc, mountinfo, number};
use crate::text::visible;

/// The controllers, and where the mark of a cgroup is.
const MARKS: [(&str, &str); 2] = [
    ("net_cls", "net_cls.classid"),
    ("net_prio", "net_prio.ifpriomap"),
];

/// Why no socket is to be borrowed; `None`: nothing marks any.
pub(super) fn of_sockets(proc: &Proc) -> Result<Option<String>, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut text = Vec::new();
    // Without it, the kernel was built without cgroups.
    if let Ok(file) = rustix::fs::openat(proc, "cgroups", flags, Mode::empty()) {
        std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut text)
            .called(|| "read(/proc/cgroups)".to_owned())?;
    }
    let used = MARKS.into_iter().filter(|(name, _)| is_used(&text, name));
    for (controller, file) in used {
        let mounts = match proc.myself()?.read("mountinfo")? {
            Look::Seen(text) => mountinfo(&text)?,
            Look::Gone | Look::Hidden => Vec::new(),
        };
        let Some(place) = mounts.iter().find(|mount| is_whole(mount, controller)) else {
            return Ok(Some(format!(
                "{controller} may mark them, and its cgroups are not in sight"
            )));
        };
        if let Some(marked) = marked(&place.mount_point, file) {
            let marked = visible(marked.as_os_str().as_encoded_bytes());
            return Ok(Some(format!("{controller} marks them: {marked}")));
        }
    }
    Ok(None)
}

/// Whether a controller has a hierarchy, by /proc/cgroups.
fn is_used(text: &[u8], controller: &str) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        let mut fields = line.split(|byte| *byte == b'\t');
        fields.next() == Some(controller.as_bytes())
            && fields
                .next()
                .and_then(number::<u32>)
                .is_some_and(|id| id != 0)
    })
}

fn is_whole(mount: &MountEntry, controller: &str) -> bool {
    let mut options = mount.super_options.split(|byte| *byte == b',');
    mount.file_system == b"cgroup"
        && mount.root == b"/"
        && options.any(|option| option == controller.as_bytes())
}

/// A file below `folder` that has a number in it beside 0.
fn marked(folder: &Path, file: &str) -> Option<PathBuf> {
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let path = folder.join(file);
        // One that has gone marks nobody.
        let text = std::fs::read(&path).unwrap_or_default();
        let last = |line: &[u8]| {
            line.rsplit(|byte| *byte == b' ')
                .next()
                .and_then(number::<u64>)
        };
        let mut lines = text.split(|byte| *byte == b'\n');
        if lines.any(|line| last(line).is_some_and(|mark| mark != 0)) {
            return Some(path);
        }
        let inside = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders = inside.filter(|one| one.file_type().is_ok_and(|kind| kind.is_dir()));
        left.extend(folders.map(|one| one.path()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_without_a_hierarchy_is_not_used() {
        let text =
            b"#subsys_name\thierarchy\tnum_cgroups\tenabled\nnet_cls\t0\t3\t1\nnet_prio\t9\t3\t1\n";
        assert!(!is_used(text, "net_cls"));
        assert!(is_used(text, "net_prio"));
        assert!(!is_used(b"", "net_cls"));
    }

    #[test]
    fn any_number_but_0_is_a_mark() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, text: &str| std::fs::write(folder.join("x"), text).unwrap();
        write(root.path(), "0\n");
        write(&inner, "lo 0\neth0 0\n");
        assert_eq!(marked(root.path(), "x"), None);
        write(&inner, "lo 0\neth0 7\n");
        assert_eq!(marked(root.path(), "x"), Some(inner.join("x")));
        write(root.path(), "1048577\n");
        assert_eq!(marked(root.path(), "x"), Some(root.path().join("x")));
    }

    #[test]
    fn only_the_whole_hierarchy_is_searched() {
        let line = |root: &str, kind: &str| {
            let line = format!("1 0 0:1 {root} /x rw - {kind} {kind} rw,net_cls,net_prio\n");
            mountinfo(line.as_bytes()).unwrap().remove(0)
        };
        assert!(is_whole(&line("/", "cgroup"), "net_cls"));
        assert!(is_whole(&line("/", "cgroup"), "net_prio"));
        assert!(!is_whole(&line("/", "cgroup"), "cpu"));
        assert!(!is_whole(&line("/..", "cgroup"), "net_cls"));
        assert!(!is_whole(&line("/", "cgroup2"), "net_cls"));
    }
}
