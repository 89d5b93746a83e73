//! Where in its hierarchies a cgroup is.

use std::fmt;

use super::CgroupError;

/// A path below the mount points of all hierarchies, checked: absolute, at
/// least one component, none of them `.` or `..`, nothing that the kernel's
/// line-based files could misread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPath(String);

impl CgroupPath {
    /// Checks `path` (`/soute/<id>`). A path with `..` would let `--cgroup-parent`
    /// name a folder outside the cgroup filesystem, and is refused.
    pub fn new(path: &str) -> Result<Self, CgroupError> {
        let bad = |why| CgroupError::Path {
            path: path.to_owned(),
            why,
        };
        let rest = path
            .strip_prefix('/')
            .ok_or_else(|| bad("it does not begin with \"/\""))?;
        if rest.is_empty() {
            return Err(bad("it names the root"));
        }
        if path.len() > 2048 {
            return Err(bad("it is longer than 2048 bytes"));
        }
        for part in rest.split('/') {
            match part {
                "" => return Err(bad("it has an empty component")),
                "." | ".." => return Err(bad("it has a component \".\" or \"..\"")),
                _ if part.len() > 255 => return Err(bad("a component is longer than 255 bytes")),
                // cgroup(7): such names collide with the interface files.
                _ if part.starts_with("cgroup.") => {
                    return Err(bad(
                        "a component begins with \"cgroup.\", as the kernel's own files do",
                    ));
                }
                _ if part.bytes().any(|b| b.is_ascii_control() || b == b'\\') => {
                    return Err(bad("a component has a control character or a backslash"));
                }
                _ => {}
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The path, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The paths of all ancestors below the root, outermost first; not the path itself.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0
            .char_indices()
            .skip(1)
            .filter(|&(_, c)| c == '/')
            .map(|(at, _)| &self.0[..at])
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_escape_or_confuse_are_refused() {
        for bad in [
            "",
            "/",
            "soute/x",
            "/soute/../x",
            "/..",
            "/soute/./x",
            "/soute//x",
            "/soute/",
            "/a\nb",
            "/a\0b",
            "/cgroup.procs",
            "/a\\b",
        ] {
            assert!(CgroupPath::new(bad).is_err(), "{bad:?}");
        }
        for good in ["/soute", "/soute/0123abcd", "/a.slice/b..c"] {
            assert!(CgroupPath::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn ancestors_outermost_first() {
        let path = CgroupPath::new("/a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["/a", "/a/b"]);
        assert_eq!(CgroupPath::new("/a").unwrap().ancestors().count(), 0);
    }
}
