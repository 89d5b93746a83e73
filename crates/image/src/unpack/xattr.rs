//! Which extended attributes an image may bring.

use super::Problem;

/// Longest name (xattr(7)).
const LONGEST_NAME: usize = 255;
/// Largest value (xattr(7)).
const LARGEST_VALUE: usize = 65536;

/// Refuses what would speak to overlay, or to a security module, in the engine's name.
///
/// `trusted.overlay.*` (and, on mounts with `userxattr`, `user.overlay.*`)
/// are how overlay keeps its own state: an image that could set `redirect` or
/// `metacopy` would choose which lower file a name leads to.
pub(super) fn check(name: &str, value: &[u8]) -> Result<(), Problem> {
    let refuse = |reason| Err(Problem::Xattr(name.to_owned(), reason));
    if name.len() > LONGEST_NAME || name.contains('\0') {
        return refuse("the name is too long or has a NUL");
    }
    if value.len() > LARGEST_VALUE {
        return refuse("the value is larger than 64 KiB");
    }
    if name.starts_with("user.overlay.") || name.starts_with("trusted.") {
        return refuse("this name is reserved for the overlay file system and the machine");
    }
    match name {
        "security.capability" | "system.posix_acl_access" | "system.posix_acl_default" => Ok(()),
        _ if name.len() > "user.".len() && name.starts_with("user.") => Ok(()),
        _ => refuse("an image may have only user.*, security.capability and POSIX ACLs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_pass() {
        for name in ["user.x", "security.capability", "system.posix_acl_access"] {
            assert!(check(name, b"v").is_ok(), "{name}");
        }
        for name in [
            "trusted.overlay.opaque",
            "trusted.overlay.redirect",
            "trusted.x",
            "user.overlay.opaque",
            "user.",
            "security.selinux",
            "security.ima",
            "",
            "user.\0",
        ] {
            assert!(check(name, b"v").is_err(), "{name}");
        }
        assert!(check("user.x", &vec![0; 65537]).is_err());
    }
}
