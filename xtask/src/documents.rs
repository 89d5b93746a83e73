//! Documents that name what is not there mislead: each relative link and each
//! path of the tree in a document must exist.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cargo::root;

/// Folders of the tree whose paths a document may name in back-quotes.
const FOLDERS: &[&str] = &["bench/", "crates/", "docs/", "fuzz/", "tests/", "xtask/"];

/// What is named and not there, in all documents.
pub fn check() -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for file in documents()? {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(root());
        let shown = file.strip_prefix(root()).unwrap_or(&file).display();
        for link in links(&text) {
            if !folder.join(link).exists() {
                breaches.push(format!("{shown}: a link to {link}, which is not there"));
            }
        }
        for path in paths(&text) {
            if !root().join(&path).exists() {
                breaches.push(format!("{shown}: names {path}, which is not there"));
            }
        }
    }
    Ok(breaches)
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/decisions", "fuzz"].map(|folder| root().join(folder)) {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The targets of `[text](target)` that are files of the tree.
fn links(text: &str) -> Vec<&str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let files = targets.map(|target| target.split('#').next().unwrap_or_default());
    files
        .filter(|file| !file.is_empty() && !file.contains("://"))
        .collect()
}

/// The paths in back-quotes, `a/{b,c}/d` as two.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted.filter(|quoted| FOLDERS.iter().any(|folder| quoted.starts_with(folder)))
        {
            if !path.contains([' ', '*', '<']) {
                found.extend(alternatives(path));
            }
        }
    }
    found
}

fn alternatives(path: &str) -> Vec<String> {
    let parts = path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (middle, after))) => middle
            .split(',')
            .flat_map(|word| alternatives(&format!("{before}{word}{after}")))
            .collect(),
        None => vec![path.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_paths_are_found() {
        let text = "see [a](docs/a.md#part), [b](https://example.org), [c](#here)\n| `crates/x/{y,z}.rs` | `soute run` |\n";
        assert_eq!(links(text), ["docs/a.md"]);
        assert_eq!(paths(text), ["crates/x/y.rs", "crates/x/z.rs"]);
    }
}
