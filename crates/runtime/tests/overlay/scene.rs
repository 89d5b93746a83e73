//! Layers to stack, a user namespace to map them into, and an eye on what is left.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use soute_runtime::mounts::overlay::Overlay;
use soute_runtime::plan::{Layers, Upper};
use soute_sys::process::{Cloned, clone3, exit_now, flags};

/// What the container's ids begin at on the machine.
pub const FIRST_ID: u32 = 1_879_048_192;
/// User and group of the container's root on the machine.
pub const ROOT: (u32, u32) = (FIRST_ID, FIRST_ID);

/// Two layers and a folder for changes, on a disk: idmapped mounts of tmpfs came late (Linux 6.3).
pub struct Scene {
    folder: tempfile::TempDir,
    pub rootfs: Layers,
}

impl Scene {
    pub fn new() -> Self {
        rustix::process::umask(Mode::empty());
        let folder = tempfile::Builder::new()
            .prefix("soute-overlay-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let changes = folder.path().join("changes");
        fs::create_dir(&changes).unwrap();
        let mut scene = Self {
            folder,
            rootfs: Layers {
                lower: Vec::new(),
                upper: Upper::Folder {
                    path: changes,
                    volatile: true,
                },
            },
        };
        scene.layer(0);
        scene.layer(1);
        scene
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new layer on top of the others.
    pub fn layer(&mut self, number: usize) {
        let layer = self.folder(&number.to_string());
        fs::create_dir(&layer).unwrap();
        self.rootfs.lower.push(layer);
    }

    pub fn file(&self, layer: usize, name: &str, text: &str) {
        fs::write(self.folder(&layer.to_string()).join(name), text).unwrap();
    }

    pub fn lower(&self, layer: usize, name: &str) -> String {
        fs::read_to_string(self.folder(&layer.to_string()).join(name)).unwrap()
    }
}

/// A file of the overlay.
pub fn read(overlay: &Overlay, name: &str) -> String {
    let mut text = String::new();
    super::open(overlay, name, OFlags::RDONLY)
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// Makes or replaces a file of the overlay.
pub fn write(overlay: &Overlay, name: &str, text: &str) {
    super::open(
        overlay,
        name,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
    )
    .write_all(text.as_bytes())
    .unwrap();
}

/// A user namespace that maps 65536 ids from 0 to [`FIRST_ID`]; its process is gone when this returns.
pub fn user_namespace() -> OwnedFd {
    let (closed_at_the_end, held) = std::io::pipe().unwrap();
    match clone3(flags::NEWUSER, None).expect("clone3: these tests need root") {
        Cloned::Child => {
            drop(held);
            let _ = (&closed_at_the_end).read(&mut [0]);
            exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
            for map in ["uid_map", "gid_map"] {
                fs::write(process.join(map), format!("0 {FIRST_ID} 65536")).unwrap();
            }
            let namespace = fs::File::open(process.join("ns/user")).unwrap();
            drop(held);
            let _ = rustix::process::waitid(
                rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)),
                rustix::process::WaitIdOptions::EXITED,
            );
            namespace.into()
        }
    }
}

/// The mount table, this process's children and its descriptors.
#[derive(Debug, PartialEq, Eq)]
pub struct Watch {
    pub mounts: String,
    children: String,
    descriptors: usize,
}

impl Watch {
    pub fn new() -> Self {
        Self {
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap(),
            children: fs::read_to_string(format!(
                "/proc/self/task/{}/children",
                std::process::id()
            ))
            .unwrap(),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }

    #[track_caller]
    pub fn assert_unchanged(&self) {
        assert_eq!(self, &Self::new());
    }
}
