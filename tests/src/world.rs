//! An engine of the test's own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Outcome, Running, Terminal, machine, output, place, remains};

/// What the end of a container may still be doing when its command has returned.
const SETTLE: Duration = Duration::from_secs(5);

/// An engine's folders, in namespaces of the test's own. On drop its containers are
/// removed, and the test fails if anything is left of them.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    mounts: Vec<String>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// With the image `busybox`.
    #[track_caller]
    pub fn new() -> Self {
        Self::with_store("busybox")
    }

    /// With the image `debian` alone (Python 3, ps, lsns), slower to make.
    #[track_caller]
    pub fn debian() -> Self {
        Self::with_store("debian")
    }

    /// With no image, not even a folder.
    #[track_caller]
    pub fn empty() -> Self {
        machine::enter();
        // A disk's file system, as users have: /tmp may be memory.
        let folder = tempfile::Builder::new()
            .prefix("soute-test-")
            .tempdir_in("/var/tmp")
            .expect("a folder");
        Self {
            folder,
            mounts: machine::mounts(),
        }
    }

    #[track_caller]
    fn with_store(name: &str) -> Self {
        let store = PathBuf::from(variable("SOUTE_TEST_STORE")).join(name);
        let world = Self::empty();
        // Layers are read only, so that links to them are as good as copies.
        output(
            Command::new("cp")
                .args(["--archive", "--link"])
                .arg(store)
                .arg(world.root()),
        )
        .success();
        world
    }

    /// The engine's persistent folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The engine's folder of what runs.
    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The engine's settings file, absent at first.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// A place for the test's own files, removed with the world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary with this engine's folders, to be given its words, input and environment.
    #[track_caller]
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(place::soute());
        command
            .arg("--root")
            .arg(self.root())
            .arg("--run")
            .arg(self.run());
        command.arg("--config").arg(self.config()).args(words);
        command.env(remains::MARK, self.folder.path());
        command
    }

    /// A copy of the binary where everybody can execute it, whoever may look into the build's folder.
    #[track_caller]
    #[allow(
        clippy::disallowed_methods,
        reason = "a test's own folder, which nobody else knows of"
    )]
    pub fn binary_for_all(&self) -> PathBuf {
        let folder = self.path("bin");
        let binary = folder.join("soute");
        if !binary.exists() {
            fs::create_dir(&folder).expect("a new folder");
            fs::copy(place::soute(), &binary).expect("a copy of the binary");
        }
        for path in [self.folder.path(), &folder, &binary] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
        }
        binary
    }

    /// Runs `soute WORDS` to its end, without input.
    #[track_caller]
    pub fn soute<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Outcome {
        output(&mut self.command(words))
    }

    /// Runs `soute run --rm FLAGS busybox sh -c SCRIPT` to its end, without input.
    #[track_caller]
    pub fn sh(&self, flags: &[&str], script: &str) -> Outcome {
        self.soute([&["run", "--rm"], flags, &["busybox", "sh", "-c", script]].concat())
    }

    /// Starts `soute WORDS` beside the test, with an input to write to.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(words).stdin(Stdio::piped()))
    }

    /// Starts `soute WORDS` in a terminal.
    #[track_caller]
    pub fn terminal<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Terminal {
        Terminal::start(&self.command(words))
    }

    /// `soute run -d WORDS`; returns the container's id.
    #[track_caller]
    pub fn detached<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> String {
        let words: Vec<_> = words
            .into_iter()
            .map(|word| word.as_ref().to_owned())
            .collect();
        let run = ["run", "-d"].map(std::ffi::OsString::from);
        let id = self.soute(run.into_iter().chain(words)).text().to_owned();
        assert!(
            id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "no id: {id:?}"
        );
        id
    }

    /// What `soute inspect` tells of one container.
    #[track_caller]
    pub fn inspect(&self, container: &str) -> Value {
        self.soute(["inspect", container]).json()[0].clone()
    }

    /// The machine's pid of a container's first process.
    #[track_caller]
    pub fn pid(&self, container: &str) -> u32 {
        let pid = self.inspect(container)["State"]["Pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok());
        pid.filter(|pid| *pid != 0)
            .unwrap_or_else(|| panic!("{container} does not run"))
    }

    /// The folder of a running container's cgroup in the hierarchy that has `controller`.
    #[track_caller]
    pub fn cgroup(&self, container: &str, controller: &str) -> PathBuf {
        machine::cgroup_of(self.pid(container), controller)
    }

    /// Asserts that nothing has changed in the mount table since the world was made.
    #[track_caller]
    pub fn assert_mounts_unchanged(&self) {
        assert_eq!(
            machine::mounts(),
            self.mounts,
            "the mount table has changed"
        );
    }

    /// The ids of all containers of which there is a folder, whole or not.
    pub fn ids(&self) -> Vec<String> {
        let mut ids = remains::names(self.root().join("containers"));
        ids.extend(remains::names(self.run().join("containers")));
        ids.sort();
        ids.dedup();
        ids
    }

    /// Asserts that nothing is left of the containers `ids`, nor of any other in this world.
    #[track_caller]
    pub fn assert_nothing_left(&self, ids: &[String]) {
        let end = Instant::now() + SETTLE;
        let mut left = self.remains(ids);
        while !left.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            left = self.remains(ids);
        }
        assert!(
            left.is_empty(),
            "the test left behind:\n  {}",
            left.join("\n  ")
        );
    }

    /// [`World::assert_nothing_left`] in a test that has mounts of its own now.
    #[track_caller]
    pub fn assert_nothing_left_but_mounts(&self, ids: &[String]) {
        let left = |world: &Self| {
            let mut left = world.remains(ids);
            left.retain(|thing| !thing.starts_with("mount "));
            left
        };
        crate::wait_until("nothing is left of the containers", || {
            left(self).is_empty()
        });
    }

    /// What must not be there once all containers are removed.
    fn remains(&self, ids: &[String]) -> Vec<String> {
        let mut found = remains::processes(self.folder.path());
        found.extend(remains::cgroups(ids));
        found.extend(
            self.ids()
                .into_iter()
                .map(|id| format!("folder of container {id}")),
        );
        let mounts = machine::mounts();
        let new = mounts.iter().filter(|mount| !self.mounts.contains(mount));
        found.extend(new.map(|mount| format!("mount {mount}")));
        let gone = self.mounts.iter().filter(|mount| !mounts.contains(mount));
        found.extend(gone.map(|mount| format!("lost mount {mount}")));
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ids = self.ids();
        let mut removed = None;
        if !ids.is_empty() {
            let mut remove = self.command(["rm", "--force"]);
            removed = Some(remove.args(&ids).stdin(Stdio::null()).output());
        }
        if std::thread::panicking() {
            return; // The test has its failure; another panic would hide it.
        }
        if let Some(removed) = removed {
            let removed = removed.expect("soute rm");
            let message = String::from_utf8_lossy(&removed.stderr);
            assert!(
                removed.status.success(),
                "soute rm --force: {}: {message}",
                removed.status
            );
        }
        self.assert_nothing_left(&ids);
    }
}

