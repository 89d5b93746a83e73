//! One runtime on one case: its calls, and what they left.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use soute_tests::{Outcome, cgroup_of, output, output_in_files, place, remains, wait_until};
use tempfile::TempDir;

use crate::bundle::Bundle;
use crate::runtime::Runtime;

/// What the end of a container may still be doing when its command has returned.
const SETTLE: Duration = Duration::from_secs(5);

/// A folder with the runtime's state and the case's bundles.
pub struct Bench {
    /// Who is tried.
    pub runtime: Runtime,
    folder: TempDir,
    mounts: Vec<String>,
    count: u32,
}

impl Bench {
    /// In the place that this thread moves to.
    #[track_caller]
    pub fn new(runtime: Runtime) -> Self {
        match runtime {
            Runtime::Soute => place::enter_alone(),
            _ => place::enter(),
        }
        // A disk's file system, as bundles lie on.
        let folder = tempfile::Builder::new()
            .prefix("soute-oci-")
            .tempdir_in("/var/tmp")
            .expect("a folder");
        Self {
            runtime,
            folder,
            mounts: soute_tests::mounts(),
            count: 0,
        }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text, as a `config.json` takes it.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The environment variable by which this bench's processes are known.
    pub fn mark(&self) -> String {
        format!("{}={}", remains::MARK, self.folder.path().display())
    }

    /// A new container's id, by which its cgroups are known too.
    pub fn id(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.tag(), self.count)
    }

    /// What all ids begin with.
    pub fn tag(&self) -> String {
        let name = self.folder.path().file_name().expect("a folder");
        name.to_string_lossy().into_owned()
    }

    /// A new bundle.
    #[track_caller]
    pub fn bundle(&mut self) -> Bundle {
        self.count += 1;
        Bundle::new(self.path(&format!("bundle-{}", self.count)), &self.mark())
    }

    /// A new bundle that sleeps until it is killed.
    #[track_caller]
    pub fn sleeper(&mut self) -> Bundle {
        let mut bundle = self.bundle();
        bundle.args(&["sleep", "1000"]);
        bundle
    }

