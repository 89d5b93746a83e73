//! The kernel's version, as far as profiles ask for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Major and minor version: 6.1 for `6.1.0-37-amd64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelVersion {
    major: u32,
    minor: u32,
}

/// Text that is no kernel version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a kernel version such as \"4.8\"")]
pub struct VersionError(String);

impl KernelVersion {
    /// `major.minor`
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// That of the running kernel (uname(2)).
    pub fn current() -> Result<Self, VersionError> {
        let uname = rustix::system::uname();
        Self::of_release(&uname.release().to_string_lossy())
    }

    /// Reads the two leading numbers of a release: `6.1.0-37-amd64`, `5.10-rc3`.
    pub fn of_release(release: &str) -> Result<Self, VersionError> {
        let parse = || {
            let (major, rest) = release.split_once('.')?;
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            Some(Self::new(number(major)?, number(&rest[..digits])?))
        };
        parse().ok_or_else(|| VersionError(release.to_owned()))
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

impl FromStr for KernelVersion {
    type Err = VersionError;

    /// `major.minor`, nothing more.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parse = || {
            let (major, minor) = text.split_once('.')?;
            Some(Self::new(number(major)?, number(minor)?))
        };
        parse().ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl TryFrom<String> for KernelVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<KernelVersion> for String {
    fn from(version: KernelVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (release, version) in [
            ("6.1.0-37-amd64", KernelVersion::new(6, 1)),
            ("5.10-rc3", KernelVersion::new(5, 10)),
            ("3.12-1-amd64", KernelVersion::new(3, 12)),
            ("6.18.5", KernelVersion::new(6, 18)),
            ("4.8", KernelVersion::new(4, 8)),
        ] {
            assert_eq!(KernelVersion::of_release(release), Ok(version));
        }
        for bad in [
            "",
            "6",
            "six.one",
            "6.",
            ".1",
            "6.x",
            "99999999999.1",
            "-1.2",
        ] {
            assert!(KernelVersion::of_release(bad).is_err(), "{bad}");
        }
        assert!(KernelVersion::current().unwrap() >= KernelVersion::new(4, 0));
    }

    #[test]
    fn order_and_text() {
        assert!(KernelVersion::new(4, 10) > KernelVersion::new(4, 8));
        assert!(KernelVersion::new(5, 0) > KernelVersion::new(4, 20));
        assert_eq!("4.8".parse(), Ok(KernelVersion::new(4, 8)));
        for bad in ["4", "4.8.1", "4.8-rc1", "+4.8", ""] {
            assert!(bad.parse::<KernelVersion>().is_err(), "{bad}");
        }
        assert_eq!(KernelVersion::new(4, 8).to_string(), "4.8");
    }
}
