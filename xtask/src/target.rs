//! The target that the packaged executable is built for.

use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::packages;
use crate::shell::{self, command, output};

/// What compiles the parts that are C for musl, of the package of that name.
const COMPILER: &str = "musl-tools";

/// A target.
pub struct Target {
    /// musl's, as rustc calls it. `None`: the one that everything else is built for, with glibc.
    pub name: Option<&'static str>,
}

impl Target {
    /// The target with musl as its C library, where it is to be had, of rustup and Debian: its programs begin as soon as they
    /// are executed. Those of a static glibc first ask the processor for all that it is, by some seventy CPUID, each of which a
    /// virtual machine must answer; on some that is an eighth of a container's start.
    pub fn of_package() -> Result<Self> {
        let glibc = |why: &str| {
            println!("the C library is glibc: {why}");
            Ok(Self { name: None })
        };
        let Some(musl) = MUSL else {
            return glibc("nothing is known of musl on this processor");
        };
        if !has_standard_library(musl)? {
            shell::step(&format!("rustup target add {musl}"));
            let added = Command::new("rustup")
                .args(["target", "add", musl])
                .env("RUSTUP_MAX_RETRIES", "1")
                .status();
            if !added.is_ok_and(|status| status.success()) {
                return glibc(&format!("rustup cannot add the target {musl}"));
            }
        }
        if let Err(why) = packages::install(&[COMPILER]) {
            return glibc(&format!("{why:#}"));
        }
        Ok(Self { name: Some(musl) })
    }

    /// The flag of rustc's by which the linker gets `option`, one word: for musl's rustc calls it itself, else through a C compiler.
    pub fn linker_option(&self, option: impl Display) -> String {
        match self.name {
            Some(_) => format!("-Clink-arg={option}"),
            None => format!("-Clink-arg=-Wl,{option}"),
        }
    }
}

/// `.cargo/config.toml` says how it is linked.
const MUSL: Option<&str> = if cfg!(target_arch = "x86_64") {
    Some("x86_64-unknown-linux-musl")
} else if cfg!(target_arch = "aarch64") {
    Some("aarch64-unknown-linux-musl")
} else {
    None
};

/// Whether the compiler has a standard library for `target`.
fn has_standard_library(target: &str) -> Result<bool> {
    let print = ["--print=target-libdir", "--target", target];
    let folder = output(&mut command("rustc", print))?;
    Ok(Path::new(folder.trim()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_linker_gets_its_options_as_they_are() {
        let musl = Target { name: MUSL };
        assert_eq!(
            musl.linker_option("--emit-relocs"),
            "-Clink-arg=--emit-relocs"
        );
        let glibc = Target { name: None };
        assert_eq!(glibc.linker_option("-Map=m"), "-Clink-arg=-Wl,-Map=m");
    }

    #[test]
    fn the_own_target_has_a_standard_library() {
        let own = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        assert!(has_standard_library(&own).unwrap());
        assert!(!has_standard_library("riscv64gc-unknown-linux-musl").unwrap());
    }
}
