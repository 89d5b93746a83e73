//! Names of images, under Docker's rules of normalisation.
//!
//! The grammar is that of the distribution project's `reference` package:
//! `[host[:port]/]path[:tag][@digest]`. A first part without a dot, a colon
//! or an upper-case letter, other than `localhost`, is not a host but part of
//! the path on the default registry, where a path of one part stands for
//! `library/` and that part.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error};

/// Docker's default registry, which a name without a host is on.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The default registry's name of old.
const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";
/// Where one-part names of the default registry live.
const OFFICIAL: &str = "library/";
/// Longest registry and repository (distribution `reference`, NameTotalLengthMax), which the store makes one name of a
/// folder.
const LONGEST_NAME: usize = 255;
/// Longest tag (distribution-spec, "Pulling manifests").
const LONGEST_TAG: usize = 128;

/// A normalised name of an image: it always has a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses and normalises what a user wrote; without tag and digest the tag is `latest`.
    ///
    /// # Errors
    /// [`Error::BadReference`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|reason| Error::BadReference {
            reference: text.to_owned(),
            reason,
        })
    }

    /// Host and port of the registry; [`DEFAULT_REGISTRY`] when none was written.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path on the registry, `library/` included.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` only when there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest or index that is meant.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository, named by `digest` alone.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Registry and repository, normalised.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository as people write them: without the default registry and `library/`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        let short = match self.repository.strip_prefix(OFFICIAL) {
            Some(short) if !short.contains('/') => short,
            _ => &self.repository,
        };
        // `docker.io/localhost/a` without its registry is another image.
        match parse(short) {
            Ok(read)
                if (&read.registry, &read.repository) == (&self.registry, &self.repository) =>
            {
                short.to_owned()
            }
            _ => self.name(),
        }
    }

    /// The whole reference as people write it, tag and digest included.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// The part after the repository: `:tag`, `@digest` or both.
    fn suffix(&self) -> String {
        let mut suffix = String::new();
        if let Some(tag) = &self.tag {
            suffix.push(':');
            suffix.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            suffix.push('@');
            suffix.push_str(&digest.to_string());
        }
        suffix
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if Digest::from_hex(text).is_some() {
        return Err("64 hexadecimal digits are an image id, not a name");
    }
    let (name_and_tag, digest) = match text.split_once('@') {
        Some((rest, digest)) => (
            rest,
            Some(digest.parse().map_err(
                |_| "what follows @ is not sha256: and 64 lower-case hexadecimal digits",
            )?),
        ),
        None => (text, None),
    };
    let (registry, rest) = split_registry(name_and_tag);
    // A colon before the last slash belongs to the registry's port.
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => {
            check_tag(tag)?;
            (path, Some(tag.to_owned()))
        }
        None => (rest, None),
    };
    check_registry(registry)?;
    check_path(path)?;
    let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    if registry.len() + 1 + repository.len() > LONGEST_NAME {
        return Err("registry and repository are longer than 255 characters together");
    }
    let tag = match (tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag,
    };
    Ok(Reference {
        registry: registry.to_owned(),
        repository,
        tag,
        digest,
    })
}

/// Splits the registry off, or supplies the default one.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            if first == LEGACY_DEFAULT_REGISTRY {
                (DEFAULT_REGISTRY, rest)
            } else {
                (first, rest)
            }
        }
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    let (host, port) = if let Some(rest) = registry.strip_prefix('[') {
        let (address, port) = rest
            .split_once(']')
            .ok_or("the registry's IPv6 address has no closing bracket")?;
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("the registry is not a valid IPv6 address");
        }
        (
            None,
            port.strip_prefix(':').or((!port.is_empty()).then_some("")),
        )
    } else {
        match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        }
    };
    if port.is_some_and(|port| {
        port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()
    }) {
        return Err("the registry's port is not a number below 65536");
    }
    let good = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match host {
        Some(host) if host.len() > 253 || !host.split('.').all(good) => {
            Err("the registry is not a valid host name")
        }
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("the repository is missing");
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository must be lower case");
    }
    if path.split('/').all(is_path_component) {
        Ok(())
    } else {
        Err(
            "the repository's parts must be lower-case letters and digits, \
             separated by one dot, one or two underscores, or dashes",
        )
    }
}

