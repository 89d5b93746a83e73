//! `-v`: `[SOURCE:]TARGET[:OPTIONS]`.

use std::path::PathBuf;

use soute_engine::request::{MountKind, MountRequest};

use super::target;

/// A source that starts with `/` or `.` is a path of the machine (made if
/// missing), any other a volume's name; without a source the volume is anonymous.
pub fn parse(text: &str) -> Result<MountRequest, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [destination] => (None, destination, ""),
        // A path is absolute and no option is, so the two forms cannot be confused.
        [first, second] if second.starts_with('/') => (Some(first), second, ""),
        [first, second] => (None, first, second),
        [source, destination, options] => (Some(source), destination, options),
        _ => return Err(format!("'{text}' has more than three parts")),
    };
    let options = Options::parse(options)?;
    let target = target::clean(destination)?;
    let bind = source.filter(|source| source.starts_with(['/', '.']));
    let source = match bind {
        Some(path) if path.contains('\0') => {
            return Err("a path cannot contain a zero byte".to_owned());
        }
        Some(_) if options.no_copy => {
            return Err("nocopy is for volumes, not for a path of the machine".to_owned());
        }
        Some(path) => MountKind::Bind {
            path: PathBuf::from(path),
            create: true,
            recursive: true,
            propagation: options.propagation,
            idmap: options.idmap,
        },
        None if options.propagation.is_some() || options.idmap => {
            return Err(
                "propagation and idmap are for a path of the machine, not for volumes".to_owned(),
            );
        }
        None => MountKind::Volume {
            name: source.map(target::volume_name).transpose()?,
        },
    };
    Ok(MountRequest {
        target,
        source,
        read_only: options.read_only,
        no_copy: options.no_copy,
    })
}

#[derive(Default)]
struct Options {
    read_only: bool,
    no_copy: bool,
    propagation: Option<String>,
    idmap: bool,
}

impl Options {
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut access = None;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let repeated = match option {
                "ro" | "rw" => access.replace(option).is_some(),
                "nocopy" => std::mem::replace(&mut options.no_copy, true),
                "idmap" => std::mem::replace(&mut options.idmap, true),
                "z" | "Z" => {
                    return Err(format!("'{option}': SELinux relabelling is not there yet"));
                }
                "cached" | "delegated" | "consistent" => {
                    return Err(format!("'{option}' means nothing on Linux: leave it out"));
                }
                _ => {
                    let propagation = target::propagation(option)
                        .map_err(|_| format!("unknown option '{option}'"))?;
                    options.propagation.replace(propagation).is_some()
                }
            };
            if repeated {
                return Err(format!(
                    "'{option}' contradicts or repeats an option before it"
                ));
            }
        }
        options.read_only = access == Some("ro");
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &str, target: &str) -> MountRequest {
        MountRequest {
            target: target.to_owned(),
            source: MountKind::Bind {
                path: path.into(),
                create: true,
                recursive: true,
                propagation: None,
                idmap: false,
            },
            read_only: false,
            no_copy: false,
        }
    }

    fn volume(name: Option<&str>, target: &str) -> MountRequest {
        MountRequest {
            target: target.to_owned(),
            source: MountKind::Volume {
                name: name.map(str::to_owned),
            },
            read_only: false,
            no_copy: false,
        }
    }

    #[test]
    fn the_source_decides_the_kind() {
        let read_only = |mount| MountRequest {
            read_only: true,
            ..mount
        };
        for (text, expected) in [
            ("/x", volume(None, "/x")),
            ("/x:ro", read_only(volume(None, "/x"))),
            ("data:/x", volume(Some("data"), "/x")),
            ("data:/x:ro", read_only(volume(Some("data"), "/x"))),
            ("data:/x:rw", volume(Some("data"), "/x")),
            ("/a:/b", bind("/a", "/b")),
            ("/a:/b:ro", read_only(bind("/a", "/b"))),
            ("./a:/b/", bind("./a", "/b")),
            ("..:/b", bind("..", "/b")),
            (
                "data:/x:nocopy",
                MountRequest {
                    no_copy: true,
                    ..volume(Some("data"), "/x")
                },
            ),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
        let MountKind::Bind {
            propagation, idmap, ..
        } = parse("/a:/b:rslave,idmap,ro").unwrap().source
        else {
            panic!("a path is bound");
        };
        assert_eq!((propagation.as_deref(), idmap), (Some("rslave"), true));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "x",
            ":",
            "a:b",
            "data:x",
            ":/x",
            "a:/x",
            "data:/",
            "/a:/b:/c:ro",
            "/a:/b:foo",
            "/a:/b:ro,rw",
            "/a:/b:ro,ro",
            "/a:/b:z",
            "/a:/b:ro,Z",
            "/a:/b:cached",
            "/a:/b:nocopy",
            "data:/b:shared",
            "data:/b:idmap",
            "a/b:/x",
            "/a:/b:shared,slave",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
