//! Which constants the functions of an executable may read, and what the linker calls them.
//!
//! The compiler gives each constant a section of its own, and most have no symbol: they are found by the linker's map, and
//! put in order by a linker script.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;

use super::program::Program;

/// One that is larger is not in memory as a whole, only because a byte of it is read: it stays where it is.
const MOST_BYTES: u64 = 32 << 10;

/// The constants of an executable, in the order of their addresses.
pub struct Constants(Vec<Constant>);

struct Constant {
    memory: Range<u64>,
    /// Its section in the linker's input, as a linker script's pattern.
    pattern: String,
}

impl Constants {
    /// Of `map`, which the linker wrote (`-Map`).
    pub fn of(map: &str) -> Self {
        let constants = map.lines().filter_map(constant);
        let mut constants: Vec<Constant> = constants.collect();
        constants.sort_by_key(|constant| constant.memory.start);
        Self(constants)
    }

    /// The addresses of those that the functions at `functions` refer to, and of those that these refer to in turn.
    pub fn reached_from(&self, functions: &[u64], program: &Program) -> Vec<u64> {
        let mut reached = Vec::new();
        let mut known = HashSet::new();
        for &function in functions {
            let mut from = vec![program.function(function)];
            while let Some(place) = from.pop() {
                for target in program.referred_to(place) {
                    if let Some(constant) = self.at(target)
                        && known.insert(constant.memory.start)
                    {
                        reached.push(constant.memory.start);
                        from.push(constant.memory.clone());
                    }
                }
            }
        }
        reached
    }

    /// A linker script by which the constants at `addresses` come before all others, in this order.
    pub fn script(&self, addresses: &[u64]) -> String {
        let mut script = String::from("SECTIONS { .rodata.first : {\n");
        let known = addresses.iter().filter_map(|&address| self.at(address));
        for constant in known {
            let _ = writeln!(script, "{}", constant.pattern);
        }
        script.push_str("} } INSERT BEFORE .rodata;\n");
        script
    }

    fn at(&self, address: u64) -> Option<&Constant> {
        let behind = self
            .0
            .partition_point(|constant| constant.memory.start <= address);
        let constant = self.0.get(behind.checked_sub(1)?)?;
        constant.memory.contains(&address).then_some(constant)
    }
}

/// Of a line of the map that tells of a section in the linker's input, `ADDRESS LOADED-AT SIZE ALIGNMENT FILE:(SECTION)`
/// with hexadecimal numbers in columns; of an archive's member, FILE is `ARCHIVE(MEMBER)`.
fn constant(line: &str) -> Option<Constant> {
    let (file, section) = line.strip_suffix(')')?.rsplit_once(":(")?;
    let mut words = file.split_ascii_whitespace();
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    let (address, _, size) = (number()?, number()?, number()?);
    let (_alignment, file) = (words.next()?, words.next()?);
    // What is merged has lost its files.
    if !(1..=MOST_BYTES).contains(&size) || file.starts_with('<') {
        return None;
    }
    let pattern = match section.strip_prefix(".rodata")? {
        // Each file has one that is called so.
        "" => {
            let (archive, member) = file.strip_suffix(')')?.rsplit_once('(')?;
            let archive = archive.rsplit('/').next()?;
            format!("*{archive}:{member}(.rodata)")
        }
        _ => format!("*({section})"),
    };
    let memory = address..address + size;
    Some(Constant { memory, pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
             VMA              LMA     Size Align Out     In      Symbol
          201000           201000   2afbb4  4096 .rodata
          201000           201000       10    16         <internal>:(.rodata.cst16)
          201010           201010       18     8         /a/1-soute.o:(.rodata..Lanon.5e.26)
          201028           201028      360    32         /usr/lib/libc.a(libc-start.o):(.rodata)
          201400           201400       20    32         /usr/lib/crt1.o:(.rodata)
          202000           202000    11370     8         /a/1-soute.o:(.rodata..Lanon.5e.27)
          5a7680           5a7680       20    64         /a/1-soute.o:(.text.main)
";

    #[test]
    fn the_linkers_map_is_read() {
        let constants = Constants::of(MAP);
        let found = constants.0.iter();
        let found: Vec<_> = found.map(|it| (it.memory.clone(), &*it.pattern)).collect();
        let expected = [
            (0x20_1010..0x20_1028, "*(.rodata..Lanon.5e.26)"),
            (0x20_1028..0x20_1388, "*libc.a:libc-start.o(.rodata)"),
        ];
        assert_eq!(found, expected);
        assert!(constants.at(0x20_100f).is_none());
        assert!(constants.at(0x20_1388).is_none());
        let script = constants.script(&[0x20_1028, 0x20_1010]);
        assert_eq!(
            script,
            "SECTIONS { .rodata.first : {\n*libc.a:libc-start.o(.rodata)\n*(.rodata..Lanon.5e.26)\n\
             } } INSERT BEFORE .rodata;\n"
        );
    }
}
