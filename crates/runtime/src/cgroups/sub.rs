//! A cgroup below the container's, for a further process: `exec --cgroup`.

use super::cgroup::Cgroup;
use super::{CgroupError, place};

/// What `--cgroup` names: in which hierarchies, and where below the container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubPaths(Vec<(Vec<String>, String)>);

impl SubPaths {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the values of `--cgroup`: one path alone for all hierarchies, or `CONTROLLER[,CONTROLLER…]:PATH` for
    /// each hierarchy of v1 that is not to be the container's own cgroup.
    pub fn parse<S: AsRef<str>>(values: &[S]) -> Result<Self, CgroupError> {
        let mut all: Vec<(Vec<String>, String)> = Vec::new();
        for value in values {
            let value = value.as_ref();
            let bad = |why| CgroupError::Path {
                path: value.to_owned(),
                why,
            };
            let (controllers, path) = match value.split_once(':') {
                Some((controllers, path)) => {
                    (controllers.split(',').map(str::to_owned).collect(), path)
                }
                None => (Vec::new(), value),
            };
            if controllers.iter().any(String::is_empty) {
                return Err(bad("a controller's name is expected before \":\""));
            }
            if controllers.is_empty() && values.len() > 1 {
                return Err(bad(
                    "of several, each needs its controllers: \"CONTROLLER:PATH\"",
                ));
            }
            let twice = |c: &String| all.iter().any(|(known, _)| known.contains(c));
            if controllers.iter().any(twice) {
                return Err(bad("a controller is given twice"));
            }
            all.push((controllers, place::clean(path)?));
        }
        Ok(Self(all))
    }
}

impl Cgroup {
    /// The cgroup below this one that `paths` names, which must exist in each hierarchy that is named; in the others
    /// it is this one. It is for joining: [`Cgroup::prepare_join`] comes next.
    pub fn sub(&self, paths: &SubPaths) -> Result<Self, CgroupError> {
        let mut sub = Self::open(&self.layout, self.path())?;
        for (controllers, path) in &paths.0 {
            let mut found = false;
            for node in &mut sub.nodes {
                let named = controllers.iter().any(|c| node.hierarchy.has(c));
                if !controllers.is_empty() && !named {
                    continue;
                }
                found = true;
                // clean() left no "..", and cgroup file systems have no symbolic links.
                let below = path.trim_end_matches('/');
                node.dir = node.hierarchy.dir(&format!("{}{below}", self.path()));
                if !node.dir.is_dir() {
                    let path = node.dir.display().to_string();
                    return Err(CgroupError::NotFound { path });
                }
            }
            if !found {
                return Err(CgroupError::Path {
                    path: format!("{}:{path}", controllers.join(",")),
                    why: "the container has no cgroup with that controller",
                });
            }
        }
        Ok(sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_flag() {
        let parse = |values: &[&str]| SubPaths::parse(values);
        assert_eq!(parse(&["a/b"]).unwrap().0, [(vec![], "/a/b".to_owned())]);
        let two = parse(&["cpu,cpuacct:/x", "memory:y"]).unwrap();
        let names = |n: &[&str]| n.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            two.0,
            [
                (names(&["cpu", "cpuacct"]), "/x".to_owned()),
                (names(&["memory"]), "/y".to_owned())
            ]
        );
        for bad in [
            &["a", "b"][..],
            &["../a"],
            &["cpu:a/../../b"],
            &[":a"],
            &["cpu,:a"],
            &["cpu:a", "cpu:b"],
            &["cpu:a", "b"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
