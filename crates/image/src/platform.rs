//! Which operating system and processor an image is for.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// `os/architecture[/variant]`, in Go's names (`linux/amd64`, `linux/arm/v7`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`; nothing else runs here.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`, `v8`, …; `None`: any.
    pub variant: Option<String>,
}

impl Platform {
    /// That of this machine.
    pub fn host() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: go_name(std::env::consts::ARCH).to_owned(),
            variant: None,
        }
    }

    /// Whether an image that says of itself `os`, `architecture` and `variant` is for this platform: its variant is the
    /// wanted one, or none, or an older one, whose programs run as well.
    pub fn accepts(&self, os: &str, architecture: &str, variant: Option<&str>) -> bool {
        self.distance(os, architecture, variant).is_some()
    }

    /// How far such an image is from what is wanted: 0 is just it, and of two that fit the nearer one is the better.
    pub(crate) fn distance(
        &self,
        os: &str,
        architecture: &str,
        variant: Option<&str>,
    ) -> Option<u32> {
        if self.os != os || self.architecture != go_name(architecture) {
            return None;
        }
        let ours = self.named_variant(self.variant.as_deref());
        let theirs = self.named_variant(variant);
        match theirs {
            theirs if theirs == ours => Some(0),
            None => Some(1),
            Some(theirs) => {
                let most = match ours {
                    Some(ours) => level(ours)?,
                    None => self.best_level(),
                };
                most.checked_sub(level(theirs)?).map(|steps| steps + 2)
            }
        }
    }

    /// A variant that is not the one that goes without saying.
    fn named_variant<'a>(&self, variant: Option<&'a str>) -> Option<&'a str> {
        match (self.architecture.as_str(), variant) {
            ("arm64", Some("v8")) | ("amd64", Some("v1")) | (_, Some("")) => None,
            (_, variant) => variant,
        }
    }

    /// The newest variant that may be used where none is asked for: what this machine's processor can do, or, of another
    /// architecture, what is common.
    fn best_level(&self) -> u32 {
        match self.architecture.as_str() {
            "amd64" => amd64_level(),
            "arm64" => 8,
            "arm" => 7,
            _ => 0,
        }
    }
}

/// The number of a variant, 7 of `v7`.
fn level(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

/// The level of the x86-64 psABI that this machine's processor has.
#[cfg(target_arch = "x86_64")]
fn amd64_level() -> u32 {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("cmpxchg16b") && has!("popcnt") && has!("sse4.2")) {
        return 1;
    }
    let avx2 = has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c");
    if !(avx2 && has!("fma") && has!("lzcnt") && has!("movbe")) {
        return 2;
    }
    let wide = has!("avx512f") && has!("avx512bw") && has!("avx512cd");
    match wide && has!("avx512dq") && has!("avx512vl") {
        true => 4,
        false => 3,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn amd64_level() -> u32 {
    1
}

/// Go's name of an architecture, whatever the name that was written.
fn go_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "x86" | "i386" | "i686" => "386",
        "powerpc64" => "ppc64le",
        "armhf" | "armel" => "arm",
        other => other,
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `os[/architecture[/variant]]`, or an architecture alone, as `docker run --platform` takes it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason| Error::BadPlatform {
            platform: text.to_owned(),
            reason,
        };
        let parts: Vec<String> = text.split('/').map(str::to_ascii_lowercase).collect();
        let good = |part: &String| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if !parts.iter().all(good) {
            return Err(bad(
                "a part is empty or has a character other than letters, digits, '-', '_' and '.'",
            ));
        }
        let host = Self::host();
        let platform = match parts.as_slice() {
            [os] if os == "linux" => host,
            [architecture] => Self {
                architecture: go_name(architecture).to_owned(),
                ..host
            },
            [os, architecture] => Self {
                os: os.clone(),
                architecture: go_name(architecture).to_owned(),
                variant: None,
            },
            [os, architecture, variant] => Self {
                os: os.clone(),
                architecture: go_name(architecture).to_owned(),
                variant: Some(variant.clone()),
            },
            _ => return Err(bad("it has more than three parts")),
        };
        if platform.os != "linux" {
            return Err(bad("only linux images can be used"));
        }
        Ok(platform)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_in_dockers_ways() {
        for (written, meant) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("arm64", "linux/arm64"),
            ("Linux/AARCH64", "linux/arm64"),
        ] {
            assert_eq!(written.parse::<Platform>().unwrap().to_string(), meant);
        }
        for written in ["", "linux/", "windows/amd64", "a/b/c/d", "linux/a b"] {
            assert!(written.parse::<Platform>().is_err(), "{written}");
        }
    }

    #[test]
    fn an_image_fits_if_its_variant_runs() {
        let arm64: Platform = "linux/arm64".parse().unwrap();
        assert!(arm64.accepts("linux", "arm64", Some("v8")));
        assert!(arm64.accepts("linux", "aarch64", None));
        assert!(!arm64.accepts("linux", "amd64", None));
        assert!(!arm64.accepts("windows", "arm64", None));
        let v7: Platform = "linux/arm/v7".parse().unwrap();
        assert!(v7.accepts("linux", "arm", Some("v7")));
        assert!(v7.accepts("linux", "arm", Some("v6")));
        assert!(!v7.accepts("linux", "arm", Some("v8")));
        assert!(!arm64.accepts("linux", "arm64", Some("v9")));
        assert!(v7.accepts("linux", "arm", None));
    }
}
