//! What the kernel tells of mounts beside mountinfo: listmount(2) and statmount(2), Linux 6.8, of other mount namespaces 6.11.
//!
//! Mounts have numbers of 64 bits here that are never used again in this boot. A namespace has the number that
//! [`mount_namespace_id`](crate::nsfs::mount_namespace_id) gives.

use rustix::io::Errno;

use crate::CallError;
use crate::mount::last_errno;

/// `LSMT_ROOT`: in the caller's own namespace its root folder. In another one the kernel takes for it what was first mounted on
/// the first mount there, whatever lies on it, and wherever it is.
pub const ROOT: u64 = u64::MAX;

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

/// The numbers of all mounts below `mount` in a namespace, ascending; below [`ROOT`], that itself is one of them.
///
/// # Errors
/// `ENOSYS`: before Linux 6.8. `EINVAL`: before 6.11. `EPERM`: the caller has no CAP_SYS_ADMIN there. `ENOENT`: there is no such
/// namespace or mount (any more).
pub fn list(namespace: u64, mount: u64) -> Result<Vec<u64>, CallError> {
    let mut all = Vec::new();
    let mut some = [0u64; 512];
    loop {
        let request = Request::new(namespace, mount, all.last().copied().unwrap_or(0));
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
            let call = format!("listmount(namespace {namespace:#x}, mount {mount:#x})");
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
    pub const MNT_BASIC: u64 = 0x2;
    pub const MNT_UIDMAP: u64 = 0x2000;
    pub const MNT_GIDMAP: u64 = 0x4000;
    /// A kernel leaves out what it does not know.
    pub const ALL: u64 = MNT_BASIC | MNT_UIDMAP | MNT_GIDMAP;
}

/// One mount. What the kernel does not tell is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountStat {
    /// Its number, which is never used again.
    pub id: u64,
    /// The number of the mount that it is on; of the first one in the namespace, its own.
    pub parent: u64,
    /// The number that mountinfo has for it.
    pub old_id: u32,
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
            // A mapping may have many ranges.
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
    let several = |what: u64, offset: u32, number: u32| -> Vec<Vec<u8>> {
        let number = if has(what) { number as usize } else { 0 };
        let each = from(offset).split(|byte| *byte == 0).take(number);
        each.map(<[u8]>::to_vec).collect()
    };
    MountStat {
        id: raw.mnt_id,
        parent: raw.mnt_parent_id,
        old_id: raw.mnt_id_old,
        uid_map: several(ask::MNT_UIDMAP, raw.mnt_uidmap, raw.mnt_uidmap_num),
        gid_map: several(ask::MNT_GIDMAP, raw.mnt_gidmap, raw.mnt_gidmap_num),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nsfs::mount_namespace_id;

    /// Against mountinfo. A kernel that cannot tell is an older one.
    #[test]
    fn all_mounts_are_told() {
        let namespace = std::fs::File::open("/proc/thread-self/ns/mnt").unwrap();
        let all = mount_namespace_id(&namespace).and_then(|id| Ok((id, list(id, ROOT)?)));
        let (namespace, all) = match all {
            Ok(all) => all,
            Err(e) => {
                assert!(!has_statmount(), "{e}");
                assert!(
                    matches!(e.errno(), Errno::NOTTY | Errno::NOSYS | Errno::INVAL),
                    "{e}"
                );
                return;
            }
        };
        let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let mut same = 0;
        for mount in all {
            let told = match stat(namespace, mount) {
                Ok(told) => told,
                Err(e) if e.errno() == Errno::NOENT => continue,
                Err(e) => panic!("{e}"),
            };
            assert_eq!(told.id, mount);
            let id = told.old_id.to_string();
            let Some(line) = table
                .lines()
                .find(|line| line.split(' ').next() == Some(&id))
            else {
                continue;
            };
            if let Ok(parent) = stat(namespace, told.parent) {
                let parent = parent.old_id.to_string();
                assert_eq!(line.split(' ').nth(1), Some(&*parent));
            }
            same += 1;
        }
        // Others mount and unmount meanwhile.
        assert!(same * 2 > table.lines().count(), "{same}");
    }

    fn has_statmount() -> bool {
        let release = rustix::system::uname();
        let release = release.release().to_str().unwrap();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().unwrap().parse::<u32>().unwrap();
        (next(), next()) >= (6, 11)
    }

    #[test]
    fn what_is_not_there_is_said() {
        let errno = list(0xdead_beef_dead, ROOT).unwrap_err().errno();
        let expected = match has_statmount() {
            true => [Errno::NOENT; 2],
            false => [Errno::NOSYS, Errno::INVAL],
        };
        assert!(expected.contains(&errno), "{errno:?}");
    }
}
