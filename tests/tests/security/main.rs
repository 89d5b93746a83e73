//! Attacks, played on the real binary.
//!
//! Each test is an attack of a hostile image or of a hostile process in a
//! container, most of them from published advisories, and names the line that
//! defends against it: take that out, and the test fails.
//! docs/threat-model.md lists them, with what is not defended.
#![expect(
    clippy::disallowed_methods,
    reason = "modes of files of the tests' own, which nobody exchanges"
)]

mod attack;
mod depth;
mod descriptors;
mod devices;
mod early;
mod executable;
mod folders;
mod foreign_code;
mod keyring;
mod labels;
mod links;
mod network;
mod passwd;
mod peeking;
mod privileges;
mod root;
mod setuid;
mod sysctls;
mod system_files;
mod terminal;
mod volumes;
mod working_directory;

/// The threat model names tests that are there, and leaves none out.
#[test]
fn the_threat_model_names_them() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = folder.join("../docs/threat-model.md");
    let model = std::fs::read_to_string(model).unwrap();
    let mut named: Vec<String> = model
        .split('`')
        .filter(|quoted| quoted.contains("::"))
        .filter(|quoted| {
            quoted
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b":_".contains(&b))
        })
        .filter(|quoted| *quoted != "module::test")
        .map(str::to_owned)
        .collect();
    let mut there = functions(&folder.join("tests/security"), "", ("#[test]\nfn ", "()"));
    let cases = functions(
        &folder.join("tests/oci/attacks"),
        "oci::attacks::",
        ("\nfn ", "(bench: &mut Bench) {"),
    );
    there.extend(cases);
    // Some cases are of attacks in a module of something else.
    let mut elsewhere = functions(
        &folder.join("tests/oci"),
        "oci::",
        ("\nfn ", "(bench: &mut Bench) {"),
    );
    elsewhere.extend(functions(
        &folder.join("tests/network"),
        "",
        ("#[test]\nfn ", "()"),
    ));
    named.retain(|name| name.starts_with("oci::attacks::") || !elsewhere.contains(name));
    // Modules, all of whose cases are meant.
    named.retain(|name| !matches!(name.as_str(), "oci::killed" | "oci::slow"));
    // Of soute itself, not of an attack on it.
    there.retain(|test| test != "executable::a_sealed_command_still_has_its_input");
    named.sort();
    named.dedup();
    there.sort();
    assert_eq!(named, there);
}

/// The functions in the files of a folder that begin and go on like that.
fn functions(folder: &std::path::Path, prefix: &str, (before, after): (&str, &str)) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() || ["main", "mod"].contains(&module) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let functions = text
            .split(before)
            .skip(1)
            .filter_map(|rest| rest.split_once(after));
        found.extend(
            functions
                .filter(|(name, _)| !name.contains('('))
                .map(|(name, _)| format!("{prefix}{module}::{name}")),
        );
    }
    found
}
