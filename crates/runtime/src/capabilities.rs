//! capabilities(7): names, sets, and what a process keeps.

use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use soute_sys::{CallError, Called};

/// Names by number (linux/capability.h).
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A capability, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cap(u8);

#[allow(missing_docs)] // each is the CAP_ constant of its name
impl Cap {
    pub const CHOWN: Self = Self(0);
    pub const DAC_OVERRIDE: Self = Self(1);
    pub const DAC_READ_SEARCH: Self = Self(2);
    pub const FOWNER: Self = Self(3);
    pub const FSETID: Self = Self(4);
    pub const KILL: Self = Self(5);
    pub const SETGID: Self = Self(6);
    pub const SETUID: Self = Self(7);
    pub const SETPCAP: Self = Self(8);
    pub const NET_BIND_SERVICE: Self = Self(10);
    pub const NET_ADMIN: Self = Self(12);
    pub const NET_RAW: Self = Self(13);
    pub const SYS_MODULE: Self = Self(16);
    pub const SYS_RAWIO: Self = Self(17);
    pub const SYS_CHROOT: Self = Self(18);
    pub const SYS_PTRACE: Self = Self(19);
    pub const SYS_PACCT: Self = Self(20);
    pub const SYS_ADMIN: Self = Self(21);
    pub const SYS_BOOT: Self = Self(22);
    pub const SYS_NICE: Self = Self(23);
    pub const SYS_RESOURCE: Self = Self(24);
    pub const SYS_TIME: Self = Self(25);
    pub const SYS_TTY_CONFIG: Self = Self(26);
    pub const MKNOD: Self = Self(27);
    pub const AUDIT_WRITE: Self = Self(29);
    pub const SETFCAP: Self = Self(31);
    pub const SYSLOG: Self = Self(34);
    pub const PERFMON: Self = Self(38);
    pub const BPF: Self = Self(39);
}

impl Cap {
    /// The highest that this program knows.
    pub const LAST: Self = Self(NAMES.len() as u8 - 1);

    /// The number in linux/capability.h.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// `CAP_…`
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    const fn bit(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cap {
    type Err = CapabilityError;

    /// `CAP_NET_RAW`, `NET_RAW`, or either in any case.
    fn from_str(word: &str) -> Result<Self, CapabilityError> {
        let upper = word.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        NAMES
            .iter()
            .position(|name| &name["CAP_".len()..] == plain)
            .map(|number| Self(number as u8))
            .ok_or_else(|| CapabilityError::Unknown(word.to_owned()))
    }
}

/// A capability that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// No capability has this name.
    #[error("unknown capability \"{0}\"")]
    Unknown(String),
    /// The kernel is older than the capability.
    #[error("{0} is capability {number}, and this kernel's last is {1}", number = .0.number())]
    NotInKernel(Cap, u8),
}

/// A set of capabilities; as text and in files a list of names, ordered by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapSet(u64);

impl CapSet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// All that this program knows.
    pub const ALL: Self = Self::up_to(Cap::LAST.0);
    /// What Docker gives a container, too.
    pub const DEFAULT: Self = Self::of(&[
        Cap::CHOWN,
        Cap::DAC_OVERRIDE,
        Cap::FOWNER,
        Cap::FSETID,
        Cap::KILL,
        Cap::SETGID,
        Cap::SETUID,
        Cap::SETPCAP,
        Cap::NET_BIND_SERVICE,
        Cap::NET_RAW,
        Cap::SYS_CHROOT,
        Cap::MKNOD,
        Cap::AUDIT_WRITE,
        Cap::SETFCAP,
    ]);

    /// These.
    pub const fn of(caps: &[Cap]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < caps.len() {
            bits |= caps[i].bit();
            i += 1;
        }
        Self(bits)
    }

    /// What this process may give on.
    ///
    /// # Errors
    /// The call that failed.
    pub fn own_permitted() -> Result<Self, CallError> {
        thread::capabilities(None)
            .map(|sets| Self::from_bits_truncate(sets.permitted.bits()))
            .called(|| "capget()".to_owned())
    }

    /// What this process may do now; nothing if it cannot be asked.
    pub fn own_effective() -> Self {
        thread::capabilities(None)
            .map(|sets| Self::from_bits_truncate(sets.effective.bits()))
            .unwrap_or_default()
    }

    /// All with numbers to `last`; those that this program has no name for are not among them.
    pub const fn up_to(last: u8) -> Self {
        let last = if last < Cap::LAST.0 {
            last
        } else {
            Cap::LAST.0
        };
        Self(u64::MAX >> (63 - last))
    }

    /// Whether it is in the set.
    pub const fn contains(self, cap: Cap) -> bool {
        self.0 & cap.bit() != 0
    }

    /// Whether the sets share one.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// With those of `other`.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// One bit per number, as in `/proc/PID/status`.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From such bits; those without a name are left out.
    pub const fn from_bits_truncate(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// By number.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        (0..=Cap::LAST.0)
            .map(Cap)
            .filter(move |&c| self.contains(c))
    }

    fn rustix(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }
}

impl fmt::Display for CapSet {
    /// Names with commas between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, cap) in self.iter().enumerate() {
            write!(f, "{}{cap}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromIterator<Cap> for CapSet {
    fn from_iter<I: IntoIterator<Item = Cap>>(caps: I) -> Self {
        Self(caps.into_iter().fold(0, |bits, cap| bits | cap.bit()))
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Cap::name))
    }
}

