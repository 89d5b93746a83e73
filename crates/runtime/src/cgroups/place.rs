//! Where a bundle's `cgroupsPath` leads to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cgroup, CgroupError, CgroupPath, Hierarchy, Layout, LayoutKind};

/// The place of a cgroup in each hierarchy, in a form that a state file keeps: what a path is relative to is
/// another place for a later command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Below `bases`; it begins with `/`.
    path: String,
    /// The cgroup that `path` is below of, by the controllers of its hierarchy (none: v2); missing: the mount's root.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    bases: BTreeMap<String, String>,
}

impl Place {
    /// `path` below the mounts; it begins with `/`.
    pub fn absolute(path: &str) -> Result<Self, CgroupError> {
        CgroupPath::new(path)?;
        Ok(Self {
            path: path.to_owned(),
            bases: BTreeMap::new(),
        })
    }

    /// Reads `linux.cgroupsPath` (config-linux.md, "Cgroups Path"); empty: the container's `id` is the path.
    ///
    /// An absolute path is one below the mounts. A relative one is, as in runc, below this process's own cgroup, in
    /// each hierarchy of v1; on v2 beside it, since a cgroup with processes cannot hand controllers down. `.`, `..`
    /// and doubled slashes are resolved by their names; what would lead out at the top is refused.
    pub fn from_spec(layout: &Layout, cgroups_path: &str, id: &str) -> Result<Self, CgroupError> {
        let given = if cgroups_path.is_empty() {
            id
        } else {
            cgroups_path
        };
        let path = clean(given)?;
        let mut place = Self::absolute(&path)?;
        if given.starts_with('/') {
            return Ok(place);
        }
        for hierarchy in layout.hierarchies() {
            let mut own = below_mount(hierarchy)?;
            if hierarchy.v2 {
                own = own.rfind('/').map_or("", |at| &own[..at]);
            }
            if own.is_empty() {
                continue;
            }
            CgroupPath::new(own)?;
            // With one hierarchy there is one path, and so all on it are soute's to hand controllers down.
            if layout.kind() == LayoutKind::Unified {
                return Self::absolute(&format!("{own}{path}"));
            }
            place.bases.insert(key(hierarchy), own.to_owned());
        }
        Ok(place)
    }

    /// `layout` as it is seen from the bases: [`Place::path`] leads to the place in it.
    pub fn layout(&self, layout: &Layout) -> Layout {
        layout.rebased(|hierarchy| self.bases.get(&key(hierarchy)).map(String::as_str))
    }

    /// The path in [`Place::layout`].
    pub fn path(&self) -> &str {
        &self.path
    }

    /// [`Cgroup::open`] at this place.
    pub fn open(&self, layout: &Layout) -> Result<Cgroup, CgroupError> {
        Cgroup::open(&self.layout(layout), &self.path)
    }
}

fn key(hierarchy: &Hierarchy) -> String {
    if hierarchy.v2 {
        String::new()
    } else {
        hierarchy.controllers.join(",")
    }
}

/// This process's own cgroup as a path below the mount; empty: its root.
fn below_mount(hierarchy: &Hierarchy) -> Result<&str, CgroupError> {
    let own = hierarchy
        .own
        .strip_prefix(hierarchy.root.trim_end_matches('/'));
    match own.map(|own| own.trim_end_matches('/')) {
        Some(own) if own.is_empty() || own.starts_with('/') => Ok(own),
        // A cgroup namespace that was entered from outside shows `/../…`.
        _ => Err(CgroupError::Path {
            path: hierarchy.own.clone(),
            why: "soute's own cgroup is not below the mounted one, and a relative path is relative to it",
        }),
    }
}

/// `path` with a slash in front, and without `.`, `..` and empty components.
pub(super) fn clean(path: &str) -> Result<String, CgroupError> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(CgroupError::Path {
                        path: path.to_owned(),
                        why: "it leads out of the cgroup file system by \"..\"",
                    });
                }
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(v2: bool, controllers: &[&str], root: &str, own: &str) -> Hierarchy {
        Hierarchy {
            v2,
            controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
            mount: "/mnt".into(),
            root: root.into(),
            own: own.into(),
        }
    }

    fn hybrid() -> Layout {
        Layout::from_parts(vec![
            hierarchy(false, &["memory"], "/", "/caller/a"),
            hierarchy(false, &["cpu", "cpuacct"], "/outer", "/outer/b"),
            hierarchy(false, &["pids"], "/", "/"),
            hierarchy(true, &["hugetlb"], "/", "/user.slice/session.scope"),
        ])
    }

    fn dirs(cgroups_path: &str) -> Vec<String> {
        let layout = hybrid();
        let place = Place::from_spec(&layout, cgroups_path, "id").unwrap();
        let kept = serde_json::to_string(&place).unwrap();
        assert_eq!(serde_json::from_str::<Place>(&kept).unwrap(), place);
        let dirs = place.layout(&layout);
        let dirs = dirs.hierarchies().iter().map(|h| h.dir(place.path()));
        dirs.map(|dir| dir.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn absolute_relative_and_none() {
        assert_eq!(dirs("/a//b/../c/./"), ["/mnt/a/c"; 4]);
        let relative = |path| {
            [
                format!("/mnt/caller/a/{path}"),
                format!("/mnt/b/{path}"),
                format!("/mnt/{path}"),
                format!("/mnt/user.slice/{path}"),
            ]
        };
        assert_eq!(dirs("x/y"), relative("x/y"));
        assert_eq!(dirs(""), relative("id"));
    }

    #[test]
    fn on_v2_a_relative_path_is_an_absolute_one() {
        let unified = Layout::from_parts(vec![hierarchy(true, &[], "/", "/user.slice/s.scope")]);
        let place = Place::from_spec(&unified, "a/b", "id").unwrap();
        assert_eq!(place, Place::absolute("/user.slice/a/b").unwrap());
    }

    #[test]
    fn none_leads_out() {
        let layout = hybrid();
        for bad in [
            "/..",
            "/a/../../b",
            "..",
            "../x",
            "a/../../x",
            "/",
            "/a/..",
            "x\ny",
        ] {
            let error = Place::from_spec(&layout, bad, "id").unwrap_err();
            assert!(matches!(error, CgroupError::Path { .. }), "{bad}");
        }
        let outside = Layout::from_parts(vec![hierarchy(true, &[], "/", "/../other")]);
        assert!(Place::from_spec(&outside, "x", "id").is_err());
        assert!(Place::from_spec(&outside, "/x", "id").is_ok());
        let outside = Layout::from_parts(vec![hierarchy(false, &["cpu"], "/outer", "/outermost")]);
        assert!(Place::from_spec(&outside, "x", "id").is_err());
    }
}
