//! Where an executable's functions are, in memory and in the file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::shell::{command, output};

/// int3, which stops a traced process behind it.
pub const BREAKPOINT: u8 = 0xcc;

/// An executable's code, and its functions by their addresses.
pub struct Symbols {
    file: Vec<u8>,
    functions: BTreeMap<u64, Vec<String>>,
    /// What is to be added to an address for its place in the file.
    offset: i64,
}

impl Symbols {
    /// Of an executable with a symbol table, by nm(1) and readelf(1).
    pub fn of(executable: &Path) -> Result<Self> {
        let file = std::fs::read(executable)
            .with_context(|| format!("cannot read {}", executable.display()))?;
        let names = output(command("nm", ["--defined-only", "--print-size"]).arg(executable))?;
        let segments = output(command("readelf", ["--program-headers", "--wide"]).arg(executable))?;
        let (functions, code) = (functions(&names), code(&segments)?);
        let in_code = |address: &u64| code.contains(address);
        Ok(Self {
            file,
            functions: functions.into_iter().filter(|(a, _)| in_code(a)).collect(),
            offset: code.offset,
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
        (address as i64 + self.offset) as usize
    }
}

/// Of nm's lines `ADDRESS SIZE TYPE NAME`: code (`t`, `w`, `i`), of which only what has a size is a function.
fn functions(names: &str) -> BTreeMap<u64, Vec<String>> {
    let mut functions: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in names.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [address, size, kind, name] = words[..]
            && matches!(kind, "t" | "T" | "w" | "W" | "i")
            && let (Ok(address), Ok(1..)) = (hexadecimal(address), hexadecimal(size))
        {
            functions.entry(address).or_default().push(name.to_owned());
        }
    }
    functions
}

/// The segment that is executed.
struct Code {
    start: u64,
    size: u64,
    offset: i64,
}

impl Code {
    fn contains(&self, address: &u64) -> bool {
        (self.start..self.start + self.size).contains(address)
    }
}

/// Of readelf's lines `LOAD OFFSET ADDRESS PHYSICAL SIZE MEMORY FLAGS ALIGNMENT` the one with the flags `R E`.
fn code(segments: &str) -> Result<Code> {
    let mut lines = segments
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .find_map(|words| match words[..] {
            ["LOAD", offset, address, _, size, _, "R", "E", _] => {
                let number = |word: &str| hexadecimal(word.trim_start_matches("0x")).ok();
                let start = number(address)?;
                Some(Code {
                    start,
                    size: number(size)?,
                    offset: number(offset)? as i64 - start as i64,
                })
            }
            _ => None,
        })
        .context("readelf shows no segment with code")
}

fn hexadecimal(word: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(word, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nm_and_readelf_print_is_read() {
        let names = "0000000000574980 0000000000000026 T _start\n0000000000574980 0000000000000026 t also\n\
            0000000000f35200 T no_size\n0000000000201000 0000000000000010 r data\n";
        let functions = functions(names);
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[&0x57_4980], ["_start", "also"]);
        let code = code(
            "  LOAD           0x000000 0x0000000000200000 0x0000000000200000 0x373968 0x373968 R   0x1000\n  \
               LOAD           0x373980 0x0000000000574980 0x0000000000574980 0x9bf880 0x9bf880 R E 0x1000\n",
        )
        .unwrap();
        assert_eq!((code.start, code.offset), (0x57_4980, -0x20_1000));
        assert!(code.contains(&0x57_4980) && !code.contains(&0x20_1000));
    }
}
