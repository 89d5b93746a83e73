//! A stage for one test: its own parent cgroup, and shells to put into cgroups.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use soute_runtime::cgroups::{Cgroup, CgroupError, DeviceRule, Layout, Resources};

/// A parent cgroup for one test; goes away with all below it, however the test ends.
pub struct Scene {
    pub layout: Layout,
    pub parent: String,
}

impl Scene {
    pub fn new(test: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root"
        );
        let layout = Layout::discover().unwrap();
        println!("layout: {}", layout.kind());
        assert!(
            !layout.hierarchies().is_empty(),
            "these tests need a cgroup file system"
        );
        let parent = format!("/soute-test-{}-{test}", std::process::id());
        Self { layout, parent }
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.parent)
    }

    pub fn create(&self, name: &str, resources: &Resources) -> Result<Cgroup, CgroupError> {
        self.create_with(name, resources, &[])
    }

    pub fn create_with(
        &self,
        name: &str,
        resources: &Resources,
        rules: &[DeviceRule],
    ) -> Result<Cgroup, CgroupError> {
        Cgroup::create(&self.layout, &self.path(name), resources, rules)
    }

    /// The text of a file of the cgroup, in the hierarchy with the controller.
    pub fn text(&self, cgroup: &Cgroup, controller: &str, file: &str) -> String {
        let (_, dir) = cgroup
            .paths()
            .find(|(h, _)| h.has(controller))
            .unwrap_or_else(|| panic!("no {controller}"));
        fs::read_to_string(dir.join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub fn v2_carries(&self, controller: &str) -> bool {
        self.layout.carrier(controller).is_some_and(|h| h.v2)
    }

    /// Where the controller is missing, shows that `resources` is refused with its name, and says so.
    pub fn refused_without(&self, controller: &str, resources: &Resources) -> bool {
        if self.layout.carrier(controller).is_some() {
            return false;
        }
        let error = self.create("refused", resources).unwrap_err();
        assert!(
            matches!(&error, CgroupError::MissingController { controller: c, .. } if *c == controller),
            "{error}"
        );
        self.assert_empty();
        true
    }

    /// Nothing is left below the parent (which may not exist either).
    pub fn assert_empty(&self) {
        self.assert_has_only(&[]);
    }

    /// Below the parent are those alone.
    pub fn assert_has_only(&self, names: &[&str]) {
        for h in self.layout.hierarchies() {
            let dir = h.mount.join(&self.parent[1..]);
            let Ok(entries) = fs::read_dir(&dir) else {
                continue;
            };
            for entry in entries {
                let entry = entry.unwrap();
                assert!(
                    !entry.file_type().unwrap().is_dir()
                        || names.iter().any(|name| entry.file_name() == *name),
                    "left behind: {:?}",
                    entry.path()
                );
            }
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Ok(all) = Cgroup::open(&self.layout, &self.parent) {
            let removed = all.remove();
            if !std::thread::panicking() {
                removed.unwrap();
            }
        }
    }
}

/// A shell that waits for [`Shell::go`] before it runs its script; killed when dropped.
pub struct Shell(pub Child);

impl Shell {
    pub fn new(script: &str) -> Self {
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("read go || exit 9\n{script}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub fn within(script: &str, cgroup: &Cgroup) -> Self {
        let shell = Self::new(script);
        cgroup.join(shell.pid()).unwrap();
        shell
    }

    pub fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the shell does not end"
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// Runs the script to its end: status, standard output, standard error.
    pub fn finish(mut self) -> (ExitStatus, String, String) {
        self.go();
        let status = self.wait();
        let (mut out, mut err) = (String::new(), String::new());
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (status, out, err)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{what}: not within 10 s"
        );
        sleep(Duration::from_millis(2));
    }
}
