//! Who is measured: each engine's shortest way to one program in one container.

use std::fmt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Options;
use super::bed::Bed;
use super::layout::{EXEC, Layout};
use super::left_out::LeftOut;
use super::limit::{LIMIT, Running, output};
use super::measure::Subject;
use super::rates::Numbered;
use crate::shell;

/// The names that the report's ratios are made of.
pub const FLOOR: &str = "floor";
/// The engine itself.
pub const SOUTE: &str = "soute";
/// crun's bare bundle.
pub const CRUN: &str = "crun";
/// crun with the seccomp profile, as soute has one.
pub const CRUN_SECCOMP: &str = "crun, seccomp";
/// soute as an OCI runtime, on what `runc spec` writes.
pub const RUNTIME: &str = "soute runtime";
/// The same with the seccomp profile.
pub const RUNTIME_SECCOMP: &str = "soute runtime, seccomp";
/// runc's bare bundle.
pub const RUNC: &str = "runc";
/// runc with the seccomp profile.
pub const RUNC_SECCOMP: &str = "runc, seccomp";
/// youki on what `runc spec` writes; its `run` leaves the container, which is deleted.
pub const YOUKI: &str = "youki, run and delete";
/// Podman's command.
pub const PODMAN: &str = "podman";
/// Docker's command.
pub const DOCKER: &str = "docker";

/// One program in a new container.
pub fn run<'a>(bed: &'a Bed, layout: Layout, options: Options, docker: bool) -> Vec<Subject<'a>> {
    let mut subjects = vec![
        subject("busybox true, no container", false, || {
            let mut command = Command::new(bed.rootfs().join("bin/busybox"));
            command.arg("true");
            command
        }),
        subject(FLOOR, false, move || floor(bed, layout)),
        subject(SOUTE, false, || {
            with(
                bed.soute(),
                &["run", "--rm", "--network", "none", "busybox", "/bin/true"],
            )
        }),
    ];
    for (name, runtime, bundle) in [
        (CRUN, CRUN_COMMAND, "crun"),
        (CRUN_SECCOMP, CRUN_COMMAND, "crun-seccomp"),
        (RUNC, RUNC_COMMAND, "runc"),
        (RUNC_SECCOMP, RUNC_COMMAND, "runc-seccomp"),
        (RUNTIME, Bed::runtime, "runc"),
        (RUNTIME_SECCOMP, Bed::runtime, "runc-seccomp"),
    ] {
        let container = Container::new(bed, runtime, bundle, name);
        let slow = name.starts_with("runc");
        subjects.push(container.subject(name, slow, |it| vec![it.made_by(&["run"])]));
    }
    let youki = Container::new(bed, Bed::youki, "runc", "youki");
    subjects.push(youki.subject(YOUKI, true, |it| vec![it.made_by(&["run"]), it.deleted()]));
    let engine = |command: Command| {
        with(
            command,
            &["run", "--rm", "--network", "none", "busybox", "/bin/true"],
        )
    };
    if !options.quick {
        subjects.push(subject(PODMAN, true, move || engine(bed.podman())));
    }
    if docker {
        subjects.push(subject(DOCKER, true, move || engine(bed.docker())));
    }
    subjects
}

/// The floor's run of the same root file system.
fn floor(bed: &Bed, layout: Layout) -> Command {
    let mut command = bed.floor("run", layout);
    command.arg(bed.rootfs()).arg("/bin/true");
    command
}

/// `crun`.
const CRUN_COMMAND: fn(&Bed) -> Command = |bed| bed.oci("crun");
/// `runc`.
const RUNC_COMMAND: fn(&Bed) -> Command = |bed| bed.oci("runc");

/// How the names of all bundles' containers begin, and those of their cgroups.
pub const PREFIX: &str = "soute-bench-";

/// A bundle's container, by an OCI runtime.
struct Container<'a> {
    bed: &'a Bed,
    runtime: fn(&Bed) -> Command,
    bundle: &'static str,
    id: String,
}

impl<'a> Container<'a> {
    /// `what` tells it from all others: they have their cgroups side by side.
    fn new(
        bed: &'a Bed,
        runtime: fn(&Bed) -> Command,
        bundle: &'static str,
        what: impl fmt::Display,
    ) -> Self {
        let id = format!("{PREFIX}{what}").replace([' ', ','], "-");
        Self {
            bed,
            runtime,
            bundle,
            id,
        }
    }

    /// `RUNTIME WORDS --bundle BUNDLE ID`, with the words `run` or `create`.
    fn made_by(&self, words: &[&str]) -> Command {
        let mut command = with((self.runtime)(self.bed), words);
        command.arg("--bundle").arg(self.bed.path(self.bundle));
        with(command, &[&self.id])
    }

    /// `RUNTIME WORD ID`.
    fn told(&self, word: &str) -> Command {
        with((self.runtime)(self.bed), &[word, &self.id])
    }

    /// `RUNTIME delete --force ID`.
    fn deleted(&self) -> Command {
        with((self.runtime)(self.bed), &["delete", "--force", &self.id])
    }

    /// What `commands` make of it is measured.
    fn subject(
        self,
        name: &'static str,
        slow: bool,
        commands: fn(&Self) -> Vec<Command>,
    ) -> Subject<'a> {
        let container = Rc::new(self);
        let failed = Rc::clone(&container);
        Subject {
            name,
            commands: Box::new(move || commands(&container)),
            clear: Some(Box::new(move || failed.deleted())),
            slow,
        }
    }
}

