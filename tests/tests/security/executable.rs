//! soute's own executable cannot be changed from inside.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use soute_tests::output;

use crate::attack::{Attack, USER_NAMESPACES};

/// The command with another executable: a copy, so that the tests' own is out of danger.
fn by(executable: &PathBuf, command: &Command) -> Command {
    let mut by = Command::new(executable);
    by.args(command.get_args());
    for (name, value) in command.get_envs() {
        by.env(name, value.expect("the world only sets variables"));
    }
    by
}

struct Scene {
    attack: Attack,
    /// The soute that is attacked.
    target: PathBuf,
    original: Vec<u8>,
}

impl Scene {
    /// A container of another soute, as one that was installed before, in which an attacker waits: so nobody else
    /// executes the one that is attacked, and the kernel's "text file busy" is no defence.
    fn new(userns: &str) -> Self {
        let attack = Attack::new();
        attack.program("overwrite", include_str!("programs/overwrite.c"));
        let script = attack.root.join("entry");
        std::fs::write(&script, "#!/proc/self/exe\n").unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        attack.start("attacker", &["--userns", userns], &["overwrite"], "waiting");
        let installed = attack.world.command(["version"]);
        let target = attack.world.path("soute");
        std::fs::copy(installed.get_program(), &target).unwrap();
        let original = std::fs::read(&target).unwrap();
        Self {
            attack,
            target,
            original,
        }
    }

    /// Lures the attacked soute in until the attacker has seen it: it is there for some milliseconds only.
    #[track_caller]
    fn lure(&self, words: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) {
        let command = self.attack.world.command(words);
        soute_tests::wait_until("the attacker catches it", || {
            for _ in 0..5 {
                let outcome = output(&mut by(&self.target, &command));
                // It is soute indeed, in there, that knows no command of this name.
                outcome.fails(1, &["soute", "/entry"]);
            }
            let said = self.attack.world.soute(["logs", "attacker"]);
            said.stdout.contains("caught")
        });
    }

    #[track_caller]
    fn judge(self) {
        let said = self.attack.wait_for("attacker", "end:");
        let now = std::fs::read(&self.target).unwrap();
        assert!(now == self.original, "soute was overwritten: {said}");
        // Should the write have gone to a copy of which another command is made.
        assert!(!said.contains("OVERWRITTEN"), "{said}");
    }
}

/// CVE-2019-5736: a process enters whose program is `#!/proc/self/exe`. The defences are the user namespace, in which
/// the executable's owner is nobody, and without one the other mount (the engine's sealed.rs, `shield_in`).
#[test]
fn a_process_that_enters_gives_nothing_away() {
    for userns in USER_NAMESPACES {
        let scene = Scene::new(userns);
        scene.lure(["exec", "attacker", "/entry"]);
        scene.judge();
    }
}

/// The same by a new container that shares the attacker's processes (`shield`, with the container that is joined).
#[test]
fn a_container_that_starts_gives_nothing_away() {
    for userns in USER_NAMESPACES {
        let scene = Scene::new(userns);
        let words = scene
            .attack
            .words(&["--rm", "--pid", "container:attacker"], &["/entry"]);
        scene.lure(words);
        scene.judge();
    }
}

/// Where the executable cannot be exchanged, the command begins anew, and before it reads what cannot be read twice. Here
/// the file is on a mount of another mount namespace, of which the kernel makes no copies.
#[test]
fn a_sealed_command_still_has_its_input() {
    let attack = Attack::new();
    let script = r#"exec 9<"$1"; shift
        printf 'FROM=a pipe\n' | strace --output="$LOG" --trace=execveat unshare --mount /proc/self/fd/9 "$@""#;
    let words = ["--rm", "--userns", "host", "--env-file", "/dev/stdin"];
    let command = attack
        .world
        .command(attack.words(&words, &["sh", "-c", "echo $FROM"]));
    let log = attack.world.path("trace");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .env("LOG", &log);
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    output(shell.args(command.get_args()))
        .success()
        .prints("a pipe");
    let calls = std::fs::read_to_string(log).unwrap();
    assert!(calls.contains("AT_EMPTY_PATH) = 0"), "{calls}");
}
