//! The tests' disk: the programs, what they need, and in which order they run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::Value;

use super::base::filesystem;
use crate::cargo::{self, cargo};
use crate::shell;

/// By which the virtual machine knows the tests' disk (`tests/vm/soute-tests.service`).
const LABEL: &str = "soute-tests";

/// A program with tests in it.
pub struct Program {
    /// The package.
    pub package: &'static str,
    /// The test target, or the library whose own tests these are.
    pub target: &'static str,
    /// Only tests whose name contains one of these; empty: all.
    pub only: &'static [&'static str],
}

impl Program {
    /// With every test in it.
    pub const fn all(package: &'static str, target: &'static str) -> Self {
        Self::some(package, target, &[])
    }

    /// With some of its tests.
    pub const fn some(
        package: &'static str,
        target: &'static str,
        only: &'static [&'static str],
    ) -> Self {
        Self {
            package,
            target,
            only,
        }
    }

    /// Its name on the disk and in the verdict.
    pub fn name(&self) -> String {
        format!("{}-{}", self.package, self.target)
    }
}

/// Where cargo has put the tests' programs, by package and target.
pub type Built = BTreeMap<(String, String), PathBuf>;

/// Builds the tests: all of them, as `cargo xtask test` has done, since fewer packages want fewer features of what they depend
/// on, which would be built anew.
pub fn build(profile: &str) -> Result<Built> {
    let mut test = cargo(["test", "--no-run", "--workspace", "--profile", profile]);
    test.arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let messages = shell::output(&mut test)?;
    Ok(messages.lines().filter_map(executable).collect())
}

/// A test program that one of cargo's messages names.
fn executable(message: &str) -> Option<((String, String), PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let package = package_name(manifest)?;
    let target = message["target"]["name"].as_str()?.to_owned();
    Some(((package, target), message["executable"].as_str()?.into()))
}

/// The workspace's packages are named after their folders: `crates/runtime` is `soute-runtime`.
fn package_name(manifest: &Path) -> Option<String> {
    let folder = manifest.parent()?.file_name()?.to_str()?;
    Some(match folder {
        "soute" | "xtask" => folder.to_owned(),
        part => format!("soute-{part}"),
    })
}

/// Makes the disk as the file `image`.
pub fn make(
    image: &Path,
    programs: &[Program],
    built: &Built,
    soute: &Path,
    busybox: &Path,
    filter: Option<&str>,
) -> Result<PathBuf> {
    let folder = image.with_extension("folder");
    let place = folder.join("programs");
    std::fs::create_dir_all(&place)?;
    let copy = |from: &Path, to: PathBuf| {
        std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))
    };
    copy(&cargo::root().join("tests/vm/run"), folder.join("run"))?;
    copy(soute, folder.join("soute"))?;
    copy(busybox, folder.join("busybox.tar"))?;
    for program in programs {
        let key = (program.package.to_owned(), program.target.to_owned());
        let from = built.get(&key).with_context(|| {
            format!(
                "cargo built no tests {} of {}",
                program.target, program.package
            )
        })?;
        copy(from, place.join(program.name()))?;
    }
    std::fs::write(folder.join("list"), list(programs, filter))?;
    let image = image.with_extension("ext4");
    filesystem(&folder, &image, &["-L", LABEL])?;
    Ok(image)
}

/// A line for each program: its name and its arguments.
fn list(programs: &[Program], filter: Option<&str>) -> String {
    programs
        .iter()
        .map(|program| {
            let only = filter.as_slice();
            let only = if only.is_empty() { program.only } else { only };
            format!("{} --test-threads=4 {}\n", program.name(), only.join(" "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_name_the_programs() {
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/runtime/Cargo.toml",
            "target":{"name":"cgroups","kind":["test"]},"profile":{"test":true},"executable":"/t/cgroups-1"}"#;
        let (key, path) = executable(message).unwrap();
        assert_eq!(key, ("soute-runtime".to_owned(), "cgroups".to_owned()));
        assert_eq!(path, Path::new("/t/cgroups-1"));
        let library = message.replace(r#""test":true"#, r#""test":false"#);
        assert_eq!(executable(&library), None);
    }

    #[test]
    fn a_filter_takes_the_place_of_a_programs_own() {
        let programs = [Program::some("soute-tests", "run", &["a::", "b::"])];
        assert_eq!(
            list(&programs, None),
            "soute-tests-run --test-threads=4 a:: b::\n"
        );
        assert_eq!(
            list(&programs, Some("c")),
            "soute-tests-run --test-threads=4 c\n"
        );
    }
}
