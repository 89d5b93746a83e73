//! Where an executable's functions are, in memory and in the file, and what they refer to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use object::elf;
use object::read::{Object as _, ObjectSection as _, ObjectSymbol as _};
use object::{Endianness, RelocationKind, RelocationTarget, SymbolKind};

type File<'data> = object::read::elf::ElfFile64<'data, Endianness>;

/// int3, which stops a traced process behind it.
const BREAKPOINT: u8 = 0xcc;

/// Of the compiler's own crtbegin.o, which runs in every program, and tells no size.
const OF_EVERY_PROGRAM: &str = "frame_dummy";

/// An executable that was linked with its symbols and its relocations.
pub struct Program {
    file: Vec<u8>,
    code: Code,
    functions: BTreeMap<u64, Function>,
    /// Where in memory something is referred to, and what, in their order.
    references: Vec<(u64, u64)>,
}

/// What is executed.
struct Code {
    memory: Range<u64>,
    /// Where it begins in the file.
    offset: u64,
}

#[derive(Default)]
struct Function {
    size: u64,
    names: Vec<String>,
}

impl Program {
    /// # Errors
    /// It cannot be read, or nothing in it is executed.
    pub fn read(executable: &Path) -> Result<Self> {
        let bytes = std::fs::read(executable)
            .with_context(|| format!("cannot read {}", executable.display()))?;
        let file = File::parse(&*bytes)?;
        let code = code(&file)?;
        let functions = functions(&file, &code)?;
        let references = references(&file)?;
        Ok(Self {
            code,
            functions,
            references,
            file: bytes,
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
        let function = self.functions.get(&address);
        let names = function.into_iter().flat_map(|function| &function.names);
        names.map(String::as_str)
    }

    /// Where the function at an address lies.
    pub fn function(&self, address: u64) -> Range<u64> {
        let function = self.functions.get(&address);
        address..address + function.map_or(0, |function| function.size)
    }

    /// The addresses that are referred to from somewhere in `from`.
    pub fn referred_to(&self, from: Range<u64>) -> impl Iterator<Item = u64> {
        let first = self
            .references
            .partition_point(|&(place, _)| place < from.start);
        let behind = self.references[first..].iter();
        behind
            .take_while(move |&&(place, _)| place < from.end)
            .map(|&(_, target)| target)
    }

    fn place(&self, address: u64) -> usize {
        (address - self.code.memory.start + self.code.offset) as usize
    }
}

fn code(file: &File<'_>) -> Result<Code> {
    let endian = file.endian();
    let executed = file.elf_program_headers().iter().find(|header| {
        header.p_type.get(endian) == elf::PT_LOAD && header.p_flags.get(endian).contains(elf::PF_X)
    });
    let executed = executed.context("no segment is executed")?;
    let start = executed.p_vaddr.get(endian);
    Ok(Code {
        memory: start..start + executed.p_filesz.get(endian),
        offset: executed.p_offset.get(endian),
    })
}

fn functions(file: &File<'_>, code: &Code) -> Result<BTreeMap<u64, Function>> {
    let mut functions: BTreeMap<u64, Function> = BTreeMap::new();
    for symbol in file.symbols() {
        let name = symbol.name()?;
        let is_function =
            symbol.kind() == SymbolKind::Text && (symbol.size() > 0 || name == OF_EVERY_PROGRAM);
        if is_function && code.memory.contains(&symbol.address()) {
            let function = functions.entry(symbol.address()).or_default();
            function.size = function.size.max(symbol.size());
            function.names.push(name.to_owned());
        }
    }
    Ok(functions)
}

/// What the linker was asked to leave in the file (`--emit-relocs`).
fn references(file: &File<'_>) -> Result<Vec<(u64, u64)>> {
    let mut references = Vec::new();
    // What is in memory: debuggers' sections are not.
    for section in file.sections().filter(|section| section.address() != 0) {
        for (place, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(symbol)?;
            let target = symbol.address().wrapping_add_signed(relocation.addend());
            // Where it is relative, it counts from the end of the instruction, whose last four bytes it mostly is.
            let target = match relocation.kind() {
                RelocationKind::Absolute => target,
                RelocationKind::Relative
                | RelocationKind::PltRelative
                | RelocationKind::GotRelative => target.wrapping_add(4),
                _ => continue,
            };
            references.push((place, target));
        }
    }
    references.sort_unstable();
    Ok(references)
}