/// What a caller makes of a container: it is created, started and removed.
pub fn life(bed: &Bed) -> Vec<Subject<'_>> {
    let life = |name, slow, runtime, bundle| {
        let container = Container::new(bed, runtime, bundle, format!("life-{name}"));
        container.subject(name, slow, |it| {
            vec![it.made_by(&["create"]), it.told("start"), it.deleted()]
        })
    };
    vec![
        life(RUNTIME, false, Bed::runtime as fn(&Bed) -> Command, "runc"),
        life(CRUN, false, CRUN_COMMAND, "crun"),
        life(RUNC, true, RUNC_COMMAND, "runc"),
    ]
}

/// Runs of which many are at once.
pub fn numbered(bed: &Bed, layout: Layout) -> Vec<Numbered<'_>> {
    let run = |name, runtime: fn(&Bed) -> Command, bundle| {
        move |number: usize| {
            let container = Container::new(bed, runtime, bundle, format!("{name}-{number}"));
            container.subject(name, false, |it| vec![it.made_by(&["run"])])
        }
    };
    let floor = move |_| subject(FLOOR, false, move || floor(bed, layout));
    vec![
        (FLOOR, Box::new(floor)),
        (RUNTIME, Box::new(run(RUNTIME, Bed::runtime, "runc"))),
        (CRUN, Box::new(run(CRUN, CRUN_COMMAND, "crun"))),
    ]
}

fn subject<'a>(name: &'static str, slow: bool, command: impl Fn() -> Command + 'a) -> Subject<'a> {
    Subject {
        name,
        commands: Box::new(move || vec![command()]),
        clear: None,
        slow,
    }
}

fn with(mut command: Command, words: &[&str]) -> Command {
    command.args(words);
    command
}

/// Containers that run while others enter them.
pub struct Held<'a> {
    bed: &'a Bed,
    layout: Layout,
    floor: Running,
    floor_init: String,
    /// By the name of who enters it.
    containers: Vec<(&'static str, Container<'a>)>,
}

impl<'a> Held<'a> {
    /// Starts one container with each engine; a peer that cannot is left out of what is to come.
    pub fn start(bed: &'a Bed, layout: Layout, left_out: &mut LeftOut) -> Result<Self> {
        let pid_file = bed.path("floor.pid");
        // The one of the layout before is no container any more.
        let _ = std::fs::remove_file(&pid_file);
        let mut floor = bed.floor("run", layout);
        floor
            .arg("-p")
            .arg(&pid_file)
            .arg(bed.rootfs())
            .args(["/bin/sleep", "1000000"])
            .stdin(Stdio::null());
        let floor = Running::start(&mut floor)?;
        let mut held = Self {
            bed,
            layout,
            floor,
            floor_init: String::new(),
            containers: vec![
                (
                    CRUN,
                    Container::new(bed, CRUN_COMMAND, "crun-idle", "idle-crun"),
                ),
                (
                    RUNC,
                    Container::new(bed, RUNC_COMMAND, "runc-idle", "idle-runc"),
                ),
                (
                    RUNTIME,
                    Container::new(bed, Bed::runtime, "runc-idle", "idle-soute"),
                ),
            ],
        };
        let end = Instant::now() + Duration::from_secs(10);
        while !held.floor_init.ends_with('\n') {
            if Instant::now() > end {
                bail!("the floor wrote no pid to {}", pid_file.display());
            }
            std::thread::sleep(Duration::from_millis(5));
            held.floor_init = std::fs::read_to_string(&pid_file).unwrap_or_default();
        }
        held.floor_init.truncate(held.floor_init.len() - 1);
        for (name, container) in &held.containers {
            let mut run = container.made_by(&["run", "--detach"]);
            left_out.attempt(name, EXEC, || output(&mut run, LIMIT))?;
        }
        let flags = ["run", "-d", "--name", "held", "--network", "none"];
        let mut run = with(bed.soute(), &flags);
        output(run.args(["busybox", "/bin/sleep", "1000000"]), LIMIT)?;
        Ok(held)
    }

    /// One program in a container that runs.
    pub fn exec(&self) -> Vec<Subject<'_>> {
        let mut subjects = vec![
            subject(FLOOR, false, || {
                with(
                    self.bed.floor("exec", self.layout),
                    &[&self.floor_init, "/bin/true"],
                )
            }),
            subject(SOUTE, false, || {
                with(self.bed.soute(), &["exec", "held", "/bin/true"])
            }),
        ];
        for (name, container) in &self.containers {
            let exec = || with(container.told("exec"), &["/bin/true"]);
            subjects.push(subject(name, *name == RUNC, exec));
        }
        subjects
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // The floor takes its cgroup away when its container's first process is killed.
        let kill = shell::kill("KILL", &self.floor_init);
        if let Err(error) = kill.and_then(|()| self.floor.wait(LIMIT)) {
            eprintln!("xtask: {error:#}");
        }
        let deleted = self.containers.iter().map(|(_, it)| it.deleted());
        for mut command in deleted.chain([with(self.bed.soute(), &["rm", "--force", "held"])]) {
            if let Err(error) = output(&mut command, LIMIT) {
                eprintln!("xtask: {error:#}");
            }
        }
    }
}