    /// The runtime, with its state and its log here.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.runtime.command();
        command.arg("--root").arg(self.path("state"));
        command.arg("--log").arg(self.path("log"));
        command.args(["--log-format", "json"]).args(words);
        command.env(remains::MARK, self.folder.path());
        command
    }

    /// Calls the runtime, to the end of the call.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Outcome {
        output(&mut self.command(words))
    }

    /// `run FLAGS` of a new container, to its end.
    #[track_caller]
    pub fn run_with(&mut self, bundle: &Bundle, flags: &[&str]) -> Outcome {
        bundle.write();
        self.run_as_it_is(bundle, flags)
    }

    /// The same with the `config.json` that is there, or not.
    #[track_caller]
    pub fn run_as_it_is(&mut self, bundle: &Bundle, flags: &[&str]) -> Outcome {
        let id = self.id();
        let folder = bundle.folder().display().to_string();
        self.call(&[&["run", "--bundle", &folder], flags, &[&id]].concat())
    }

    /// `run` of a new container, to its end.
    #[track_caller]
    pub fn run(&mut self, bundle: &Bundle) -> Outcome {
        self.run_with(bundle, &[])
    }

    /// `create FLAGS` of the container `id`, whose output goes to files ([`Bench::said`]).
    #[track_caller]
    pub fn try_create(&mut self, bundle: &Bundle, flags: &[&str], id: &str) -> Outcome {
        self.in_files("create", bundle, flags, id)
    }

    /// A new container, created.
    #[track_caller]
    pub fn create(&mut self, bundle: &Bundle) -> String {
        let id = self.id();
        self.try_create(bundle, &[], &id).success();
        id
    }

    /// A new container, created and started.
    #[track_caller]
    pub fn start(&mut self, bundle: &Bundle) -> String {
        let id = self.create(bundle);
        self.call(&["start", &id]).success();
        id
    }

    /// `run --detach FLAGS` of the container `id`, whose output goes to files.
    #[track_caller]
    pub fn try_detached(&mut self, bundle: &Bundle, flags: &[&str], id: &str) -> Outcome {
        self.in_files("run", bundle, &[&["--detach"], flags].concat(), id)
    }

    #[track_caller]
    fn in_files(&self, verb: &str, bundle: &Bundle, flags: &[&str], id: &str) -> Outcome {
        bundle.write();
        let folder = bundle.folder().display().to_string();
        let mut command =
            self.command(&[&[verb, "--bundle", &folder], flags, &["--", id]].concat());
        // An id may be no name for a file.
        let name = match self.path(id).parent() {
            Some(parent) if parent == self.folder.path() && id.len() < 100 => id,
            _ => "odd",
        };
        output_in_files(&mut command, self.folder.path(), name)
    }

    /// What a container has written to its output so far.
    #[track_caller]
    pub fn said(&self, id: &str) -> String {
        fs::read_to_string(self.path(&format!("{id}.out"))).expect("the container's output")
    }

    /// Waits until a container has written `text` to its output.
    #[track_caller]
    pub fn hears(&self, id: &str, text: &str) {
        wait_until(&format!("the container says {text:?}"), || {
            self.said(id).contains(text)
        });
    }

    /// What `state` shows.
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        self.call(&["state", id]).json()
    }

    /// Waits until `state` shows that status.
    #[track_caller]
    pub fn becomes(&self, id: &str, status: &str) {
        let end = Instant::now() + 3 * SETTLE;
        while self.state(id)["status"] != status {
            assert!(Instant::now() < end, "{id} does not become {status}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The machine's pid of a container's first process.
    #[track_caller]
    pub fn pid(&self, id: &str) -> u32 {
        let state = self.state(id);
        let pid = state["pid"].as_u64().and_then(|pid| pid.try_into().ok());
        pid.filter(|pid| *pid != 0)
            .unwrap_or_else(|| panic!("no pid in {state}"))
    }

    /// A container's cgroup in the hierarchy of `controller`.
    #[track_caller]
    pub fn cgroup(&self, id: &str, controller: &str) -> PathBuf {
        cgroup_of(self.pid(id), controller)
    }

    /// `exec` in a container, to its end.
    #[track_caller]
    pub fn exec(&self, id: &str, words: &[&str]) -> Outcome {
        self.call(&[&["exec", id], words].concat())
    }

    /// Asserts that a container is unknown, and that nothing is left of it.
    #[track_caller]
    pub fn is_gone(&self, id: &str) {
        let state = self.call(&["state", id]);
        assert_ne!(state.code, 0, "{state}");
        wait_until("its cgroups are gone", || {
            remains::cgroups(&[id.to_owned()]).is_empty()
        });
    }

    /// Asserts that `run` of the bundle fails, says why in the log, and leaves nothing.
    #[track_caller]
    pub fn refuses(&mut self, bundle: &Bundle) -> Outcome {
        bundle.write();
        self.refuses_as_it_is(bundle)
    }

    /// The same with the `config.json` that is there, or not.
    #[track_caller]
    pub fn refuses_as_it_is(&mut self, bundle: &Bundle) -> Outcome {
        let outcome = self.run_as_it_is(bundle, &[]);
        assert_ne!(outcome.code, 0, "{outcome}");
        if let Err(what) = self.logged() {
            panic!("{what} of {outcome}");
        }
        let left = self.settled();
        assert!(left.is_empty(), "left: {left:?} by {outcome}");
        outcome
    }

    /// Asserts that the log has an error by now; its message.
    #[track_caller]
    pub fn has_logged_an_error(&self) -> String {
        self.logged().unwrap_or_else(|what| panic!("{what}"))
    }

    /// All of the log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn logged(&self) -> Result<String, String> {
        let log = self.log();
        // A stream of objects, as containerd reads it: crun's have several lines.
        let entries = serde_json::Deserializer::from_str(&log).into_iter::<Value>();
        let entries: Result<Vec<Value>, _> = entries.collect();
        let entries = entries.map_err(|error| format!("no JSON: {error}: {log}"))?;
        let error = entries.iter().rfind(|entry| entry["level"] == "error");
        let error = error.ok_or_else(|| format!("no error in the log, {log:?},"))?;
        let message = error["msg"].as_str().unwrap_or_default();
        match message.is_empty() || !error["time"].is_string() {
            true => Err(format!("no message or no time in {error}")),
            false => Ok(message.to_owned()),
        }
    }

    /// A socket in the folder to listen at; its path.
    #[track_caller]
    pub fn listen(&self, name: &str) -> (UnixListener, String) {
        let path = self.path(name);
        let listener = UnixListener::bind(&path).expect("a socket");
        (listener, path.display().to_string())
    }

    /// The ids of which there is state.
    fn ids(&self) -> Vec<String> {
        remains::names(self.path("state"))
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    /// What is there of containers.
    fn remains(&self) -> Vec<String> {
        let mut found: Vec<String> = self.ids();
        found
            .iter_mut()
            .for_each(|id| id.insert_str(0, "state of "));
        found.extend(remains::processes(self.folder.path()));
        found.extend(remains::cgroups(&[self.tag()]));
        let mounts = soute_tests::mounts();
        let new = mounts.iter().filter(|mount| !self.mounts.contains(mount));
        found.extend(new.map(|mount| format!("mount {mount}")));
        let gone = self.mounts.iter().filter(|mount| !mounts.contains(mount));
        found.extend(gone.map(|mount| format!("lost mount {mount}")));
        found
    }

    /// The same, when what is going has gone.
    pub fn settled(&self) -> Vec<String> {
        let end = Instant::now() + SETTLE;
        let mut left = self.remains();
        while !left.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            left = self.remains();
        }
        left
    }

    /// Removes all containers.
    ///
    /// # Errors
    /// What is left of them.
    pub fn finish(self) -> Result<(), String> {
        for id in self.ids() {
            self.call(&["delete", "--force", "--", &id]);
        }
        let left = self.settled();
        if left.is_empty() {
            return Ok(());
        }
        self.clean();
        Err(format!("left behind: {}", left.join(", ")))
    }

    /// Takes away what a runtime has not, so that the next case finds nothing of it.
    fn clean(&self) {
        for process in remains::processes(self.folder.path()) {
            let pid = process.split(' ').nth(1).and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let mounts = soute_tests::mounts();
        for mount in mounts.iter().filter(|mount| !self.mounts.contains(mount)) {
            let place = mount.split(' ').nth(4).unwrap_or_default();
            let _ = rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH);
        }
        for _ in 0..100 {
            let mut cgroups = remains::cgroups_below(&[self.tag()]);
            cgroups.sort_by_key(|cgroup| std::cmp::Reverse(cgroup.as_os_str().len()));
            for cgroup in &cgroups {
                let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
                let _ = fs::remove_dir(cgroup);
            }
            if cgroups.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
