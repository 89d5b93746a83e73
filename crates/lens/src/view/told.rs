//! Mounts as statmount(2) tells them, in the words of mountinfo: nobody has to enter a namespace for it.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt as _;

use rustix::io::Errno;
use soute_sys::mount::{
    ATIME_MASK, IDMAP, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, SHARED,
    SLAVE, UNBINDABLE,
};
use soute_sys::nsfs::mount_namespace_id;
use soute_sys::statmount::{MountStat, list, stat};

use crate::proc::{MountEntry, unescape};

/// `SB_*` of linux/fs.h, in the order in which mountinfo names them.
const FILESYSTEM_FLAGS: [(u32, &str); 3] = [
    (0x10, ",sync"),
    (0x80, ",dirsync"),
    (0x200_0000, ",lazytime"),
];
const SB_RDONLY: u32 = 1;

/// `MOUNT_ATTR_RELATIME`
const RELATIME: u64 = 0;

/// All mounts in the namespace, ascending by [`MountStat::old_ids`]; `None`: the kernel does not tell, or not all that mountinfo
/// does (before Linux 6.14), or not this caller.
pub(super) fn all(namespace: &impl AsFd) -> Option<Vec<MountStat>> {
    let id = mount_namespace_id(namespace).ok()?;
    let mut all = Vec::new();
    for mount in list(id).ok()? {
        match stat(id, mount) {
            Ok(told) => all.push(told),
            // It has gone meanwhile.
            Err(e) if e.errno() == Errno::NOENT => {}
            Err(_) => return None,
        }
    }
    // Some mount has a source.
    all.iter().any(|told| told.source.is_some()).then_some(all)
}

/// The same as a line of mountinfo has it.
pub(super) fn entry(told: &MountStat) -> MountEntry {
    let (id, parent) = told.old_ids;
    let mut file_system = told.kind.clone();
    if !told.subtype.is_empty() {
        file_system.push(b'.');
        file_system.extend_from_slice(&told.subtype);
    }
    MountEntry {
        id,
        parent,
        device: told.device,
        root: told.root.clone(),
        mount_point: OsString::from_vec(told.point.clone()).into(),
        options: options(told.attributes),
        propagation: propagation(told),
        file_system,
        source: told.source.clone().unwrap_or_else(|| b"none".to_vec()),
        super_options: super_options(told),
    }
}

fn options(attributes: u64) -> Vec<u8> {
    let mut text = match attributes & RDONLY {
        0 => "rw".to_owned(),
        _ => "ro".to_owned(),
    };
    let is_set = |flag: u64, word| if attributes & flag == 0 { "" } else { word };
    let access_time = |time: u64, word| match attributes & ATIME_MASK {
        of if of == time => word,
        _ => "",
    };
    // As the kernel has them, one after the other. STRICTATIME is what it does where nothing is said.
    text += is_set(NOSUID, ",nosuid");
    text += is_set(NODEV, ",nodev");
    text += is_set(NOEXEC, ",noexec");
    text += access_time(NOATIME, ",noatime");
    text += is_set(NODIRATIME, ",nodiratime");
    text += access_time(RELATIME, ",relatime");
    text += is_set(NOSYMFOLLOW, ",nosymfollow");
    text += is_set(IDMAP, ",idmapped");
    text.into_bytes()
}

fn propagation(told: &MountStat) -> Vec<Vec<u8>> {
    let has = |flag: u64| told.propagation & flag != 0;
    let mut fields = Vec::new();
    if has(SHARED) {
        fields.push(format!("shared:{}", told.peer_group));
    }
    if has(SLAVE) {
        fields.push(format!("master:{}", told.master));
        if !matches!(told.propagate_from, 0) && told.propagate_from != told.master {
            fields.push(format!("propagate_from:{}", told.propagate_from));
        }
    }
    if has(UNBINDABLE) {
        fields.push("unbindable".to_owned());
    }
    fields.into_iter().map(String::into_bytes).collect()
}

fn super_options(told: &MountStat) -> Vec<u8> {
    let mut text = match told.filesystem_flags & SB_RDONLY {
        0 => b"rw".to_vec(),
        _ => b"ro".to_vec(),
    };
    for (flag, word) in FILESYSTEM_FLAGS {
        if told.filesystem_flags & flag != 0 {
            text.extend_from_slice(word.as_bytes());
        }
    }
    if !told.options.is_empty() {
        text.push(b',');
        text.extend(unescape(&told.options));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use soute_sys::mount::STRICTATIME;

    use super::*;
    use crate::proc::mountinfo;

    /// The same words for the same mounts, where the kernel can be asked.
    #[test]
    fn it_says_what_mountinfo_says() {
        let namespace = File::open("/proc/thread-self/ns/mnt").unwrap();
        let Some(told) = all(&namespace) else { return };
        let told: Vec<MountEntry> = told.iter().map(entry).collect();
        let text = std::fs::read("/proc/thread-self/mountinfo").unwrap();
        let mut same = 0;
        for line in mountinfo(&text).unwrap() {
            if let Some(told) = told.iter().find(|told| told.id == line.id) {
                assert_eq!(*told, line);
                same += 1;
            }
        }
        assert!(same > 3, "{same}");
    }

    #[test]
    fn options_stand_in_the_kernels_order() {
        let text = |attributes| String::from_utf8(options(attributes)).unwrap();
        assert_eq!(text(0), "rw,relatime");
        assert_eq!(text(RDONLY | NOATIME | NODIRATIME), "ro,noatime,nodiratime");
        let all = NOSUID | NODEV | NOEXEC | STRICTATIME | NOSYMFOLLOW | IDMAP;
        assert_eq!(text(all), "rw,nosuid,nodev,noexec,nosymfollow,idmapped");
    }
}