impl<'de> Deserialize<'de> for CapSet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|name| name.parse::<Cap>().map_err(serde::de::Error::custom))
            .collect()
    }
}

/// The last capability that both the kernel and this program know.
///
/// # Errors
/// The kernel knows none.
pub fn kernel_last_cap() -> Result<u8, CallError> {
    // One question where the kernel is as new as this program; its file under /proc takes three calls.
    let known = |number: &u8| {
        let bit = CapabilitySet::from_bits_retain(1 << number);
        thread::capability_is_in_bounding_set(bit).is_ok()
    };
    (0..=Cap::LAST.0)
        .rev()
        .find(known)
        .ok_or_else(|| CallError::new("prctl(PR_CAPBSET_READ)".to_owned(), Errno::INVAL))
}

/// The set that `--cap-add`, `--cap-drop` and `--privileged` ask for, as Docker understands them.
///
/// Privileged: all. Otherwise `ALL` added: all but those dropped by name;
/// else `ALL` dropped: those added; else the default set without those
/// dropped, with those added, so that adding wins over dropping.
///
/// `kernel_last_cap`: see [`kernel_last_cap()`]; naming a later capability is an error.
pub fn resolve(
    add: &[impl AsRef<str>],
    drop: &[impl AsRef<str>],
    privileged: bool,
    kernel_last_cap: u8,
) -> Result<CapSet, CapabilityError> {
    let available = CapSet::up_to(kernel_last_cap);
    let (add_all, add) = named(add, available, kernel_last_cap)?;
    let (drop_all, drop) = named(drop, available, kernel_last_cap)?;
    Ok(if privileged {
        available
    } else if add_all {
        available.without(drop)
    } else if drop_all {
        add
    } else {
        CapSet::DEFAULT
            .intersection(available)
            .without(drop)
            .union(add)
    })
}

/// Whether `ALL` is among the words, and the others.
fn named(
    words: &[impl AsRef<str>],
    available: CapSet,
    last: u8,
) -> Result<(bool, CapSet), CapabilityError> {
    let (mut all, mut set) = (false, CapSet::EMPTY);
    for word in words.iter().map(AsRef::as_ref) {
        if word.eq_ignore_ascii_case("all") {
            all = true;
            continue;
        }
        let cap: Cap = word.parse()?;
        if !available.contains(cap) {
            return Err(CapabilityError::NotInKernel(cap, last));
        }
        set = set.union(CapSet::of(&[cap]));
    }
    Ok((all, set))
}

/// The five sets of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// What any program of the process can ever get.
    pub bounding: CapSet,
    /// What counts now.
    pub effective: CapSet,
    /// What a program with inheritable file capabilities would get.
    pub inheritable: CapSet,
    /// What it may make effective.
    pub permitted: CapSet,
    /// What a program run by a user other than root keeps.
    pub ambient: CapSet,
}

impl Capabilities {
    /// What a program started as `uid` has, if `set` is what the container may have at most, as in Docker.
    ///
    /// Root has the set. Another user has none, and gets at most that set by set-user-ID programs and file
    /// capabilities. The inheritable set is always empty: with file capabilities it would let an ordinary
    /// user of the container gain them (CVE-2022-29162).
    pub fn for_user(set: CapSet, uid: u32) -> Self {
        let own = if uid == 0 { set } else { CapSet::EMPTY };
        Self {
            bounding: set,
            effective: own,
            inheritable: CapSet::EMPTY,
            permitted: own,
            ambient: CapSet::EMPTY,
        }
    }

    /// Shrinks the bounding set of this thread to the wanted one. Needs CAP_SETPCAP in its user namespace.
    pub fn apply_bounding(&self) -> Result<(), CallError> {
        // One call for each that goes, none to look first: a new user namespace starts with the full set.
        for number in 0..64 {
            let bit = CapabilitySet::from_bits_retain(1 << number);
            // Those without a name here are dropped, too: a newer kernel's are not wanted.
            if self.bounding.rustix().contains(bit) {
                continue;
            }
            let answer = match thread::remove_capability_from_bounding_set(bit) {
                // Without CAP_SETPCAP what is gone already may be.
                Err(Errno::PERM) => match thread::capability_is_in_bounding_set(bit) {
                    Ok(true) => Err(Errno::PERM),
                    other => other.map(drop),
                },
                other => other,
            };
            match answer {
                // Above the kernel's last.
                Err(Errno::INVAL) if number > 0 => break,
                other => other.called(|| format!("prctl(PR_CAPBSET_DROP, {number})"))?,
            }
        }
        Ok(())
    }

    /// Sets the other four sets of this thread.
    pub fn apply(&self) -> Result<(), CallError> {
        let sets = CapabilitySets {
            effective: self.effective.rustix(),
            permitted: self.permitted.rustix(),
            inheritable: self.inheritable.rustix(),
        };
        thread::set_capabilities(None, sets).called(|| {
            format!(
                "capset(effective={:#x}, permitted={:#x}, inheritable={:#x})",
                self.effective.bits(),
                self.permitted.bits(),
                self.inheritable.bits()
            )
        })?;
        thread::clear_ambient_capability_set()
            .called(|| "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)".to_owned())?;
        for cap in self.ambient.iter() {
            thread::configure_capability_in_ambient_set(CapSet::of(&[cap]).rustix(), true)
                .called(|| format!("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {cap})"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
