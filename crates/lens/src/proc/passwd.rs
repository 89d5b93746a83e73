//! Names of users, from a passwd(5) file.
//!
//! A static program cannot ask the C library, which would load NSS modules
//! at run time; users known to a directory service alone keep their number.

use std::collections::HashMap;
use std::path::Path;

use super::number;

/// User names by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// The users in /etc/passwd; none where it cannot be read.
    pub fn of_machine() -> Self {
        Self::parse(&std::fs::read(Path::new("/etc/passwd")).unwrap_or_default())
    }

    /// Parses the text of a passwd(5) file. The first of several names of a number counts, as in getpwuid(3). A line that
    /// is none of that form names nobody.
    pub fn parse(text: &[u8]) -> Self {
        let mut users = HashMap::new();
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b':');
            let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let (Ok(name), Some(uid)) = (std::str::from_utf8(name), number(uid)) else {
                continue;
            };
            // `+` and `-` lines are nsswitch's compat syntax, not names.
            if !name.is_empty() && !name.starts_with(['+', '-', '#']) {
                users.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self(users)
    }

    /// The name of user `uid`, or else the number.
    pub fn name(&self, uid: u32) -> String {
        self.0.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_get_their_first_name() {
        let users = Users::parse(
            b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0:::\n+::::::\nbad:x:no\n\n\xff:x:5\nbob:x:1000:",
        );
        assert_eq!(users.name(0), "root");
        assert_eq!(users.name(1000), "bob");
        assert_eq!(users.name(5), "5");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Users::parse(&bytes);
        }
    }
}
