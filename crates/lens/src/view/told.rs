//! What the kernel tells of mounts beside mountinfo (statmount(2)).
//!
//! mountinfo numbers them by numbers that are used again. So that nothing is told of one mount that is true of another, those are
//! listed before mountinfo is read, and asked after it: what answers then has been there all the time, with its number.

use std::collections::HashMap;
use std::os::fd::AsFd;

use soute_sys::nsfs::mount_namespace_id;
use soute_sys::statmount::{MountStat, ROOT, list, stat};

/// No mount is in more than so many others: that many there are at most (`fs.mount-max`).
const DEEPEST: usize = 100_000;

/// The mounts of a namespace, before mountinfo is read.
#[derive(Debug, Default)]
pub(super) struct Told {
    namespace: u64,
    mounts: Vec<u64>,
}

impl Told {
    /// None where the kernel does not tell, or not this caller.
    pub(super) fn before(namespace: &impl AsFd) -> Self {
        let all = mount_namespace_id(namespace).and_then(|namespace| {
            let mounts = list(namespace, ROOT)?;
            // Not all need be below what the kernel takes for the root there.
            let mut first = mounts.first().copied().unwrap_or_default();
            for _ in 0..DEEPEST {
                match stat(namespace, first) {
                    Ok(told) if told.parent != first => first = told.parent,
                    _ => break,
                }
            }
            let below = list(namespace, first).unwrap_or_default();
            let mut mounts: Vec<u64> = mounts.into_iter().chain(below).chain([first]).collect();
            mounts.sort_unstable();
            mounts.dedup();
            Ok(Self { namespace, mounts })
        });
        all.unwrap_or_default()
    }

    /// What is told of those that are there still, by their numbers in mountinfo.
    pub(super) fn after(self) -> HashMap<u32, MountStat> {
        let told = self.mounts.into_iter();
        let told = told.filter_map(|mount| stat(self.namespace, mount).ok());
        told.map(|told| (told.old_id, told)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use rustix::mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
    };
    use soute_sys::process::{flags, unshare};

    use super::*;
    use crate::proc::{MountEntry, mountinfo};

    fn is_told() -> bool {
        let release = rustix::system::uname();
        let mut numbers = release.release().to_str().unwrap().split('.');
        let mut next = || numbers.next().unwrap().parse::<u32>().unwrap();
        (next(), next()) >= (6, 11)
    }

    fn lines() -> Vec<MountEntry> {
        mountinfo(&std::fs::read("/proc/thread-self/mountinfo").unwrap()).unwrap()
    }

    /// In a mount namespace of its own, so that nobody changes anything meanwhile.
    fn alone(look: impl FnOnce() + Send + 'static) {
        let looks = std::thread::spawn(|| {
            unshare(flags::NEWNS).expect("root");
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).unwrap();
            look();
        });
        looks.join().unwrap();
    }

    fn own() -> File {
        File::open("/proc/thread-self/ns/mnt").unwrap()
    }

    #[test]
    fn something_is_told_of_every_mount() {
        alone(|| {
            let told = Told::before(&own()).after();
            for line in lines() {
                assert_eq!(told.contains_key(&line.id), is_told(), "{line:?}");
            }
        });
    }

    #[test]
    fn nothing_is_told_of_what_has_the_number_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        alone(move || {
            let lay = || mount("none", &place, c"tmpfs", MountFlags::empty(), None).unwrap();
            let number = |place: &Path| {
                let lines = lines();
                let own = lines.iter().find(|line| line.mount_point == place);
                own.unwrap().id
            };
            lay();
            // Others may be quicker to take the number.
            for _ in 0..1000 {
                let before = number(&place);
                let told = Told::before(&own());
                unmount(&place, UnmountFlags::empty()).unwrap();
                lay();
                let told = told.after();
                assert_eq!(told.is_empty(), !is_told());
                if number(&place) == before {
                    assert!(!told.contains_key(&before));
                    return;
                }
            }
            panic!("the number was not used again");
        });
    }
}
