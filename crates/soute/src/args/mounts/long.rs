//! `--mount KEY=VALUE,…`, a line of CSV (RFC 4180) as in Docker.

use std::path::PathBuf;

use soute_engine::request::{MountKind, MountRequest};

use super::super::numbers;
use super::target;
use super::tmpfs::{Tmpfs, octal_mode};

/// What the pairs of one `--mount` said, before it is known whether they go together.
#[derive(Default)]
struct Pairs {
    kind: Option<Kind>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<String>,
    non_recursive: Option<bool>,
    idmap: bool,
    no_copy: bool,
    size: Option<u64>,
    mode: Option<u32>,
    /// Keys that only one kind of mount understands, with that kind.
    particular: Vec<(Kind, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bind,
    Volume,
    Tmpfs,
}

/// One `--mount`.
pub fn parse(text: &str) -> Result<MountRequest, String> {
    let mut pairs = Pairs::default();
    for field in fields(text)? {
        pairs.set(&field)?;
    }
    pairs.into_request()
}

impl Pairs {
    fn set(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        let key = key.as_str();
        if let Some(kind) = Kind::of_key(key) {
            self.particular.push((kind, key.to_owned()));
        }
        // The booleans, which may stand alone.
        let flag = || match value {
            None => Ok(true),
            Some(value) => numbers::boolean(value).map_err(|e| format!("{key}: {e}")),
        };
        match key {
            "readonly" | "ro" => self.read_only = flag()?,
            "bind-nonrecursive" => self.non_recursive = Some(flag()?),
            "idmap" => self.idmap = flag()?,
            "volume-nocopy" => self.no_copy = flag()?,
            _ => {
                let value = value.ok_or_else(|| format!("'{field}' is not KEY=VALUE"))?;
                self.set_value(key, value)?;
            }
        }
        Ok(())
    }

    fn set_value(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "type" => self.kind = Some(Kind::parse(value)?),
            "source" | "src" => self.source = Some(value.to_owned()),
            "target" | "dst" | "destination" => self.target = Some(value.to_owned()),
            "bind-propagation" => self.propagation = Some(target::propagation(value)?),
            "bind-recursive" => {
                self.non_recursive = match value {
                    "enabled" => Some(false),
                    "disabled" => Some(true),
                    "writable" | "readonly" => {
                        return Err(format!("bind-recursive={value} is not there yet"));
                    }
                    _ => {
                        return Err(format!(
                            "bind-recursive='{value}': enabled or disabled is expected"
                        ));
                    }
                }
            }
            "tmpfs-size" => self.size = Some(numbers::bytes(value)?),
            "tmpfs-mode" => self.mode = Some(octal_mode(value)?),
            "consistency" => {
                return Err("consistency means nothing on Linux: leave it out".to_owned());
            }
            "volume-driver" | "volume-opt" | "volume-label" | "volume-subpath"
            | "tmpfs-options" => {
                return Err(format!("{key} is not there yet"));
            }
            _ => return Err(format!("unknown key '{key}'")),
        }
        Ok(())
    }

    fn into_request(self) -> Result<MountRequest, String> {
        let kind = self.kind.unwrap_or(Kind::Volume);
        if let Some((_, key)) = self.particular.iter().find(|(owner, _)| *owner != kind) {
            return Err(format!("{key} cannot be given with type={}", kind.name()));
        }
        let destination = self.target.ok_or("a target is required (target=, dst=)")?;
        let source = self.source.filter(|source| !source.is_empty());
        let source = match kind {
            Kind::Tmpfs if source.is_some() => return Err("a tmpfs has no source".to_owned()),
            Kind::Tmpfs => {
                let tmpfs = Tmpfs {
                    size: self.size,
                    mode: self.mode,
                    read_only: self.read_only,
                    ..Tmpfs::default()
                };
                return tmpfs.at(&destination);
            }
            Kind::Volume => MountKind::Volume {
                name: source.as_deref().map(target::volume_name).transpose()?,
            },
            Kind::Bind => {
                let path = source.ok_or("a bind mount needs a source (source=, src=)")?;
                if !path.starts_with(['/', '.']) {
                    return Err(format!(
                        "'{path}': the source of a bind mount is absolute or starts with '.'"
                    ));
                }
                if path.contains('\0') {
                    return Err("a path cannot contain a zero byte".to_owned());
                }
                MountKind::Bind {
                    path: PathBuf::from(path),
                    create: false,
                    recursive: !self.non_recursive.unwrap_or(false),
                    propagation: self.propagation,
                    idmap: self.idmap,
                }
            }
        };
        Ok(MountRequest {
            target: target::clean(&destination)?,
            source,
            read_only: self.read_only,
            no_copy: self.no_copy,
        })
    }
}

