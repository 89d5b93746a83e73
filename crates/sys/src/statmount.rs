//! What the kernel tells of mounts without /proc: listmount(2) and statmount(2), Linux 6.8, of other mount namespaces 6.11.
//!
//! Mounts have numbers of 64 bits here that are never used again in this boot. A namespace has the number that
//! [`mount_namespace_id`](crate::nsfs::mount_namespace_id) gives.

use rustix::io::Errno;

use crate::CallError;
use crate::mount::last_errno;

/// `LSMT_ROOT`: all mounts below the root folder, and that itself.
const ROOT: u64 = u64::MAX;

/// `struct mnt_id_req`, as of Linux 6.11.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    /// listmount: the last one that is known already; statmount: `STATMOUNT_*`.
    param: u64,
    namespace: u64,
}

impl Request {
    fn new(namespace: u64, mount: u64, param: u64) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            spare: 0,
            mount,
            param,
            namespace,
        }
    }
}

/// The numbers of all mounts in a namespace, as seen from its root folder; in the caller's own, from the caller's.
///
/// # Errors
/// `ENOSYS`: before Linux 6.8. `EINVAL`: before 6.11. `EPERM`: the caller has no CAP_SYS_ADMIN there. `ENOENT`: there is no such
/// namespace (any more).
pub fn list(namespace: u64) -> Result<Vec<u64>, CallError> {
    let mut all = Vec::new();
    let mut some = [0u64; 512];
    loop {
        let request = Request::new(namespace, ROOT, all.last().copied().unwrap_or(0));
        // SAFETY: the kernel reads `request`, whose size it is told, and writes at most as many numbers as `some` has.
        let number = unsafe {
            libc::syscall(
                linux_raw_sys::general::__NR_listmount.into(),
                &raw const request,
                some.as_mut_ptr(),
                some.len(),
                0,
            )
        };
        if number < 0 {
            let call = format!("listmount(namespace {namespace:#x})");
            return Err(CallError::new(call, last_errno()));
        }
        let got = some.get(..number as usize).unwrap_or_default();
        all.extend_from_slice(got);
        if got.len() < some.len() {
            return Ok(all);
        }
    }
}

/// The fixed part of `struct statmount`, as of Linux 6.15. Texts are given by where they begin behind it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    size: u32,
    mnt_opts: u32,
    mask: u64,
    sb_dev_major: u32,
    sb_dev_minor: u32,
    sb_magic: u64,
    sb_flags: u32,
    fs_type: u32,
    mnt_id: u64,
    mnt_parent_id: u64,
    mnt_id_old: u32,
    mnt_parent_id_old: u32,
    mnt_attr: u64,
    mnt_propagation: u64,
    mnt_peer_group: u64,
    mnt_master: u64,
    propagate_from: u64,
    mnt_root: u32,
    mnt_point: u32,
    mnt_ns_id: u64,
    fs_subtype: u32,
    sb_source: u32,
    opt_num: u32,
    opt_array: u32,
    opt_sec_num: u32,
    opt_sec_array: u32,
    supported_mask: u64,
    mnt_uidmap_num: u32,
    mnt_uidmap: u32,
    mnt_gidmap_num: u32,
    mnt_gidmap: u32,
    spare: [u64; 43],
}

const FIXED: usize = 512;
const _: () = assert!(size_of::<Raw>() == FIXED);

mod ask {
    pub const SB_BASIC: u64 = 0x1;
    pub const MNT_BASIC: u64 = 0x2;
    pub const PROPAGATE_FROM: u64 = 0x4;
    pub const MNT_ROOT: u64 = 0x8;
    pub const MNT_POINT: u64 = 0x10;
    pub const FS_TYPE: u64 = 0x20;
    pub const MNT_OPTS: u64 = 0x80;
    pub const FS_SUBTYPE: u64 = 0x100;
    pub const SB_SOURCE: u64 = 0x200;
    pub const MNT_UIDMAP: u64 = 0x2000;
    pub const MNT_GIDMAP: u64 = 0x4000;
    /// A kernel leaves out what it does not know.
    pub const ALL: u64 = SB_BASIC
        | MNT_BASIC
        | PROPAGATE_FROM
        | MNT_ROOT
        | MNT_POINT
        | FS_TYPE
        | MNT_OPTS
        | FS_SUBTYPE
        | SB_SOURCE
        | MNT_UIDMAP
        | MNT_GIDMAP;
}

