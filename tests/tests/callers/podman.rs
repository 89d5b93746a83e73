//! Podman, with `--runtime`.

use std::process::Command;

use soute_tests::{Outcome, Terminal, output, place};

use crate::engine::{Engine, tests};
use crate::scenes;
use crate::stage::Stage;

/// With a registry's name, so that no other is looked for.
const IMAGE: &str = "localhost/busybox";

/// All its folders are the stage's; its containers are removed on drop.
struct Podman<'a> {
    stage: &'a Stage,
    /// In place of its own.
    runtime: Option<String>,
}

impl<'a> Podman<'a> {
    #[track_caller]
    fn new(stage: &'a Stage) -> Self {
        Self::with(stage, Some(stage.runtime()))
    }

    #[track_caller]
    fn with_its_own_runtime(stage: &'a Stage) -> Self {
        Self::with(stage, None)
    }

    #[track_caller]
    fn with(stage: &'a Stage, runtime: Option<String>) -> Self {
        let podman = Self { stage, runtime };
        let tar = place::busybox().display().to_string();
        output(podman.command().args(["import", "--quiet", &tar, IMAGE])).success();
        podman
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        for (flag, folder) in [
            ("--root", "podman/root"),
            ("--runroot", "podman/run"),
            ("--tmpdir", "podman/tmp"),
        ] {
            command.arg(flag).arg(self.stage.path(folder));
        }
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=file"]);
        command.args(["--storage-driver=overlay", "--log-level=error"]);
        if let Some(runtime) = &self.runtime {
            command.arg("--runtime").arg(runtime);
        }
        command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
        command
    }
}

impl Engine for Podman<'_> {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn image(&self) -> &'static str {
        IMAGE
    }

    #[track_caller]
    fn call(&self, words: &[&str]) -> Outcome {
        let mut command = self.command();
        match words {
            ["run", rest @ ..] => {
                let cgroup = self.stage.cgroup();
                command.args(["run", "--cgroup-parent", &cgroup, "--log-driver=k8s-file"]);
                command.args(modest_limits(rest));
                command.args(rest);
            }
            words => {
                command.args(words);
            }
        }
        output(&mut command)
    }
}

/// Podman's own defaults are more than a caller may give that has lower limits, and no right to raise them.
fn modest_limits(words: &[&str]) -> Vec<&'static str> {
    let mut limits = vec!["--ulimit=nproc=4096:4096"];
    if !words.contains(&"--ulimit") {
        limits.push("--ulimit=nofile=1024:1024");
    }
    limits
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        let removed = output(
            self.command()
                .args(["rm", "--force", "--all", "--time", "0"]),
        );
        // Conmon outlives its container by a moment, and the storage is mounted until it is told.
        let unmounted = output(self.command().args(["unmount", "--all", "--force"]));
        if !std::thread::panicking() {
            removed.success();
            unmounted.success();
        }
    }
}

tests!(Podman::new);

#[test]
fn the_runtime_is_the_one_that_is_named() {
    let stage = Stage::new();
    let podman = Podman::new(&stage);
    let name = ["--format", "{{.Host.OCIRuntime.Path}}"];
    let info = output(podman.command().arg("info").args(name));
    info.success().prints(&stage.runtime());
    let bogus = output(
        podman
            .command()
            .args(["--runtime", "/no/such/runtime", "info"]),
    );
    assert_ne!(bogus.code, 0, "{bogus}");
}

#[test]
fn a_person_sits_at_a_terminal() {
    let stage = Stage::new();
    let podman = Podman::new(&stage);
    let mut command = podman.command();
    let cgroup = stage.cgroup();
    command.args([
        "run",
        "--rm",
        "-it",
        "--network",
        "none",
        "--cgroup-parent",
        &cgroup,
    ]);
    command.args(modest_limits(&[]));
    let mut terminal = Terminal::start(command.args([IMAGE, "sh"]));
    terminal.expect("#");
    terminal.send("stty size; exit 5\r");
    terminal.expect("24 80");
    assert_eq!(terminal.finish().0, 5);
}

#[test]
fn the_story_on_its_containers() {
    let stage = Stage::new();
    scenes::all(&Podman::new(&stage), &stage.world);
}

#[test]
fn the_story_on_containers_of_crun() {
    let stage = Stage::new();
    let podman = Podman::with_its_own_runtime(&stage);
    let info = ["info", "--format", "{{.Host.OCIRuntime.Name}}"];
    podman.call(&info).prints("crun");
    scenes::all(&podman, &stage.world);
}
