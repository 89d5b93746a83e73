//! Compiles `hello`, the program of the embedded image, to `$OUT_DIR/hello`.
//!
//! It is a program for the same target as soute, but of its own: as small as
//! the compiler makes it, static (its image has nothing else in it), and not
//! relocated at start. Cargo cannot build a binary as an input of a crate, so
//! the compiler is called directly.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=hello");

    let out = PathBuf::from(variable("OUT_DIR")).join("hello");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args([
        "--crate-name",
        "hello",
        "--crate-type",
        "bin",
        "--edition",
        "2024",
    ]);
    rustc.args(["--target", &variable("TARGET")]);
    rustc.args([
        "-C",
        "opt-level=z",
        "-C",
        "panic=abort",
        "-C",
        "lto=fat",
        "-C",
        "codegen-units=1",
    ]);
    rustc.args([
        "-C",
        "target-feature=+crt-static",
        "-C",
        "relocation-model=static",
        "-C",
        "strip=symbols",
    ]);
    // Set by Cargo where the target's linker is configured: the same one serves.
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg({
            let mut option = std::ffi::OsString::from("linker=");
            option.push(linker);
            option
        });
    }
    rustc.arg("-o").arg(&out).arg("hello/main.rs");

    match rustc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{rustc:?}: {status}")),
        Err(e) => fail(&format!("{rustc:?}: {e}")),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|e| fail(&format!("{name}: {e}")))
}

fn fail(why: &str) -> ! {
    panic!("hello cannot be compiled: {why}")
}
