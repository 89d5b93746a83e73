//! Where an executable's functions are, in memory and in the file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::elf::{self, Segment};
use crate::shell::{command, output};

/// int3, which stops a traced process behind it.
const BREAKPOINT: u8 = 0xcc;

/// An executable's code, and its functions by their addresses.
pub struct Symbols {
    file: Vec<u8>,
    code: Segment,
    functions: BTreeMap<u64, Vec<String>>,
}

impl Symbols {
    /// Of an executable with a symbol table, by nm(1).
    pub fn of(executable: &Path) -> Result<Self> {
        let file = std::fs::read(executable)
            .with_context(|| format!("cannot read {}", executable.display()))?;
        let mut segments = elf::segments(&file)?.into_iter();
        let code = segments
            .find(|segment| segment.kind == elf::PT_LOAD && segment.flags & elf::PF_X != 0)
            .context("no segment is executed")?;
        let names = output(command("nm", ["--defined-only", "--print-size"]).arg(executable))?;
        let mut functions = functions(&names);
        functions.retain(|address, _| (code.address..code.address + code.size).contains(address));
        Ok(Self {
            file,
            code,
            functions,
        })
    }

    /// The file with a breakpoint in the place of each function's first byte.
    pub fn with_breakpoints(&self) -> Vec<u8> {
        let mut file = self.file.clone();
        for &address in self.functions.keys() {
            file[self.place(address)] = BREAKPOINT;
        }
        file
    }

    /// The byte that a function begins with; `None`: no function begins there.
    pub fn first_byte(&self, address: u64) -> Option<u8> {
        let known = self.functions.contains_key(&address);
        known.then(|| self.file[self.place(address)])
    }

    /// The names of the function at an address.
    pub fn names_at(&self, address: u64) -> impl Iterator<Item = &str> {
        self.functions
            .get(&address)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    fn place(&self, address: u64) -> usize {
        (address - self.code.address + self.code.offset) as usize
    }
}

/// Of the compiler's own crtbegin.o, which runs in every program, and tells no sizes.
const OF_EVERY_PROGRAM: &str = "frame_dummy";

/// Of nm's lines `ADDRESS SIZE TYPE NAME`: code (`t`, `w`, `i`), of which only what has a size is a function, and one more.
fn functions(names: &str) -> BTreeMap<u64, Vec<String>> {
    let mut functions: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in names.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (address, kind, name, is_function) = match words[..] {
            [address, size, kind, name] => {
                let has_size = hexadecimal(size).is_ok_and(|size| size > 0);
                (address, kind, name, has_size)
            }
            [address, kind, name] => (address, kind, name, name == OF_EVERY_PROGRAM),
            _ => continue,
        };
        if is_function
            && matches!(kind, "t" | "T" | "w" | "W" | "i")
            && let Ok(address) = hexadecimal(address)
        {
            functions.entry(address).or_default().push(name.to_owned());
        }
    }
    functions
}

fn hexadecimal(word: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(word, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nm_prints_is_read() {
        let names = "0000000000574980 0000000000000026 T _start\n0000000000574980 0000000000000026 t also\n\
            0000000000f35200 T no_size\n0000000000201000 0000000000000010 r data\n\
            0000000000598770 t frame_dummy\n";
        let functions = functions(names);
        assert_eq!(functions.len(), 2);
        assert_eq!(functions[&0x59_8770], ["frame_dummy"]);
        assert_eq!(functions[&0x57_4980], ["_start", "also"]);
    }
}
