//! Where a mount shows up in the container.

/// `text` as an absolute path without `.`, `..`, double or trailing slashes;
/// cleaned as text, since no link in the container is followed before it is
/// resolved inside its root.
pub fn clean(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("'{text}': a mount's target is an absolute path"));
    }
    if text.contains('\0') {
        return Err("a mount's target cannot contain a zero byte".to_owned());
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => Err(format!(
            "'{text}': the root itself cannot be a mount's target"
        )),
        false => Ok(format!("/{}", parts.join("/"))),
    }
}

/// The name of a volume: Docker's rule, two characters at least.
pub fn volume_name(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let sound = text.len() > 1
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    match sound {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "'{text}' is not a volume's name ([a-zA-Z0-9][a-zA-Z0-9_.-]+), and a path of the machine must be absolute or start with '.'"
        )),
    }
}

/// Checks a propagation's name (mount(8), shared subtree operations).
pub fn propagation(text: &str) -> Result<String, String> {
    match text {
        "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" => Ok(text.to_owned()),
        _ => Err(format!(
            "'{text}' is not a propagation (shared, slave, private, rshared, rslave, rprivate)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_cleaned() {
        for (text, cleaned) in [
            ("/x", "/x"),
            ("/x/", "/x"),
            ("//a/./b/../c", "/a/c"),
            ("/../x", "/x"),
        ] {
            assert_eq!(clean(text).as_deref(), Ok(cleaned));
        }
        for text in ["", "x", "./x", "/", "//", "/x/..", "/\0"] {
            assert!(clean(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn volume_names_are_checked() {
        for text in ["data", "a1", "A_.-z"] {
            assert!(volume_name(text).is_ok(), "{text}");
        }
        for text in ["", "a", ".a", "-a", "_a", "a/b", "a b", "é1"] {
            assert!(volume_name(text).is_err(), "{text}");
        }
    }
}
