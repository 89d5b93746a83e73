//! Attacks on a runtime: by the image, by a program inside, by who shares a folder, by values.
//!
//! Each case plays one, and says which line is the defence: with that line taken out it has been seen to fail. What is
//! the same for `soute run` is in `tests/tests/security/`, whose programs are used here, too.

pub mod cgroups;
pub mod descriptors;
pub mod exchange;
pub mod executable;
pub mod ids;
pub mod links;
pub mod peeking;
pub mod privileges;
pub mod sysctls;
pub mod terminal;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use soute_tests::output;

use crate::bench::Bench;
use crate::bundle::Bundle;

/// A folder of the machine that no container may reach. Holds nothing but the file `secret`.
pub struct Outside(PathBuf);

impl Outside {
    #[track_caller]
    pub fn new(bench: &Bench) -> Self {
        let folder = bench.path("outside");
        fs::create_dir(&folder).expect("a new folder");
        fs::write(folder.join("secret"), "SECRET\n").expect("a file");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path to it by way of more `..` than there are folders.
    pub fn up(&self) -> PathBuf {
        let path = self.0.strip_prefix("/").expect("an absolute path");
        Path::new("../../../../../../../../../..").join(path)
    }

    /// Fails if anything was made, changed or removed there.
    #[track_caller]
    pub fn is_untouched(&self) {
        let names: Vec<_> = fs::read_dir(&self.0)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["secret"], "something was made outside");
        let secret = fs::read_to_string(self.0.join("secret")).expect("the file");
        assert_eq!(secret, "SECRET\n", "the file outside was changed");
    }
}

/// Replaces `path` of a bundle's root by a link to `target`.
#[track_caller]
pub fn link(bundle: &Bundle, path: &str, target: impl AsRef<Path>) {
    let path = bundle.rootfs().join(path);
    match fs::symlink_metadata(&path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&path).expect("removed"),
        Ok(_) => fs::remove_file(&path).expect("removed"),
        Err(_) => {}
    }
    symlink(target, path).expect("a link");
}

/// Compiles `source` (C), statically, to /bin/NAME of a bundle's root; its path on the machine.
#[track_caller]
pub fn program(bench: &Bench, bundle: &Bundle, name: &str, source: &str) -> PathBuf {
    let file = bench.path(&format!("{name}.c"));
    fs::write(&file, source).expect("a file");
    let program = bundle.rootfs().join("bin").join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-static", "-O1", "-w", "-o"]);
    output(compiler.arg(&program).arg(&file)).success();
    program
}

/// Sets the mode of a file.
#[track_caller]
pub fn set_mode(file: &Path, mode: u32) {
    let file = fs::File::open(file).expect("the file");
    let mode = PermissionsExt::from_mode(mode);
    file.set_permissions(mode).expect("fchmod");
}

/// Has a hook look at the container while the machine's files are still in sight, which is when mounts are made there.
pub fn with_the_machine_in_sight(bundle: &mut Bundle) {
    let hook = json!([{"path": "/bin/true", "args": ["true"]}]);
    bundle.set("/hooks/createContainer", hook);
}

/// `command`, called by a shell that has folders and files of the machine open as descriptors 3, 4, 5 and 9.
pub fn with_descriptors(command: &Command, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    let open = format!(
        "exec 3<'{}' 4</ 5>>/dev/null 9</etc; exec \"$@\"",
        folder.display()
    );
    shell.args(["-c", &open, "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.expect("variables are only set"));
    }
    shell
}
