//! What an engine is given: folders, an image, a runtime, and a place among the cgroups.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use soute_tests::{World, place, remains, wait_until};

/// On drop, no container's cgroup is left.
pub struct Stage {
    /// Where the engine's folders are.
    pub world: World,
}

impl Stage {
    /// With nothing running.
    #[track_caller]
    pub fn new() -> Self {
        place::enter();
        let world = World::empty();
        symlink(place::soute(), world.path("runc")).expect("a link");
        Self { world }
    }

    /// soute, by the name that engines know.
    pub fn runtime(&self) -> String {
        self.text("runc")
    }

    /// A path in the world's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The cgroup that all containers of the stage are to be in.
    pub fn cgroup(&self) -> String {
        let folder = self.path("");
        let name = folder.file_name().expect("a folder").to_string_lossy();
        format!("/{name}")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let tag = [self.cgroup().trim_start_matches('/').to_owned()];
        let containers = || {
            let mut all = remains::cgroups_below(&tag);
            // Nor their parents, which engines keep: ours, and the one of Podman's monitors.
            let kept = [tag[0].as_str(), "conmon"];
            all.retain(|cgroup| !kept.iter().any(|name| cgroup.ends_with(name)));
            all
        };
        if !std::thread::panicking() {
            wait_until("no container has a cgroup", || containers().is_empty());
        }
        let mut all = remains::cgroups_below(&tag);
        all.sort_by_key(|cgroup| std::cmp::Reverse(cgroup.as_os_str().len()));
        for cgroup in all {
            let removed = || fs::remove_dir(&cgroup).is_ok();
            match std::thread::panicking() {
                true => drop(removed()),
                // Podman's monitor outlives its container by a moment.
                false => wait_until("nobody is in a cgroup any more", removed),
            }
        }
    }
}
