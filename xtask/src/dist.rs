//! `cargo xtask dist`: what a distribution packages, in `dist/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::Endianness;
use object::elf::{PT_INTERP, PT_LOAD};
use object::read::elf::ElfFile64;

use crate::cargo::{given_soute, link_soute, root};
use crate::order;
use crate::scratch::Scratch;
use crate::shell::{self, command, output, run, step};
use crate::target::Target;

/// Shell and the name by which it finds a program's completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "soute.bash"),
    ("zsh", "_soute"),
    ("fish", "soute.fish"),
];

/// As much of a file as the kernel maps around a page that is touched, in bytes (`fault_around_bytes`).
const PIECE: u64 = 64 << 10;

/// Builds the release binary and lets it write its own manual and completions.
pub fn make() -> Result<()> {
    let built = executable()?;
    check_static(&fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?)?;
    let dist = root().join("dist");
    let (man, completions) = (dist.join("man"), dist.join("completions"));
    for folder in [&man, &completions] {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let binary = dist.join("soute");
    // Renamed into place: a soute that runs from here keeps its own file.
    let partial = dist.join("soute.partial");
    fs::copy(&built, &partial).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, &binary)?;
    let program = binary.to_str().context("the project's path is not UTF-8")?;
    run(command(program, ["man"]).arg(&man))?;
    for (shell, name) in COMPLETIONS {
        let text = output(&mut command(program, ["completion", shell]))?;
        fs::write(completions.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(root().join(license), dist.join(license))?;
    }
    report(&dist, &binary)
}

/// Builds the executable as it is packaged: its functions and constants in the order in which a container's start comes to
/// them. One that `SOUTE_BIN` names is taken as it is.
pub fn executable() -> Result<PathBuf> {
    if let Some(given) = given_soute()? {
        return Ok(given);
    }
    let target = Target::of_package()?;
    let link = |flags: &[&str]| link_soute("release", target.name, flags);
    if !shell::is_root()? || !order::KNOWS_THIS_MACHINE {
        println!(
            "functions and constants stay in the linker's own order: only root on x86-64 can watch a start"
        );
        step("build");
        return link(&[]);
    }
    let scratch = Scratch::new("link")?;
    let in_scratch = |name: &str| scratch.path().join(name);
    step("build");
    let map = in_scratch("map");
    let with_symbols = link(&[
        "-Cstrip=none",
        &target.linker_option("--emit-relocs"),
        &target.linker_option(format_args!("-Map={}", map.display())),
    ])?;
    step("order of functions and constants");
    let order = match order::of_first_use(&with_symbols, &map) {
        Ok(order) => order,
        Err(why) => {
            println!("functions and constants stay in the linker's own order: {why:#}");
            return link(&[]);
        }
    };
    step("build in this order");
    let (functions, constants) = (in_scratch("functions"), in_scratch("constants.ld"));
    fs::write(&functions, order.functions)?;
    fs::write(&constants, order.constants)?;
    let ordered = link(&[
        &target.linker_option(format_args!(
            "--symbol-ordering-file={}",
            functions.display()
        )),
        // What the linker has thrown away since, or knows by other names.
        &target.linker_option("--no-warn-symbol-ordering"),
        &target.linker_option(format_args!("--script={}", constants.display())),
        // The kernel's pieces of the file are pieces of memory then, none in two.
        &target.linker_option(format_args!("-zmax-page-size={PIECE}")),
    ])?;
    check_pieces(&fs::read(&ordered)?)?;
    Ok(ordered)
}

fn report(dist: &Path, binary: &Path) -> Result<()> {
    let bytes = fs::metadata(binary)?.len();
    let pages = fs::read_dir(dist.join("man"))?.count();
    if pages == 0 {
        bail!("soute man wrote no page");
    }
    println!(
        "{}: {} KiB, static; {pages} man pages; {} completions",
        binary.display(),
        bytes / 1024,
        COMPLETIONS.len()
    );
    Ok(())
}

/// # Errors
/// A segment of `file` begins in the midst of a piece: of an option that it does not know, the linker says nothing that is heard.
fn check_pieces(file: &[u8]) -> Result<()> {
    let elf: ElfFile64<'_, Endianness> = ElfFile64::parse(file)?;
    let mut headers = elf.elf_program_headers().iter();
    let endian = elf.endian();
    if headers
        .any(|header| header.p_type.get(endian) == PT_LOAD && header.p_align.get(endian) < PIECE)
    {
        bail!("the linker did not align the segments to {PIECE} bytes");
    }
    Ok(())
}

/// # Errors
/// `file` asks for an interpreter (elf(5), `PT_INTERP`): it would need the libraries of the machine it was built on.
fn check_static(file: &[u8]) -> Result<()> {
    let elf: ElfFile64<'_, Endianness> = ElfFile64::parse(file)?;
    let mut headers = elf.elf_program_headers().iter();
    if headers.any(|header| header.p_type.get(elf.endian()) == PT_INTERP) {
        bail!("the binary is not static: it names an interpreter");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_and_a_part_that_is_not_aligned_are_found() {
        // A header, and one program header behind it.
        let mut elf = vec![0; 64 + 56];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (elf[20], elf[32], elf[52], elf[54], elf[56]) = (1, 64, 64, 56, 1);
        elf[64] = 1;
        check_static(&elf).unwrap();
        // A part that is aligned to nothing.
        assert!(
            check_pieces(&elf)
                .unwrap_err()
                .to_string()
                .contains("align")
        );
        elf[64 + 48..][..8].copy_from_slice(&PIECE.to_le_bytes());
        check_pieces(&elf).unwrap();
        elf[64] = 3;
        assert!(
            check_static(&elf)
                .unwrap_err()
                .to_string()
                .contains("interpreter")
        );
        assert!(check_static(&elf[..65]).is_err());
        assert!(check_static(b"#!/bin/sh").is_err());
    }
}
