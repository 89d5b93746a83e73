//! The names of slices and scopes (systemd.unit(5), systemd.slice(5)).

use serde::{Deserialize, Serialize};

use crate::cgroups::CgroupError;

/// systemd's UNIT_NAME_MAX.
const MAX_NAME: usize = 255;

/// A scope and the slice that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    slice: String,
    name: String,
}

impl Unit {
    /// Reads `linux.cgroupsPath` as callers write it for systemd, `SLICE:PREFIX:NAME`: the scope `PREFIX-NAME.scope`
    /// in `SLICE`, or in `system.slice` if that is empty. An empty `cgroups_path` is `:soute:ID`.
    pub fn from_spec(cgroups_path: &str, id: &str) -> Result<Self, CgroupError> {
        let default = format!(":soute:{id}");
        let given = if cgroups_path.is_empty() {
            &default
        } else {
            cgroups_path
        };
        let bad = |why| CgroupError::Path {
            path: given.to_owned(),
            why,
        };
        let parts: Vec<&str> = given.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            return Err(bad("with systemd, SLICE:PREFIX:NAME is expected"));
        };
        if name.is_empty() {
            return Err(bad("with systemd, it needs a name: SLICE:PREFIX:NAME"));
        }
        if name.ends_with(".slice") {
            return Err(bad(
                "a slice has no processes of its own: a container needs a scope",
            ));
        }
        let slice = if slice.is_empty() {
            "system.slice"
        } else {
            slice
        };
        let name = format!("{prefix}-{name}.scope");
        for part in [slice, &name] {
            // unit_name_is_valid() of systemd, less "@": no instance is meant.
            let valid = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\".contains(&b);
            if !part.bytes().all(valid) || part.len() > MAX_NAME {
                return Err(bad(
                    "letters, digits and \":-_.\\\" make a unit's name, 255 at most",
                ));
            }
        }
        // cg_needs_escape(): systemd would call the folder otherwise.
        if name.starts_with(['_', '.']) || name.starts_with("cgroup.") {
            return Err(bad("a unit's name cannot begin so"));
        }
        expand(slice).ok_or_else(|| bad("it does not begin with a slice's name"))?;
        Ok(Self {
            slice: slice.to_owned(),
            name,
        })
    }

    /// `PREFIX-NAME.scope`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The slice's name, `a-b.slice`.
    pub fn slice(&self) -> &str {
        &self.slice
    }

    /// Where systemd makes the scope's cgroup: `/a.slice/a-b.slice/PREFIX-NAME.scope`.
    pub fn path(&self) -> String {
        format!("{}/{}", expand(&self.slice).unwrap_or_default(), self.name)
    }
}

/// A slice is below those that its name begins with, up to each dash; `-.slice` is the root. None: no slice's name.
fn expand(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(String::new());
    }
    if name.is_empty() || name.split('-').any(str::is_empty) {
        return None;
    }
    let ends = name.match_indices('-').map(|(at, _)| at);
    let prefixes = ends.chain([name.len()]).map(|end| &name[..end]);
    Some(prefixes.map(|prefix| format!("/{prefix}.slice")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places() {
        let unit = |path| Unit::from_spec(path, "id").unwrap();
        let docker = unit("system.slice:docker:0123abcd");
        assert_eq!(docker.name(), "docker-0123abcd.scope");
        assert_eq!(docker.path(), "/system.slice/docker-0123abcd.scope");
        let pod = unit("kubepods-besteffort-podx_y.slice:cri-containerd:c");
        assert_eq!(
            pod.path(),
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podx_y.slice/cri-containerd-c.scope"
        );
        assert_eq!(unit("").path(), "/system.slice/soute-id.scope");
        assert_eq!(unit(":p:n").slice(), "system.slice");
        assert_eq!(unit("-.slice:p:n").path(), "/p-n.scope");
    }

    #[test]
    fn what_is_no_unit() {
        for bad in [
            "/absolute",
            "a.slice:b",
            "a.slice:b:c:d",
            "a:b:c",
            ".slice:b:c",
            "a--b.slice:b:c",
            "-a.slice:b:c",
            "a/b.slice:b:c",
            "../a.slice:b:c",
            "a.slice:b:../c",
            "a.slice:b:c d",
            "a.slice:b:",
            "a.slice:b:x.slice",
            "a.slice:_b:c",
            "a.slice:cgroup.b:c",
        ] {
            let error = Unit::from_spec(bad, "id").unwrap_err();
            assert!(matches!(error, CgroupError::Path { .. }), "{bad}");
        }
        let long = format!("a.slice:b:{}", "x".repeat(260));
        assert!(Unit::from_spec(&long, "id").is_err());
    }
}