/// One mount. What the kernel does not tell is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountStat {
    /// Its number, which is never used again.
    pub id: u64,
    /// The number that mountinfo has for it, and for the mount that it is on.
    pub old_ids: (u32, u32),
    /// The device number of the file system, major and minor.
    pub device: (u32, u32),
    /// `SB_RDONLY`, `SB_SYNCHRONOUS`, `SB_DIRSYNC`, `SB_LAZYTIME` of the file system.
    pub filesystem_flags: u32,
    /// `MOUNT_ATTR_*`
    pub attributes: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`
    pub propagation: u64,
    /// The group of its peers; 0: none.
    pub peer_group: u64,
    /// The group whose slave it is; 0: none.
    pub master: u64,
    /// The nearest group above that has a mount in sight; 0: none.
    pub propagate_from: u64,
    /// What of the file system is mounted.
    pub root: Vec<u8>,
    /// Where, from the root folder.
    pub point: Vec<u8>,
    /// The file system's type.
    pub kind: Vec<u8>,
    /// What follows it after a dot (FUSE).
    pub subtype: Vec<u8>,
    /// What was given as the source; `None`: nothing, or the kernel cannot tell (before 6.14).
    pub source: Option<Vec<u8>>,
    /// The file system's own options, comma-separated, blanks and the like escaped as in mountinfo.
    pub options: Vec<u8>,
    /// Whose ids it shows as whose, `INSIDE OUTSIDE COUNT` each, in numbers of the caller's user namespace; none: it shows them
    /// as they are, or the kernel cannot tell (before 6.15).
    pub uid_map: Vec<Vec<u8>>,
    /// The same of groups.
    pub gid_map: Vec<Vec<u8>>,
}

/// A mount of a namespace.
///
/// # Errors
/// As of [`list`]; `ENOENT`: it is not there any more.
pub fn stat(namespace: u64, mount: u64) -> Result<MountStat, CallError> {
    let mut buffer = vec![0u64; FIXED / 4];
    loop {
        let request = Request::new(namespace, mount, ask::ALL);
        // SAFETY: the kernel reads `request`, whose size it is told, and writes into `buffer` at most its size in bytes.
        let done = unsafe {
            libc::syscall(
                linux_raw_sys::general::__NR_statmount.into(),
                &raw const request,
                buffer.as_mut_ptr(),
                size_of_val(buffer.as_slice()),
                0,
            )
        };
        if done >= 0 {
            return Ok(told(&buffer));
        }
        match last_errno() {
            // Options of an overlay may be long.
            Errno::OVERFLOW if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 2, 0),
            errno => {
                let call = format!("statmount(namespace {namespace:#x}, mount {mount:#x})");
                return Err(CallError::new(call, errno));
            }
        }
    }
}

fn told(buffer: &[u64]) -> MountStat {
    // SAFETY: Raw is plain numbers, aligned as u64 is, and the buffer is longer.
    let raw = unsafe { *buffer.as_ptr().cast::<Raw>() };
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let texts = bytes.get(FIXED..).unwrap_or_default();
    let has = |what: u64| raw.mask & what == what;
    let from = |offset: u32| texts.get(offset as usize..).unwrap_or_default();
    let first = |bytes: &[u8]| bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec);
    let text = |what: u64, offset: u32| has(what).then(|| first(from(offset))).flatten();
    let several = |what: u64, offset: u32, number: u32| -> Vec<Vec<u8>> {
        let number = if has(what) { number as usize } else { 0 };
        let each = from(offset).split(|byte| *byte == 0).take(number);
        each.map(<[u8]>::to_vec).collect()
    };
    MountStat {
        id: raw.mnt_id,
        old_ids: (raw.mnt_id_old, raw.mnt_parent_id_old),
        device: (raw.sb_dev_major, raw.sb_dev_minor),
        filesystem_flags: raw.sb_flags,
        attributes: raw.mnt_attr,
        propagation: raw.mnt_propagation,
        peer_group: raw.mnt_peer_group,
        master: raw.mnt_master,
        propagate_from: raw.propagate_from,
        root: text(ask::MNT_ROOT, raw.mnt_root).unwrap_or_default(),
        point: text(ask::MNT_POINT, raw.mnt_point).unwrap_or_default(),
        kind: text(ask::FS_TYPE, raw.fs_type).unwrap_or_default(),
        subtype: text(ask::FS_SUBTYPE, raw.fs_subtype).unwrap_or_default(),
        source: text(ask::SB_SOURCE, raw.sb_source),
        options: text(ask::MNT_OPTS, raw.mnt_opts).unwrap_or_default(),
        uid_map: several(ask::MNT_UIDMAP, raw.mnt_uidmap, raw.mnt_uidmap_num),
        gid_map: several(ask::MNT_GIDMAP, raw.mnt_gidmap, raw.mnt_gidmap_num),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nsfs::mount_namespace_id;

    /// Against mountinfo, where the kernel can be asked at all.
    #[test]
    fn all_mounts_are_told() {
        let namespace = std::fs::File::open("/proc/thread-self/ns/mnt").unwrap();
        let Ok(namespace) = mount_namespace_id(&namespace) else {
            return;
        };
        let all = match list(namespace) {
            Ok(all) => all,
            Err(e) if e.errno() == Errno::NOSYS => return,
            Err(e) => panic!("{e}"),
        };
        let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split(' ').collect())
            .collect();
        assert!(all.len() >= lines.len());
        for mount in all {
            let stat = match stat(namespace, mount) {
                Ok(stat) => stat,
                Err(e) if e.errno() == Errno::NOENT => continue,
                Err(e) => panic!("{e}"),
            };
            assert_eq!(stat.id, mount);
            let id = stat.old_ids.0.to_string();
            let Some(line) = lines.iter().find(|line| line[0] == id) else {
                continue;
            };
            assert_eq!(line[1], stat.old_ids.1.to_string());
            assert_eq!(line[2], format!("{}:{}", stat.device.0, stat.device.1));
            if !line[4].contains('\\') {
                assert_eq!(line[4].as_bytes(), stat.point);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let errno = list(0xdead_beef_dead).unwrap_err().errno();
        assert!(
            matches!(errno, Errno::NOENT | Errno::NOSYS | Errno::INVAL),
            "{errno:?}"
        );
    }
}
