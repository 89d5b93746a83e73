//! The house rules that no compiler checks: dependencies point one way,
//! unsafe code is in `sys` alone, the engine runs no other program, no file
//! outgrows its reader, and what the documents name is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{cargo, documents};

/// Which crates of the house a crate may use, those for its tests included.
const MAY_USE: &[(&str, &[&str])] = &[
    ("soute-sys", &[]),
    ("soute-lens", &["soute-sys", "soute-network"]),
    ("soute-runtime", &["soute-sys"]),
    ("soute-image", &["soute-sys"]),
    ("soute-network", &["soute-sys"]),
    (
        "soute-engine",
        &["soute-sys", "soute-runtime", "soute-image", "soute-network"],
    ),
    (
        "soute",
        &[
            "soute-sys",
            "soute-runtime",
            "soute-image",
            "soute-network",
            "soute-engine",
            "soute-lens",
        ],
    ),
    // The tests see what a user sees: the binary.
    ("soute-tests", &[]),
    ("xtask", &[]),
];

/// The one crate with unsafe code.
const UNSAFE: &str = "soute-sys";

/// The crates that run no other program: what is on the machine's path is not known, and what is on a
/// container's is hostile (CVE-2019-14271).
const ALONE: &[&str] = &[
    "soute-sys",
    "soute-runtime",
    "soute-image",
    "soute-lens",
    "soute-network",
    "soute-engine",
];

/// Files longer than this have a second thing in them.
const LONGEST_FILE: usize = 800;

/// Checks all rules; the error lists every breach.
pub fn check() -> Result<()> {
    let metadata = cargo::metadata()?;
    let packages = packages(&metadata)?;
    let mut breaches = dependency_breaches(&packages);
    for package in &packages {
        let manifest = std::fs::read_to_string(&package.manifest)?;
        if package.name != UNSAFE && !inherits_lints(&manifest) {
            breaches.push(format!(
                "{}: no `[lints] workspace = true`, so unsafe code is not forbidden",
                package.name
            ));
        }
        for file in sources(
            package
                .manifest
                .parent()
                .context("a manifest without a folder")?,
        )? {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let shown = file.strip_prefix(cargo::root()).unwrap_or(&file).display();
            if package.name != UNSAFE
                && let Some(line) = unsafe_line(&text)
            {
                breaches.push(format!("{shown}:{line}: unsafe code outside {UNSAFE}"));
            }
            if ALONE.contains(&package.name.as_str())
                && shown.to_string().contains("/src/")
                && let Some(line) = command_line(&text)
            {
                breaches.push(format!("{shown}:{line}: starts another program"));
            }
            if text.lines().count() > LONGEST_FILE {
                breaches.push(format!(
                    "{shown}: {} lines; {LONGEST_FILE} at most",
                    text.lines().count()
                ));
            }
        }
    }
    breaches.extend(documents::check()?);
    if !breaches.is_empty() {
        bail!(
            "the architecture does not hold:\n  {}",
            breaches.join("\n  ")
        );
    }
    Ok(())
}

struct Package {
    name: String,
    manifest: PathBuf,
    uses: Vec<String>,
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .context("cargo metadata lacks a name")
    };
    let list = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    list.iter()
        .map(|package| {
            let uses = package["dependencies"]
                .as_array()
                .context("cargo metadata lists no dependencies")?;
            Ok(Package {
                name: text(&package["name"])?,
                manifest: PathBuf::from(text(&package["manifest_path"])?),
                uses: uses
                    .iter()
                    .map(|used| text(&used["name"]))
                    .collect::<Result<_>>()?,
            })
        })
        .collect()
}

fn dependency_breaches(packages: &[Package]) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let mut breaches = Vec::new();
    for package in packages {
        let Some(allowed) = rules.get(package.name.as_str()) else {
            breaches.push(format!(
                "{}: a new crate; say in xtask what it may use",
                package.name
            ));
            continue;
        };
        for used in package.uses.iter().filter(|used| ours(used)) {
            if !allowed.contains(&used.as_str()) {
                breaches.push(format!("{} must not use {used}", package.name));
            }
        }
    }
    breaches
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1);
    lines.next() == Some("workspace = true")
}

/// The first line (from 1) with unsafe code. Rough on purpose: the compiler
/// forbids it precisely; this sees that nobody allowed it in between.
fn unsafe_line(text: &str) -> Option<usize> {
    let word = ["un", "safe"].concat();
    let forms = ["{", "fn", "impl", "extern", "trait"].map(|next| format!("{word} {next}"));
    let allowed = [
        format!("allow({word}"),
        format!("expect({word}"),
        format!("#[{word}("),
    ];
    text.lines()
        .position(|line| {
            let line = line.trim();
            let comment = line.starts_with("//");
            !comment
                && forms
                    .iter()
                    .chain(&allowed)
                    .any(|form| line.contains(form.as_str()))
        })
        .map(|index| index + 1)
}

/// The first line (from 1) that starts another program, outside tests.
fn command_line(text: &str) -> Option<usize> {
    let production = text.split("#[cfg(test)]").next().unwrap_or_default();
    let line = production
        .lines()
        .position(|line| line.contains("process::Command"))?;
    let module_of_tests = text.contains("#[test]") && !text.contains("#[cfg(test)]");
    (!module_of_tests).then_some(line + 1)
}

/// All Rust files of a package's folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            // A package below this one answers for itself.
            if !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                found.extend(sources(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        let uses = uses.iter().map(|used| (*used).to_owned()).collect();
        Package {
            name: name.into(),
            manifest: PathBuf::new(),
            uses,
        }
    }

    #[test]
    fn the_tree_keeps_its_rules() {
        check().unwrap();
    }

    #[test]
    fn a_dependency_upwards_is_a_breach() {
        let tree = [
            package("soute-sys", &["soute-engine", "libc"]),
            package("soute-engine", &["soute-sys"]),
        ];
        assert_eq!(
            dependency_breaches(&tree),
            ["soute-sys must not use soute-engine"]
        );
    }

    #[test]
    fn a_crate_without_a_rule_is_a_breach() {
        assert_eq!(dependency_breaches(&[package("soute-extra", &[])]).len(), 1);
    }

    #[test]
    fn unsafe_code_is_seen_and_comments_are_not() {
        let block = format!("fn f() {{\n    {} {{ g() }}\n}}", ["un", "safe"].concat());
        assert_eq!(unsafe_line(&block), Some(2));
        assert_eq!(unsafe_line(&block.replace("    un", "    // un")), None);
        assert_eq!(
            unsafe_line(&format!("#![allow({}_code)]", ["un", "safe"].concat())),
            Some(1)
        );
    }

    #[test]
    fn a_program_started_outside_tests_is_seen() {
        let line = "use std::process::Command;\n";
        assert_eq!(command_line(&format!("//! Doc.\n{line}")), Some(2));
        assert_eq!(
            command_line(&format!(
                "fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{line}}}"
            )),
            None
        );
        assert_eq!(command_line(&format!("{line}#[test]\nfn f() {{}}")), None);
    }

    #[test]
    fn lints_are_inherited_only_by_the_full_form() {
        assert!(inherits_lints(
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"
        ));
        assert!(!inherits_lints("[lints]\nworkspace = false\n"));
        assert!(!inherits_lints("[package]\n"));
    }
}
