//! Architectures and their tables of system calls.

use std::fmt;

use syscalls::{aarch64, arm, x86, x86_64};

/// Set in every number of an x32 call (asm/unistd.h, `__X32_SYSCALL_BIT`).
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// An ABI by which this machine's kernel takes system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Arch {
    /// AMD64.
    X86_64,
    /// i386.
    X86,
    /// AMD64 with 32-bit pointers: its numbers have [`X32_BIT`], and its `AUDIT_ARCH_` is that of x86_64.
    X32,
    /// ARM, 64 bits.
    Aarch64,
    /// ARM, 32 bits, EABI.
    Arm,
}

/// The machine that filters are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// Takes x86_64, x86 and x32 calls.
    X86_64,
    /// Takes aarch64 and arm calls.
    Aarch64,
}

impl Machine {
    /// This one, if soute knows its tables.
    pub(crate) const fn this() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// Its architectures, its own first.
    pub(crate) const fn arches(self) -> &'static [Arch] {
        match self {
            Self::X86_64 => &[Arch::X86_64, Arch::X86, Arch::X32],
            Self::Aarch64 => &[Arch::Aarch64, Arch::Arm],
        }
    }

    /// Its own.
    pub(crate) const fn native(self) -> Arch {
        self.arches()[0]
    }
}

/// Calls that x32 has under numbers of its own, from 512 (arch/x86/entry/syscalls/syscall_64.tbl, ABI `x32`).
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];
const X32_OWN_FIRST: u32 = 512;

/// Numbers of x86_64 that x32 lacks: those of [`X32_OWN`], and those of ABI `64`.
const NOT_X32: [u32; 49] = [
    13, 15, 16, 19, 20, 45, 46, 47, 54, 55, 59, 101, 127, 128, 129, 131, 134, 156, 174, 177, 178,
    180, 205, 206, 209, 211, 214, 215, 222, 236, 244, 246, 247, 273, 274, 278, 279, 295, 296, 297,
    299, 307, 310, 311, 322, 327, 328, 335, 453,
];

/// Calls of the ARM kernel alone, from `__ARM_NR_BASE` + 1 (arch/arm/include/uapi/asm/unistd.h).
pub(crate) const ARM_OWN: [&str; 6] = [
    "breakpoint",
    "cacheflush",
    "usr26",
    "usr32",
    "set_tls",
    "get_tls",
];
pub(crate) const ARM_OWN_FIRST: u32 = 0xf_0001;
/// One more than the last.
pub(crate) const ARM_OWN_END: u32 = ARM_OWN_FIRST + ARM_OWN.len() as u32;

/// The generic table names calls with 64-bit times that only 32-bit architectures have.
const TIME64: std::ops::RangeInclusive<u32> = 403..=423;
const AARCH64_NEWFSTATAT: u32 = 79;
const X86_BREAK: u32 = 17;

macro_rules! name_in {
    ($table:ident, $number:expr) => {
        match $table::Sysno::new($number as usize) {
            Some(call) => Some(call.name()),
            None => None,
        }
    };
}

impl Arch {
    /// `seccomp_data.arch` (linux/audit.h, `AUDIT_ARCH_*`).
    pub(crate) const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Its registers have 64 bits. x32's do: its pointers have 32, but the
    /// kernel takes whole registers, and what a filter did not look at could pass by it.
    pub(crate) const fn is_64_bit(self) -> bool {
        matches!(self, Self::X86_64 | Self::X32 | Self::Aarch64)
    }

    /// Whose kernel takes its calls.
    pub(crate) const fn machine(self) -> Machine {
        match self {
            Self::X86_64 | Self::X86 | Self::X32 => Machine::X86_64,
            Self::Aarch64 | Self::Arm => Machine::Aarch64,
        }
    }

