//! A hostile root file system, and what lies outside of it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use soute_tests::{Outcome, World, output};

/// How a container's user namespace can be had: with `host`, its root is the machine's.
pub const USER_NAMESPACES: [&str; 2] = ["auto", "host"];

/// A world with a root file system of the attacker's making, and a folder that no container may reach.
pub struct Attack {
    pub world: World,
    /// Taken by `--rootfs`.
    pub root: PathBuf,
    /// Holds nothing but the file `secret`.
    pub outside: PathBuf,
}

impl Attack {
    #[track_caller]
    pub fn new() -> Self {
        let world = World::empty();
        let root = world.rootfs("image");
        let outside = world.path("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "SECRET\n").unwrap();
        Self {
            world,
            root,
            outside,
        }
    }

    /// Compiles `source` (C), statically, to /bin/NAME of the root file system; its path on the machine.
    #[track_caller]
    pub fn program(&self, name: &str, source: &str) -> PathBuf {
        let file = self.world.path(&format!("{name}.c"));
        std::fs::write(&file, source).unwrap();
        let program = self.root.join("bin").join(name);
        let mut compiler = Command::new("cc");
        compiler.args(["-static", "-O1", "-w", "-o"]);
        output(compiler.arg(&program).arg(&file)).success();
        program
    }

    /// The words of `soute run FLAGS COMMAND` on the hostile root.
    pub fn words(&self, flags: &[&str], command: &[&str]) -> Vec<String> {
        let root = self.root.to_str().unwrap();
        let words = [&["run"], flags, &["--rootfs", root], command].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    /// `soute run --rm FLAGS COMMAND` on the hostile root.
    #[track_caller]
    pub fn run(&self, flags: &[&str], command: &[&str]) -> Outcome {
        let flags = [&["--rm"], flags].concat();
        self.world.soute(self.words(&flags, command))
    }

    /// Starts the container `name` on the hostile root and waits until it has said `word`.
    #[track_caller]
    pub fn start(&self, name: &str, flags: &[&str], command: &[&str], word: &str) {
        let flags = [&["-d", "--name", name], flags].concat();
        self.world.soute(self.words(&flags, command)).success();
        self.wait_for(name, word);
    }

    /// Waits until the container `name` has said `word`; all that it has said.
    #[track_caller]
    pub fn wait_for(&self, name: &str, word: &str) -> String {
        let mut said = String::new();
        soute_tests::wait_until(&format!("{name} says {word:?}"), || {
            said = self.world.soute(["logs", name]).stdout;
            said.contains(word)
        });
        said
    }

    /// Replaces `path` of the hostile root by a link to `target`.
    #[track_caller]
    pub fn link(&self, path: &str, target: impl AsRef<Path>) {
        let path = self.root.join(path);
        match std::fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => std::fs::remove_dir_all(&path).unwrap(),
            Ok(_) => std::fs::remove_file(&path).unwrap(),
            Err(_) => {}
        }
        symlink(target, path).unwrap();
    }

    /// A path to `outside` by way of more `..` than there are folders.
    pub fn up_to_outside(&self) -> PathBuf {
        let outside = self.outside.strip_prefix("/").unwrap();
        Path::new("../../../../../../../../../..").join(outside)
    }

    /// Fails if anything was made, changed or removed outside.
    #[track_caller]
    pub fn assert_outside_untouched(&self) {
        let names: Vec<_> = std::fs::read_dir(&self.outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"], "something was made outside");
        let secret = std::fs::read_to_string(self.outside.join("secret")).unwrap();
        assert_eq!(secret, "SECRET\n", "the file outside was changed");
    }
}

/// `command`, called by a shell that has folders and files of the machine open as descriptors 3, 4, 5 and 9.
pub fn with_descriptors(command: &Command, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    let open = format!(
        "exec 3<'{0}' 4</ 5>>/dev/null 9</etc; exec \"$@\"",
        folder.display()
    );
    shell.args(["-c", &open, "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.expect("the world only sets variables"));
    }
    shell
}
