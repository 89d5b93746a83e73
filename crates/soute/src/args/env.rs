//! `--env`, `--env-file`, `--label` and `--label-file`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::outside::Outside;

/// Files first, then flags, each in order, as Docker has it: the later wins.
///
/// Each is `NAME=VALUE`, or a bare `NAME` that is to be removed.
pub fn environment(
    files: &[PathBuf],
    flags: Vec<String>,
    outside: &dyn Outside,
) -> Result<Vec<String>> {
    let mut environment = Vec::new();
    for path in files {
        for line in lines(path, "--env-file", outside)? {
            match line.split_once('=') {
                Some(_) => environment.push(line),
                // A bare name in a file is passed on from the caller, and left out if the caller has none.
                None => environment.extend(from_caller(&line, outside)?),
            }
        }
    }
    for flag in flags {
        match flag.split_once('=') {
            _ if flag.contains('\0') => bail!("--env: a variable cannot contain a zero byte"),
            Some(("", _)) => bail!("--env: '{flag}' has no name"),
            None if flag.is_empty() => bail!("--env: a variable needs a name"),
            Some(_) => environment.push(flag),
            None => {
                let passed = from_caller(&flag, outside)?;
                environment.push(passed.unwrap_or(flag));
            }
        }
    }
    Ok(environment)
}

/// `--label-file` first, then `--label`; a label without `=` is empty.
pub fn labels(
    files: &[PathBuf],
    flags: Vec<String>,
    outside: &dyn Outside,
) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for path in files {
        labels.extend(lines(path, "--label-file", outside)?.into_iter().map(pair));
    }
    for flag in flags {
        let (name, value) = pair(flag);
        if name.is_empty() {
            bail!("--label: '={value}' has no name");
        }
        labels.insert(name, value);
    }
    Ok(labels)
}

fn pair(text: String) -> (String, String) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text, String::new()),
    }
}

fn from_caller(name: &str, outside: &dyn Outside) -> Result<Option<String>> {
    match outside.variable(name).map(|value| value.into_string()) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(format!("{name}={value}"))),
        Some(Err(_)) => bail!("the environment variable {name} is not UTF-8"),
    }
}

/// The lines of a file of `NAME=VALUE`: neither empty nor comments, names free of blanks.
fn lines(path: &Path, flag: &str, outside: &dyn Outside) -> Result<Vec<String>> {
    let place = || format!("{flag} {}", path.display());
    let text = outside.read(path).with_context(place)?;
    let mut lines = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        let complain = |what: &str| format!("{}, line {}: {what}", place(), number + 1);
        if name.is_empty() {
            bail!(complain("no name before '='"));
        }
        if name.contains(char::is_whitespace) {
            bail!(complain(&format!("the name '{name}' contains a blank")));
        }
        if line.contains('\0') {
            bail!(complain("contains a zero byte"));
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::outside::tests::Pretended;
    use super::*;

    fn outside() -> Pretended {
        Pretended {
            variables: [("HOME", "/home/bob"), ("EMPTY", "")].into(),
            files: [
                (
                    "a",
                    "\u{feff}# comment\n\n  A=1\nB=two words # kept\r\nHOME\nNONE\nC=\n",
                ),
                ("blank", "A B=1\n"),
                ("nameless", "A=1\n=2\n"),
            ]
            .into(),
            ..Pretended::default()
        }
    }

    #[test]
    fn files_come_first_and_bare_names_come_from_the_caller() {
        let flags = ["X=y=z", "HOME", "EMPTY", "NONE", "Y="]
            .map(String::from)
            .to_vec();
        assert_eq!(
            environment(&["a".into()], flags, &outside()).unwrap(),
            [
                "A=1",
                "B=two words # kept",
                "HOME=/home/bob",
                "C=",
                "X=y=z",
                "HOME=/home/bob",
                "EMPTY=",
                "NONE",
                "Y="
            ]
        );
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (files, flags, complaint) in [
            (
                vec!["blank"],
                vec![],
                "--env-file blank, line 1: the name 'A B' contains a blank",
            ),
            (
                vec!["nameless"],
                vec![],
                "--env-file nameless, line 2: no name before '='",
            ),
            (vec!["missing"], vec![], "--env-file missing"),
            (vec![], vec!["=x"], "--env: '=x' has no name"),
            (vec![], vec![""], "--env: a variable needs a name"),
        ] {
            let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
            let flags = flags.into_iter().map(String::from).collect();
            let error = environment(&files, flags, &outside()).unwrap_err();
            assert_eq!(error.to_string(), complaint);
        }
    }

    #[test]
    fn labels_may_be_bare() {
        let flags = ["k=v=w", "bare"].map(String::from).to_vec();
        let labels = labels(&["a".into()], flags, &outside()).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words # kept"),
            ("C", ""),
            ("HOME", ""),
            ("NONE", ""),
            ("bare", ""),
            ("k", "v=w"),
        ];
        assert_eq!(
            labels,
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
        assert!(super::labels(&[], vec!["=x".into()], &outside()).is_err());
    }
}