impl Kind {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "bind" => Ok(Self::Bind),
            "volume" => Ok(Self::Volume),
            "tmpfs" => Ok(Self::Tmpfs),
            "image" => Err("mounts of type=image are not there yet".to_owned()),
            _ => Err(format!(
                "unknown type '{text}': bind, volume or tmpfs is expected"
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// The kind of mount that alone understands `key`.
    fn of_key(key: &str) -> Option<Self> {
        match key {
            "idmap" => Some(Self::Bind),
            key if key.starts_with("bind-") => Some(Self::Bind),
            key if key.starts_with("volume-") => Some(Self::Volume),
            key if key.starts_with("tmpfs-") => Some(Self::Tmpfs),
            _ => None,
        }
    }
}

/// One record of CSV: fields between commas; a field in quotes may contain commas, and quotes when doubled.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let (before, after) = rest.split_once('"').ok_or("a quote is not closed")?;
                field.push_str(before);
                match after.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        rest = after;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("a closing quote is not followed by a comma".to_owned());
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
            if field.contains('"') {
                return Err("a quote stands inside a field that does not start with one".to_owned());
            }
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind() -> MountRequest {
        MountRequest {
            target: "/b".to_owned(),
            source: MountKind::Bind {
                path: "/a".into(),
                create: false,
                recursive: true,
                propagation: None,
                idmap: false,
            },
            read_only: false,
            no_copy: false,
        }
    }

    fn volume(name: Option<&str>) -> MountRequest {
        MountRequest {
            source: MountKind::Volume {
                name: name.map(str::to_owned),
            },
            ..bind()
        }
    }

    #[test]
    fn kinds_and_keys() {
        let special = MountKind::Bind {
            path: "/a".into(),
            create: false,
            recursive: false,
            propagation: Some("rslave".to_owned()),
            idmap: true,
        };
        let tmpfs = MountRequest {
            read_only: true,
            ..Tmpfs {
                size: Some(1 << 20),
                mode: Some(0o700),
                ..Tmpfs::default()
            }
            .at("/b")
            .unwrap()
        };
        let comma = MountKind::Bind {
            path: "/a,\"b".into(),
            create: false,
            recursive: true,
            propagation: None,
            idmap: false,
        };
        for (text, expected) in [
            ("type=bind,src=/a,dst=/b", bind()),
            ("target=/b,source=/a,type=BIND", bind()),
            (
                "type=bind,src=/a,dst=/b,readonly",
                MountRequest {
                    read_only: true,
                    ..bind()
                },
            ),
            (
                "type=bind,src=/a,dst=/b,ro=true",
                MountRequest {
                    read_only: true,
                    ..bind()
                },
            ),
            ("type=bind,src=/a,dst=/b,readonly=false", bind()),
            (
                "type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-nonrecursive,idmap",
                MountRequest {
                    source: special,
                    ..bind()
                },
            ),
            ("type=bind,src=/a,dst=/b,bind-recursive=enabled", bind()),
            ("dst=/b", volume(None)),
            ("src=,dst=/b", volume(None)),
            ("src=data,destination=/b", volume(Some("data"))),
            (
                "type=volume,src=data,dst=/b,volume-nocopy",
                MountRequest {
                    no_copy: true,
                    ..volume(Some("data"))
                },
            ),
            ("type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=0700,ro", tmpfs),
            (
                "type=bind,\"src=/a,\"\"b\",dst=/b",
                MountRequest {
                    source: comma,
                    ..bind()
                },
            ),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, complaint) in [
            ("", "'' is not KEY=VALUE"),
            (
                "type=foo,dst=/b",
                "unknown type 'foo': bind, volume or tmpfs is expected",
            ),
            (
                "type=image,src=a,dst=/b",
                "mounts of type=image are not there yet",
            ),
            ("type=bind,src=/a", "a target is required (target=, dst=)"),
            (
                "type=bind,dst=/b",
                "a bind mount needs a source (source=, src=)",
            ),
            (
                "type=bind,src=a,dst=/b",
                "'a': the source of a bind mount is absolute or starts with '.'",
            ),
            (
                "type=bind,src=/a,dst=b",
                "'b': a mount's target is an absolute path",
            ),
            ("type=tmpfs,src=/a,dst=/b", "a tmpfs has no source"),
            (
                "type=bind,src=/a,dst=/b,volume-nocopy",
                "volume-nocopy cannot be given with type=bind",
            ),
            (
                "src=data,dst=/b,bind-propagation=shared",
                "bind-propagation cannot be given with type=volume",
            ),
            ("dst=/b,idmap", "idmap cannot be given with type=volume"),
            ("dst=/b,foo", "'foo' is not KEY=VALUE"),
            ("dst=/b,foo=1", "unknown key 'foo'"),
            (
                "dst=/b,ro=perhaps",
                "ro: 'perhaps' is neither true nor false",
            ),
            ("dst=/b,volume-driver=x", "volume-driver is not there yet"),
            (
                "dst=/b,consistency=cached",
                "consistency means nothing on Linux: leave it out",
            ),
            ("\"dst=/b", "a quote is not closed"),
            ("\"dst=/b\"x", "a closing quote is not followed by a comma"),
            (
                "dst=\"/b\"",
                "a quote stands inside a field that does not start with one",
            ),
            ("dst=/b,", "'' is not KEY=VALUE"),
        ] {
            assert_eq!(parse(text).unwrap_err(), complaint, "{text}");
        }
    }
}
