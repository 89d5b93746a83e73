//! A Docker daemon of the test's own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{DEADLINE, Mounted, Outcome, World, output, wait_until};

/// `dockerd`, with all its folders in the world's, in the test's mount and network namespace. On drop it ends, with its
/// containers, and nothing of it is left.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Child>,
    folder: PathBuf,
    /// The cgroup below which its containers are, in each hierarchy.
    cgroup: String,
    /// It writes to both, wherever its folders are: its key, its shims' sockets.
    _places: [Mounted; 2],
}

impl Docker {
    /// With the image `busybox`.
    #[track_caller]
    pub fn start(world: &World) -> Self {
        Self::start_with(world, &World::busybox_tar(), &[])
    }

    /// The same, made of that file; the daemon is given further flags.
    #[track_caller]
    pub fn start_with(world: &World, busybox: &Path, flags: &[String]) -> Self {
        let places = [Mounted::changeable(world, "/etc"), Mounted::empty("/run")];
        let folder = world.path("docker");
        fs::create_dir(&folder).unwrap();
        let own = folder.parent().and_then(Path::file_name);
        let cgroup = format!("docker-of-{}", own.expect("the world's").display());
        let file = |name: &str| folder.join(name);
        let log = File::create(file("log")).unwrap();
        let mut dockerd = Command::new("dockerd");
        dockerd.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        dockerd.args(["--ip-forward=false", "--storage-driver=overlay2"]);
        dockerd.arg("--exec-opt=native.cgroupdriver=cgroupfs");
        dockerd.arg(format!("--cgroup-parent=/{cgroup}"));
        dockerd.arg("--data-root").arg(file("root"));
        dockerd.arg("--exec-root").arg(file("run"));
        dockerd.arg("--pidfile").arg(file("pid"));
        dockerd.arg(format!("--host=unix://{}", file("socket").display()));
        dockerd.args(flags).stdin(Stdio::null());
        dockerd.stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = dockerd.spawn().expect("dockerd (package docker.io)");
        let mut docker = Self {
            daemon: Some(daemon),
            folder,
            cgroup,
            _places: places,
        };
        wait_until("dockerd answers", || {
            let daemon = docker.daemon.as_mut().expect("just started");
            if let Some(ended) = daemon.try_wait().expect("wait") {
                let log = fs::read_to_string(docker.folder.join("log")).unwrap_or_default();
                panic!("dockerd: {ended}:\n{log}");
            }
            docker.docker(&["version"]).code == 0
        });
        docker
            .docker(&["import", busybox.to_str().unwrap(), "busybox"])
            .success();
        docker
    }

    /// Runs `docker WORDS` to its end.
    #[track_caller]
    pub fn docker(&self, words: &[&str]) -> Outcome {
        let socket = self.folder.join("socket");
        let mut docker = Command::new("/usr/bin/docker");
        // The distribution's, as the daemon is. What the person running the tests has configured is no concern of theirs.
        docker.env("DOCKER_CONFIG", self.folder.join("config"));
        docker.env_remove("DOCKER_CONTEXT");
        docker.arg(format!("--host=unix://{}", socket.display()));
        output(docker.args(words))
    }

    /// `docker run -d FLAGS busybox sleep 1000`; the container's id.
    #[track_caller]
    pub fn detached(&self, flags: &[&str]) -> String {
        let run = ["run", "-d", "--network", "none", "--stop-timeout", "0"];
        let command = ["busybox", "sleep", "1000"];
        let outcome = self.docker(&[&run[..], flags, &command].concat());
        outcome.text().to_owned()
    }

    /// The first process of a container; 0 if it does not run.
    #[track_caller]
    pub fn pid(&self, container: &str) -> u32 {
        let inspect = ["inspect", "--format", "{{.State.Pid}}", container];
        self.docker(&inspect).text().parse().expect("a number")
    }

    /// SIGTERM, as `systemctl stop` sends it, and the end of all that it is.
    #[track_caller]
    pub fn stop(&mut self) {
        assert!(self.ends(), "dockerd does not end within {DEADLINE:?}");
    }

    fn ends(&mut self) -> bool {
        let Some(mut daemon) = self.daemon.take() else {
            return true;
        };
        let pid = rustix::process::Pid::from_child(&daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if daemon.try_wait().expect("wait").is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
        false
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The test may have its failure; another panic would hide it.
        let fine = !std::thread::panicking();
        if fine && self.daemon.is_some() {
            let ids = self.docker(&["ps", "-aq"]).stdout;
            for id in ids.split_whitespace() {
                self.docker(&["rm", "-f", id]);
            }
        }
        let ended = self.ends();
        assert!(ended || !fine, "dockerd does not end within {DEADLINE:?}");
        let find = ["/sys/fs/cgroup", "-type", "d", "-name", &self.cgroup];
        let found = output(Command::new("find").args(find).arg("-depth"));
        for cgroup in found.stdout.lines() {
            let removed = fs::remove_dir(cgroup);
            assert!(removed.is_ok() || !fine, "{cgroup}: {removed:?}");
        }
    }
}
