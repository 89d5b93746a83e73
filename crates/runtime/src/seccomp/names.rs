//! System calls by their names.
//!
//! The tables are made by the compiler from those by number ([`Arch::name`]). A profile names some 400 calls, each of which
//! has a number on up to three architectures, and a container's start waits for all of them: one search finds all three.

use super::arch::{ARM_OWN_END, ARM_OWN_FIRST, Arch, Machine};

/// The most architectures that a machine has.
const ARCHES: usize = 3;

/// A call and its number on each of a machine's architectures, if it has one there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    name: &'static str,
    numbers: [Option<u32>; ARCHES],
}

impl Machine {
    /// The call of this name on any of its architectures.
    pub(crate) fn call(self, name: &str) -> Option<&'static Named> {
        let table = self.by_name();
        let found = table.binary_search_by(|call| call.name.cmp(name));
        found.ok().map(|place| &table[place])
    }

    /// All calls, in the order of their names.
    fn by_name(self) -> &'static [Named] {
        macro_rules! table {
            ($machine:expr) => {{
                const NUMBERS: usize = count($machine);
                const NAMED: [Named; NUMBERS] = sorted(named($machine));
                const NAMES: usize = names(&NAMED);
                static TABLE: [Named; NAMES] = joined(&NAMED);
                &TABLE
            }};
        }
        match self {
            Self::X86_64 => table!(Machine::X86_64),
            Self::Aarch64 => table!(Machine::Aarch64),
        }
    }
}

impl Named {
    /// Its number on `arch`, one of the machine's.
    pub(crate) const fn number(&self, arch: Arch) -> Option<u32> {
        self.numbers[arch.index()]
    }
}

impl Arch {
    /// The number of a call, if it has it.
    pub(crate) fn number(self, name: &str) -> Option<u32> {
        self.machine().call(name)?.number(self)
    }
}

/// What may be a number, one after the other: the ordinary ones, and ARM's own.
const fn candidate(arch: Arch, index: u32) -> Option<u32> {
    let ordinary = arch.table_len();
    if index < ordinary {
        return Some(arch.base() + index);
    }
    let own = ARM_OWN_FIRST + (index - ordinary);
    match arch {
        Arch::Arm if own < ARM_OWN_END => Some(own),
        _ => None,
    }
}

/// How many numbers have a name, on all architectures together.
const fn count(machine: Machine) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < machine.arches().len() {
        let arch = machine.arches()[at];
        let mut index = 0;
        while let Some(number) = candidate(arch, index) {
            count += arch.name(number).is_some() as usize;
            index += 1;
        }
        at += 1;
    }
    count
}

/// Each number by itself.
const fn named<const LEN: usize>(machine: Machine) -> [Named; LEN] {
    let mut table = [Named {
        name: "",
        numbers: [None; ARCHES],
    }; LEN];
    let (mut at, mut filled) = (0, 0);
    while at < machine.arches().len() {
        let arch = machine.arches()[at];
        let mut index = 0;
        while let Some(number) = candidate(arch, index) {
            if let Some(name) = arch.name(number) {
                table[filled].name = name;
                table[filled].numbers[arch.index()] = Some(number);
                filled += 1;
            }
            index += 1;
        }
        at += 1;
    }
    table
}

/// How many different names there are in a table that is in order.
const fn names(sorted: &[Named]) -> usize {
    let (mut at, mut names) = (1, 1);
    while at < sorted.len() {
        names += is_before(sorted[at - 1].name, sorted[at].name) as usize;
        at += 1;
    }
    names
}

/// One entry of each name in a table that is in order.
const fn joined<const LEN: usize>(sorted: &[Named]) -> [Named; LEN] {
    let mut table = [sorted[0]; LEN];
    let (mut at, mut last) = (1, 0);
    while at < sorted.len() {
        if is_before(table[last].name, sorted[at].name) {
            last += 1;
            table[last] = sorted[at];
        } else {
            let mut arch = 0;
            while arch < ARCHES {
                if let Some(number) = sorted[at].numbers[arch] {
                    assert!(table[last].numbers[arch].is_none(), "a name twice");
                    table[last].numbers[arch] = Some(number);
                }
                arch += 1;
            }
        }
        at += 1;
    }
    table
}

/// By heap sort, since none of the library's sorts runs in the compiler.
const fn sorted<const LEN: usize>(mut table: [Named; LEN]) -> [Named; LEN] {
    let mut root = LEN / 2;
    while root > 0 {
        root -= 1;
        sift(&mut table, root, LEN);
    }
    let mut end = LEN;
    while end > 1 {
        end -= 1;
        table.swap(0, end);
        sift(&mut table, 0, end);
    }
    table
}

/// Moves what stands at `root` down as far as larger ones are below it, among those before `end`.
const fn sift(table: &mut [Named], mut root: usize, end: usize) {
    loop {
        let mut child = 2 * root + 1;
        if child >= end {
            return;
        }
        if child + 1 < end && is_before(table[child].name, table[child + 1].name) {
            child += 1;
        }
        if !is_before(table[root].name, table[child].name) {
            return;
        }
        table.swap(root, child);
        root = child;
    }
}

const fn is_before(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order_and_whole() {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            let table = machine.by_name();
            assert!(table.is_sorted_by(|a, b| a.name < b.name), "{machine:?}");
            for &arch in machine.arches() {
                assert_eq!(machine.arches()[arch.index()], arch);
                assert_eq!(arch.machine(), machine);
                let numbers = table.iter().filter_map(|call| call.number(arch));
                assert_eq!(numbers.count(), arch.numbers().count(), "{arch}");
            }
        }
    }
}
