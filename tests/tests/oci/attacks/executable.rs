//! The runtime's own executable cannot be changed from inside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use soute_tests::{Outcome, output, wait_until};

use super::program;
use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    a_process_that_enters_gives_nothing_away,
    a_container_that_starts_gives_nothing_away,
];

struct Scene {
    /// The container of the attacker, who waits for the runtime to come in.
    attacker: String,
    bundle: Bundle,
    /// The runtime that is attacked: a copy, which nobody else executes, so that "text file busy" is no defence.
    target: PathBuf,
    original: Vec<u8>,
}

impl Scene {
    /// Without a user namespace: the attacker is the owner of the executable.
    #[track_caller]
    fn new(bench: &mut Bench) -> Self {
        let mut bundle = bench.bundle();
        let source = include_str!("../../security/programs/overwrite.c");
        program(bench, &bundle, "overwrite", source);
        let script = bundle.rootfs().join("entry");
        fs::write(&script, "#!/proc/self/exe\n").unwrap();
        super::set_mode(&script, 0o755);
        // What root has without asking, what reaches around the modes of files, and what changes mounts.
        bundle.capabilities(&[
            "CAP_DAC_OVERRIDE",
            "CAP_CHOWN",
            "CAP_SYS_PTRACE",
            "CAP_SYS_ADMIN",
        ]);
        bundle.args(&["overwrite"]);
        let attacker = bench.start(&bundle);
        bench.hears(&attacker, "waiting");
        let target = bench.path("runtime");
        fs::copy(bench.command(&[]).get_program(), &target).unwrap();
        let original = fs::read(&target).unwrap();
        Self {
            attacker,
            bundle,
            target,
            original,
        }
    }

    #[track_caller]
    fn by_target(&self, command: &Command) -> Outcome {
        let mut by = Command::new(&self.target);
        by.args(command.get_args());
        for (name, value) in command.get_envs() {
            by.env(name, value.expect("variables are only set"));
        }
        output(&mut by)
    }

    #[track_caller]
    fn judge(self, bench: &Bench, lure: impl Fn(&Self)) {
        wait_until("the attacker catches it", || {
            (0..5).for_each(|_| lure(&self));
            bench.said(&self.attacker).contains("caught")
        });
        bench.hears(&self.attacker, "end:");
        let said = bench.said(&self.attacker);
        let now = fs::read(&self.target).unwrap();
        assert!(now == self.original, "the runtime was overwritten: {said}");
        // Should the write have gone to a copy of which another command is made.
        assert!(!said.contains("OVERWRITTEN"), "{said}");
    }
}

/// CVE-2019-5736: a process enters whose program is `#!/proc/self/exe`. The defence is `put_out_of_reach`
/// in crates/runtime/src/executable.rs: without it the executable begins with what the attacker wrote, and cannot be
/// run any more.
fn a_process_that_enters_gives_nothing_away(bench: &mut Bench) {
    let scene = Scene::new(bench);
    scene.judge(bench, |scene| {
        let exec = bench.command(&["exec", &scene.attacker, "/entry"]);
        // It is soute indeed, in there, that knows no command of this name.
        assert_ne!(scene.by_target(&exec).code, 0);
    });
}

/// The same by a new container that shares the attacker's processes.
fn a_container_that_starts_gives_nothing_away(bench: &mut Bench) {
    let mut scene = Scene::new(bench);
    let processes = format!("/proc/{}/ns/pid", bench.pid(&scene.attacker));
    scene.bundle.namespace("pid", Some(&processes));
    scene.bundle.args(&["/entry"]);
    scene.bundle.write();
    let at = scene.bundle.folder().display().to_string();
    let id = bench.id();
    scene.judge(bench, |scene| {
        let run = bench.command(&["run", "--bundle", &at, &id]);
        assert_ne!(scene.by_target(&run).code, 0);
        bench.call(&["delete", "--force", &id]).success();
    });
}
