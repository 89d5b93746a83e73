//! A bundle: a root file system and a `config.json` to be changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use soute_tests::{Layout, layout, output};

use crate::place;

/// A folder with `rootfs` and `config.json`, which is written when a runtime is called.
pub struct Bundle {
    folder: PathBuf,
    /// What will be written.
    pub config: Value,
}

impl Bundle {
    /// busybox, run as [`default_config`] says.
    #[track_caller]
    pub fn new(folder: PathBuf, mark: &str) -> Self {
        let bundle = Self {
            folder,
            config: default_config(mark),
        };
        fs::create_dir_all(bundle.rootfs()).expect("a new folder");
        let mut tar = Command::new("tar");
        tar.arg("--extract").arg("--file").arg(place::busybox());
        output(tar.arg("--directory").arg(bundle.rootfs())).success();
        bundle
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The root file system's folder.
    pub fn rootfs(&self) -> PathBuf {
        self.folder.join("rootfs")
    }

    /// Sets what is at `pointer` (RFC 6901), and what must be around it.
    #[track_caller]
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        *self.at(pointer) = value;
        self
    }

    /// Adds to the list at `pointer`.
    #[track_caller]
    pub fn push(&mut self, pointer: &str, value: Value) -> &mut Self {
        let list = self.at(pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("a list").push(value);
        self
    }

    /// Removes what is at `pointer`, which is there.
    #[track_caller]
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = self.at(parent).as_object_mut().expect("an object");
        parent.remove(name).expect("a field that is there");
        self
    }

    /// Removes the elements of the list at `pointer` of which `which` is true.
    #[track_caller]
    pub fn without(&mut self, pointer: &str, which: impl Fn(&Value) -> bool) -> &mut Self {
        let list = self.at(pointer).as_array_mut().expect("a list");
        list.retain(|element| !which(element));
        self
    }

    /// The program and its arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// A shell's script as the program.
    pub fn sh(&mut self, script: &str) -> &mut Self {
        self.args(&["sh", "-c", script])
    }

    /// Adds a mount.
    pub fn mount(
        &mut self,
        kind: &str,
        source: &str,
        destination: &str,
        options: &[&str],
    ) -> &mut Self {
        let mount = json!({
            "type": kind, "source": source, "destination": destination, "options": options,
        });
        self.push("/mounts", mount)
    }

    /// A further namespace, `path` if it is somebody's; in the place of the one of that kind.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.without_namespace(kind);
        let mut namespace = json!({"type": kind});
        if let Some(path) = path {
            namespace["path"] = json!(path);
        }
        self.push("/linux/namespaces", namespace)
    }

    /// Without that namespace of its own.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        self.without("/linux/namespaces", |namespace| namespace["type"] == kind)
    }

    /// Gives these capabilities in the sets that root needs.
    pub fn capabilities(&mut self, capabilities: &[&str]) -> &mut Self {
        for set in ["bounding", "effective", "permitted"] {
            self.set(&format!("/process/capabilities/{set}"), json!(capabilities));
        }
        self
    }

    /// Writes `config.json`.
    #[track_caller]
    pub fn write(&self) {
        self.write_text(&self.config.to_string());
    }

    /// Writes something else in its place.
    #[track_caller]
    pub fn write_text(&self, text: &str) {
        fs::write(self.folder.join("config.json"), text).expect("config.json");
    }

    #[track_caller]
    fn at(&mut self, pointer: &str) -> &mut Value {
        let mut value = &mut self.config;
        for name in pointer.split('/').skip(1) {
            value = match value {
                Value::Array(list) => {
                    let index: usize = name.parse().expect("an index");
                    list.get_mut(index).expect("an element")
                }
                other => &mut other[name],
            };
        }
        value
    }
}

/// What `runc spec` writes, without a terminal; processes carry `mark`, so that none is left unseen.
fn default_config(mark: &str) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/bin", "TERM=xterm", mark],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    if layout() == Layout::V2 {
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        namespaces.expect("a list").push(json!({"type": "cgroup"}));
    }
    config
}
