//! Names of users and groups that a container has, for tools that bring none.
//!
//! Names and numbers alone: a home among the container's files would have a shell run what lies there (`~/.bashrc`).

use crate::process::user::entries;

/// As many as are read of a line of passwd(5) or group(5).
const FIELDS: usize = 4;

/// The container's passwd(5) for the machine's programs, with root if it has none.
pub(super) fn passwd(theirs: &str) -> String {
    with_root(theirs, "root:x:0:0::/root:/bin/sh\n", |fields| {
        let [name, _, uid, gid, ..] = fields else {
            return None;
        };
        let (uid, gid) = (number(uid)?, number(gid)?);
        let home = if uid == 0 { "/root" } else { "/" };
        Some((uid, format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n")))
    })
}

/// The container's group(5) likewise.
pub(super) fn group(theirs: &str) -> String {
    with_root(theirs, "root:x:0:\n", |fields| {
        let [name, _, gid, members, ..] = fields else {
            return None;
        };
        let gid = number(gid)?;
        let members = members.split(',').filter(|member| is_name(member));
        let members = members.collect::<Vec<_>>().join(",");
        Some((gid, format!("{name}:x:{gid}:{members}\n")))
    })
}

/// The lines that `line` makes of fields, each with its number; `root` comes first if none has the number 0.
fn with_root(theirs: &str, root: &str, line: impl Fn(&[&str]) -> Option<(u32, String)>) -> String {
    let named = entries(theirs, FIELDS).filter(|fields| is_name(fields[0]));
    let lines: Vec<_> = named.filter_map(|fields| line(&fields)).collect();
    let has_root = lines.iter().any(|(number, _)| *number == 0);
    let mut all = if has_root { "" } else { root }.to_owned();
    all.extend(lines.into_iter().map(|(_, line)| line));
    all
}

/// A number as the kernel has it, which 2^32-1 is not.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number < u32::MAX)
}

/// Nothing that a terminal or a program could take for something else.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@$-".contains(&byte);
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_all_that_is_taken() {
        let theirs = "root:hash:0:0:Root:/container/h:/container/sh\nweb:x:33:34:::\n\
                      \x1b[2J:x:1:1:::\n-x:x:2:2:::\nodd:x:-1:0:::\nnone:x:4294967295:0:::\nshort:x\n\nwide:x:7:8:a:b:c:d:e\n";
        let expected = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\nwide:x:7:8::/:/bin/sh\n";
        assert_eq!(passwd(theirs), expected);
        let theirs = "root:x:0:\ntty:x:5:root,\x1b[2J,web\nshort:x:1\nodd:x:y:\n";
        assert_eq!(group(theirs), "root:x:0:\ntty:x:5:root,web\n");
    }

    #[test]
    fn there_is_a_root() {
        assert_eq!(passwd(""), "root:x:0:0::/root:/bin/sh\n");
        assert_eq!(group("a:x:1:\n"), "root:x:0:\na:x:1:\n");
    }
}