    /// Its place among [`Machine::arches`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::X86_64 | Self::Aarch64 => 0,
            Self::X86 | Self::Arm => 1,
            Self::X32 => 2,
        }
    }

    /// What its ordinary numbers start with.
    pub(crate) const fn base(self) -> u32 {
        match self {
            Self::X32 => X32_BIT,
            _ => 0,
        }
    }

    /// One more than its last ordinary number, less [`Arch::base`]; ARM's few private ones are above.
    pub(crate) const fn table_len(self) -> u32 {
        match self {
            Self::X86_64 => x86_64::Sysno::last().id() as u32 + 1,
            Self::X86 => x86::Sysno::last().id() as u32 + 1,
            Self::X32 => X32_OWN_FIRST + X32_OWN.len() as u32,
            Self::Aarch64 => aarch64::Sysno::last().id() as u32 + 1,
            Self::Arm => arm::Sysno::last().id() as u32 + 1,
        }
    }

    /// The call with this number.
    pub(crate) const fn name(self, number: u32) -> Option<&'static str> {
        match self {
            Self::X86_64 => name_in!(x86_64, number),
            // A keyword of Rust, which the table shows as "r#break".
            Self::X86 if number == X86_BREAK => Some("break"),
            Self::X86 => name_in!(x86, number),
            Self::X32 => x32_name(number),
            // As all other architectures and the C library call it.
            Self::Aarch64 if number == AARCH64_NEWFSTATAT => Some("newfstatat"),
            Self::Aarch64 if *TIME64.start() <= number && number <= *TIME64.end() => None,
            Self::Aarch64 => name_in!(aarch64, number),
            Self::Arm if ARM_OWN_FIRST <= number => {
                let own = (number - ARM_OWN_FIRST) as usize;
                if own < ARM_OWN.len() {
                    Some(ARM_OWN[own])
                } else {
                    None
                }
            }
            Self::Arm => name_in!(arm, number),
        }
    }

    /// What may be a number, one after the other, ascending: the ordinary ones, and ARM's own.
    pub(crate) const fn candidate(self, index: u32) -> Option<u32> {
        let ordinary = self.table_len();
        if index < ordinary {
            return Some(self.base() + index);
        }
        let own = ARM_OWN_FIRST + (index - ordinary);
        match self {
            Self::Arm if own < ARM_OWN_END => Some(own),
            _ => None,
        }
    }

    /// All numbers that have a call, ascending.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u32> {
        let candidates = (0..).map_while(move |index| self.candidate(index));
        candidates.filter(move |&number| self.name(number).is_some())
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
        })
    }
}

const fn x32_name(number: u32) -> Option<&'static str> {
    if number & X32_BIT == 0 {
        return None;
    }
    let plain = number ^ X32_BIT;
    if plain >= X32_OWN_FIRST {
        let own = (plain - X32_OWN_FIRST) as usize;
        return if own < X32_OWN.len() {
            Some(X32_OWN[own])
        } else {
            None
        };
    }
    let mut i = 0;
    while i < NOT_X32.len() {
        if NOT_X32[i] == plain {
            return None;
        }
        i += 1;
    }
    name_in!(x86_64, plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Arch; 5] = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];

    #[test]
    fn names_and_numbers_are_inverse() {
        for arch in ALL {
            let mut count = 0;
            for number in arch.numbers() {
                let name = arch.name(number).unwrap();
                assert_eq!(arch.number(name), Some(number), "{arch:?} {name}");
                assert!(!name.contains('#'));
                count += 1;
            }
            assert!(count > 300, "{arch:?} has {count}");
            assert_eq!(arch.number("no_such_call"), None);
            assert_eq!(arch.name(arch.base() + arch.table_len()), None);
        }
    }

    #[test]
    fn exceptions() {
        assert_eq!(Arch::X86.number("break"), Some(17));
        assert_eq!(Arch::X86.number("r#break"), None);
        assert_eq!(Arch::Aarch64.number("newfstatat"), Some(79));
        assert_eq!(Arch::Aarch64.number("fstatat"), None);
        assert_eq!(Arch::Aarch64.number("futex_time64"), None);
        assert_eq!(Arch::Arm.number("futex_time64"), Some(422));
        assert_eq!(Arch::Arm.number("set_tls"), Some(0xf0005));
        assert_eq!(Arch::X32.number("read"), Some(0x4000_0000));
        assert_eq!(Arch::X32.number("ioctl"), Some(0x4000_0202));
        assert_eq!(Arch::X32.number("uselib"), None);
        assert_eq!(Arch::X32.name(0), None);
    }

    #[test]
    fn x32_lacks_what_it_has_under_another_number() {
        for name in X32_OWN {
            let number = Arch::X86_64.number(name).unwrap();
            assert!(NOT_X32.contains(&number), "{name} {number}");
        }
    }
}
