//! containerd by its own client, `ctr run --runc-binary`.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use soute_tests::{DEADLINE, Layout, Mounted, Outcome, layout, make, output, place, wait_until};

use crate::stage::Stage;

const IMAGE: &str = "docker.io/library/busybox:test";

/// The daemon, with the image [`IMAGE`]. On drop its containers are removed, and it ends.
struct Containerd<'a> {
    stage: &'a Stage,
    daemon: Child,
    /// Where its shims listen, wherever its folders are.
    _run: Mounted,
}

impl<'a> Containerd<'a> {
    #[track_caller]
    fn start(stage: &'a Stage) -> Self {
        let run = Mounted::empty("/run");
        // Neither Kubernetes nor snapshotters of other file systems.
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            stage.text("containerd/root"),
            stage.text("containerd/state"),
            stage.text("socket"),
        );
        fs::write(stage.path("config.toml"), config).unwrap();
        let log = File::create(stage.path("log")).unwrap();
        let mut daemon = Command::new("containerd");
        daemon.arg("--config").arg(stage.path("config.toml"));
        daemon.stdin(Stdio::null());
        daemon.stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = daemon.spawn().expect("containerd (package containerd)");
        let mut containerd = Self {
            stage,
            daemon,
            _run: run,
        };
        wait_until("containerd answers", || {
            if let Some(ended) = containerd.daemon.try_wait().expect("wait") {
                let log = fs::read_to_string(stage.path("log")).unwrap_or_default();
                panic!("containerd: {ended}:\n{log}");
            }
            containerd.ctr(&["version"]).code == 0
        });
        let layer = fs::read(place::busybox()).unwrap();
        let parts = make::oci(&[&layer], &json!({"Env": ["PATH=/bin"]}), IMAGE);
        fs::write(stage.path("image.tar"), make::archive(&parts)).unwrap();
        let archive = stage.text("image.tar");
        containerd.ctr(&["images", "import", &archive]).success();
        containerd
    }

    #[track_caller]
    fn ctr(&self, words: &[&str]) -> Outcome {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.stage.path("socket"));
        output(ctr.args(words))
    }

    /// `ctr run FLAGS IMAGE NAME WORDS`
    #[track_caller]
    fn run(&self, flags: &[&str], name: &str, words: &[&str]) -> Outcome {
        let (runtime, cgroup) = (self.stage.runtime(), self.stage.cgroup());
        let cgroup = format!("{cgroup}/{name}");
        let own = ["run", "--runc-binary", &runtime, "--cgroup", &cgroup];
        self.ctr(&[&own[..], flags, &[IMAGE, name], words].concat())
    }

    #[track_caller]
    fn status(&self, name: &str) -> String {
        let tasks = self.ctr(&["tasks", "list"]);
        let line = tasks.text().lines().find(|line| line.starts_with(name));
        let status = line.and_then(|line| line.split_whitespace().nth(2));
        status.unwrap_or("none").to_owned()
    }

    #[track_caller]
    fn becomes(&self, name: &str, status: &str) {
        wait_until(&format!("{name} is {status}"), || {
            self.status(name) == status
        });
    }

    #[track_caller]
    fn remove(&self, name: &str) {
        // Its status is the task's own.
        self.ctr(&["tasks", "delete", "--force", name]);
        self.ctr(&["containers", "delete", name]).success();
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ctr(&["containers", "list", "--quiet"])
                .success()
                .prints("");
        } else {
            for name in self.ctr(&["containers", "list", "--quiet"]).stdout.lines() {
                self.ctr(&["tasks", "delete", "--force", name]);
                self.ctr(&["containers", "delete", name]);
            }
        }
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let end = Instant::now() + DEADLINE;
        while self.daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > end {
                let _ = self.daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn programs_end_as_they_do() {
    let stage = Stage::new();
    let containerd = Containerd::start(&stage);
    let run = containerd.run(&["--rm"], "one", &["echo", "works"]);
    run.success().prints("works");
    containerd
        .run(&["--rm"], "two", &["sh", "-c", "exit 42"])
        .code(42);
    let missing = containerd.run(&["--rm"], "three", &["no-such-program"]);
    assert_ne!(missing.code, 0, "{missing}");
    assert!(missing.stderr.contains("executable file"), "{missing}");
    let left = containerd.ctr(&["containers", "list", "--quiet"]);
    if left.stdout.contains("three") {
        containerd.remove("three");
    }
}

#[test]
fn a_container_lives() {
    let stage = Stage::new();
    let containerd = Containerd::start(&stage);
    containerd.run(&["-d"], "web", &["sleep", "1000"]).success();
    assert_eq!(containerd.status("web"), "RUNNING");
    let exec = ["tasks", "exec", "--exec-id", "e", "web"];
    let exec = |words: &[&str]| containerd.ctr(&[&exec[..], words].concat());
    exec(&["echo", "inside"]).success().prints("inside");
    exec(&["sh", "-c", "exit 7"]).code(7);
    let metrics = containerd.ctr(&["tasks", "metrics", "web"]);
    metrics.success().shows("pids.current");
    containerd.ctr(&["tasks", "ps", "web"]).success();
    containerd.ctr(&["tasks", "pause", "web"]).success();
    assert_eq!(containerd.status("web"), "PAUSED");
    containerd.ctr(&["tasks", "resume", "web"]).success();
    assert_eq!(containerd.status("web"), "RUNNING");
    containerd
        .ctr(&["tasks", "kill", "-s", "KILL", "web"])
        .success();
    containerd.becomes("web", "STOPPED");
    containerd.remove("web");
}

#[test]
fn a_container_is_started_again() {
    let stage = Stage::new();
    let containerd = Containerd::start(&stage);
    containerd.run(&["-d"], "web", &["sleep", "1000"]).success();
    for _ in 0..3 {
        containerd
            .ctr(&["tasks", "kill", "-s", "KILL", "web"])
            .success();
        containerd.becomes("web", "STOPPED");
        containerd.ctr(&["tasks", "delete", "web"]);
        containerd.ctr(&["tasks", "start", "-d", "web"]).success();
        containerd.becomes("web", "RUNNING");
    }
    containerd.remove("web");
}

#[test]
fn limits_reach_the_cgroup() {
    let stage = Stage::new();
    let containerd = Containerd::start(&stage);
    let flags = ["-d", "--memory-limit", "67108864"];
    containerd
        .run(&flags, "limited", &["sleep", "1000"])
        .success();
    let cgroup = stage.cgroup();
    let file = match layout() {
        Layout::V1 => format!("memory{cgroup}/limited/memory.limit_in_bytes"),
        Layout::V2 => format!("{cgroup}/limited/memory.max"),
    };
    let limit = fs::read_to_string(format!("/sys/fs/cgroup/{file}")).unwrap();
    assert_eq!(limit.trim(), "67108864");
    containerd.remove("limited");
}

#[test]
fn fifty_in_a_row() {
    let stage = Stage::new();
    let containerd = Containerd::start(&stage);
    for number in 0..50 {
        let name = format!("run-{number}");
        containerd
            .run(&["--rm"], &name, &["echo", &name])
            .success()
            .prints(&name);
    }
}