/// `[a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    word(first)
        && word(last)
        && bytes
            .split(|&b| word(b))
            .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|&b| b == b'-'))
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match tag.as_bytes() {
        [] => Err("the tag is empty"),
        bytes if bytes.len() > LONGEST_TAG => Err("the tag is longer than 128 characters"),
        [first, rest @ ..]
            if word(*first) && rest.iter().all(|&b| word(b) || b == b'.' || b == b'-') =>
        {
            Ok(())
        }
        _ => Err(
            "a tag is letters, digits, underscores, dots and dashes, and starts with none of the last two",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn normalises_as_docker_does() {
        for (written, normal, familiar) in [
            ("python", "docker.io/library/python:latest", "python:latest"),
            ("python:3", "docker.io/library/python:3", "python:3"),
            (
                "library/python",
                "docker.io/library/python:latest",
                "python:latest",
            ),
            ("user/app:v1", "docker.io/user/app:v1", "user/app:v1"),
            (
                "docker.io/python",
                "docker.io/library/python:latest",
                "python:latest",
            ),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            (
                "localhost/app",
                "localhost/app:latest",
                "localhost/app:latest",
            ),
            (
                "localhost:5000/a/b:t",
                "localhost:5000/a/b:t",
                "localhost:5000/a/b:t",
            ),
            (
                "127.0.0.1:5000/app",
                "127.0.0.1:5000/app:latest",
                "127.0.0.1:5000/app:latest",
            ),
            (
                "[::1]:5000/app",
                "[::1]:5000/app:latest",
                "[::1]:5000/app:latest",
            ),
            ("Host/app", "Host/app:latest", "Host/app:latest"),
            (
                "a__b/c-----d.e_f",
                "docker.io/a__b/c-----d.e_f:latest",
                "a__b/c-----d.e_f:latest",
            ),
            ("foo:5000", "docker.io/library/foo:5000", "foo:5000"),
            (
                "docker.io/localhost/a",
                "docker.io/localhost/a:latest",
                "docker.io/localhost/a:latest",
            ),
            (
                "docker.io/a.b/c",
                "docker.io/a.b/c:latest",
                "docker.io/a.b/c:latest",
            ),
        ] {
            let reference = Reference::parse(written).unwrap();
            assert_eq!(reference.to_string(), normal, "{written}");
            assert_eq!(reference.familiar(), familiar, "{written}");
            assert_eq!(Reference::parse(normal).unwrap(), reference, "{written}");
            assert_eq!(Reference::parse(familiar).unwrap(), reference, "{written}");
        }
    }

    #[test]
    fn a_digest_stands_for_the_tag() {
        let plain = Reference::parse(&format!("python@sha256:{HEX}")).unwrap();
        assert_eq!(plain.tag(), None);
        assert_eq!(
            plain.to_string(),
            format!("docker.io/library/python@sha256:{HEX}")
        );
        let both = Reference::parse(&format!("python:3@sha256:{HEX}")).unwrap();
        assert_eq!(both.tag(), Some("3"));
        assert!(both.digest().is_some());
        assert_eq!(both.with_digest(*both.digest().unwrap()), plain);
    }

    #[test]
    fn bad_names_are_refused_with_the_rule_they_break() {
        let long = "a".repeat(256);
        let together = format!("registry.example/{}", "a".repeat(239));
        assert!(Reference::parse(&together[..255]).is_ok());
        let tag = format!("app:{}", "t".repeat(129));
        for (written, rule) in [
            ("", "empty"),
            (HEX, "image id"),
            ("Python", "lower case"),
            ("app:", "tag is empty"),
            ("app:.hidden", "tag is"),
            ("app:a b", "tag is"),
            (tag.as_str(), "longer than 128"),
            (long.as_str(), "longer than 255"),
            (together.as_str(), "longer than 255"),
            ("a//b", "parts must be"),
            ("/a", "parts must be"),
            ("a/", "parts must be"),
            ("../etc/passwd", "valid host name"),
            ("a/../b", "parts must be"),
            ("a___b", "parts must be"),
            ("a..b", "parts must be"),
            ("-a", "parts must be"),
            ("a@sha256:12", "what follows @"),
            ("a@md5:12", "what follows @"),
            ("host:port/app", "port"),
            ("host:99999/app", "port"),
            ("-host.x/app", "host name"),
            ("[::1/app", "closing bracket"),
            ("[xyz]:1/app", "IPv6"),
            ("a\0b", "parts must be"),
            ("a\nb", "parts must be"),
        ] {
            let message = Reference::parse(written).unwrap_err().to_string();
            assert!(message.contains(rule), "{written:?}: {message}");
        }
    }
}