#[track_caller]
fn variable(name: &str) -> std::ffi::OsString {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run the tests by `cargo xtask test`"))
}

/// Where the tests' root file systems are, as tar files.
impl World {
    /// The tar file of the image `busybox`.
    #[track_caller]
    pub fn busybox_tar() -> PathBuf {
        variable("SOUTE_TEST_BUSYBOX").into()
    }

    /// The tar file of the image `debian`.
    #[track_caller]
    pub fn debian_tar() -> PathBuf {
        variable("SOUTE_TEST_DEBIAN").into()
    }

    /// Unpacks the busybox tar into a folder of the test's, for `--rootfs` and for peers' bundles.
    #[track_caller]
    pub fn rootfs(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir(&folder).expect("a new folder");
        unpack(&Self::busybox_tar(), &folder);
        folder
    }
}

#[track_caller]
fn unpack(tar: &Path, folder: &Path) {
    output(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(tar)
            .arg("--directory")
            .arg(folder),
    )
    .success();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(world: World) -> String {
        let panic =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(world))).unwrap_err();
        panic.downcast_ref::<String>().expect("a message").clone()
    }

    #[test]
    fn a_world_in_which_nothing_happened_leaves_nothing() {
        drop(World::empty());
    }

    #[test]
    fn a_mount_left_behind_fails_the_test() {
        let world = World::empty();
        let place = world.path("place");
        fs::create_dir(&place).unwrap();
        output(
            Command::new("mount")
                .args(["-t", "tmpfs", "left"])
                .arg(&place),
        )
        .success();
        let message = dropped(world);
        let unmounted = output(Command::new("umount").arg(&place));
        assert!(
            message.contains("mount ") && message.contains("tmpfs left"),
            "{message}"
        );
        // The world's folder could not go while something was mounted in it.
        let _ = fs::remove_dir_all(place.parent().unwrap());
        unmounted.success();
    }

    #[test]
    fn a_process_left_behind_fails_the_test() {
        let world = World::empty();
        let mut sleep = Command::new("sleep")
            .arg("1000")
            .env(remains::MARK, world.folder.path())
            .spawn()
            .unwrap();
        let message = dropped(world);
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert!(
            message.contains(&format!("process {} sleep", sleep.id())),
            "{message}"
        );
    }
}
