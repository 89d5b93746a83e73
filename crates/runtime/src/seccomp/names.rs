//! System calls by their names.
//!
//! The tables are made by the compiler from those by number ([`Arch::name`]). A profile names some 400 calls, each of which
//! has a number on up to three architectures, and a container's start waits for all of them: one search finds all three.

use std::cmp::Ordering;

use super::arch::{Arch, Machine};

/// The most architectures that a machine has.
const ARCHES: usize = 3;

/// More names than any machine has.
const ROOM: usize = 640;

/// A call and its number on each of a machine's architectures, if it has one there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    name: &'static str,
    numbers: [Option<u32>; ARCHES],
}

const UNNAMED: Named = Named {
    name: "",
    numbers: [None; ARCHES],
};

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
                const ALL: ([Named; ROOM], usize) = all($machine);
                static TABLE: [Named; ALL.1] = first(&ALL.0);
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

/// All calls of a machine in the order of their names, and how many there are.
const fn all(machine: Machine) -> ([Named; ROOM], usize) {
    let (mut table, mut len) = ([UNNAMED; ROOM], 0);
    let mut of = 0;
    while of < machine.arches().len() {
        let arch = machine.arches()[of];
        let mut index = 0;
        while let Some(number) = arch.candidate(index) {
            if let Some(name) = arch.name(number) {
                let place = match search(&table, len, name) {
                    Ok(place) => place,
                    Err(place) => {
                        make_room(&mut table, len, place);
                        table[place].name = name;
                        len += 1;
                        place
                    }
                };
                let its = &mut table[place].numbers[arch.index()];
                assert!(its.is_none(), "two numbers of one name");
                *its = Some(number);
            }
            index += 1;
        }
        of += 1;
    }
    (table, len)
}

/// Where a name stands among the first `len`, or else has to stand.
const fn search(table: &[Named; ROOM], len: usize, name: &str) -> Result<usize, usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        match compare(name, table[middle].name) {
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => low = middle + 1,
            Ordering::Less => high = middle,
        }
    }
    Err(low)
}

/// Moves those from `place` on by one.
const fn make_room(table: &mut [Named; ROOM], len: usize, place: usize) {
    let mut last = len;
    while last > place {
        table[last] = table[last - 1];
        last -= 1;
    }
    table[place] = UNNAMED;
}

const fn first<const LEN: usize>(table: &[Named; ROOM]) -> [Named; LEN] {
    let mut first = [UNNAMED; LEN];
    let mut at = 0;
    while at < LEN {
        first[at] = table[at];
        at += 1;
    }
    first
}

/// `Ord::cmp`, for the compiler.
pub(super) const fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return match left[at] < right[at] {
                true => Ordering::Less,
                false => Ordering::Greater,
            };
        }
        at += 1;
    }
    match (left.len() == at, right.len() == at) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, _) => Ordering::Greater,
    }
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
