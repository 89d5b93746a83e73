//! Who is measured: each engine's shortest way to one program in one container.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Options;
use super::bed::Bed;
use super::bundle;
use super::layout::Layout;
use super::measure::{Subject, time};
use super::rates::Numbered;
use crate::shell::{self, output};

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
    for (name, bundle) in [
        (CRUN, "crun"),
        (CRUN_SECCOMP, "crun-seccomp"),
        (RUNC, "runc"),
        (RUNC_SECCOMP, "runc-seccomp"),
    ] {
        let slow = name.starts_with("runc");
        subjects.push(subject(name, slow, move || bundled(bed, bundle, &[])));
    }
    for (name, bundle) in [(RUNTIME, "runc"), (RUNTIME_SECCOMP, "runc-seccomp")] {
        subjects.push(subject(name, false, move || ours(bed, bundle, &[])));
    }
    subjects.push(Subject {
        name: YOUKI,
        commands: Box::new(move || {
            let delete = with(bed.youki(), &["delete", "--force", "bench-youki"]);
            vec![
                of_bundle(bed.youki(), &["run"], bed, "runc", "bench-youki"),
                delete,
            ]
        }),
        slow: true,
    });
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

/// `crun run` or `runc run` of a bundle.
fn bundled(bed: &Bed, name: &str, flags: &[&str]) -> Command {
    let bundle = bundle::ALL
        .iter()
        .find(|bundle| bundle.name == name)
        .expect("a bundle of the bench");
    let words = [&["run"], flags].concat();
    let id = format!("bench-{name}");
    of_bundle(bed.oci(bundle.runtime), &words, bed, name, &id)
}

/// `soute runtime run` of a bundle of runc's.
fn ours(bed: &Bed, name: &str, flags: &[&str]) -> Command {
    let words = [&["run"], flags].concat();
    let id = format!("bench-soute-{name}");
    of_bundle(bed.runtime(), &words, bed, name, &id)
}

/// A container of that bundle, by that command of a runtime.
fn of_bundle(mut runtime: Command, words: &[&str], bed: &Bed, bundle: &str, id: &str) -> Command {
    runtime.args(words).arg("--bundle").arg(bed.path(bundle));
    with(runtime, &[id])
}

/// What a caller makes of a container: it is created, started and removed.
pub fn life(bed: &Bed) -> Vec<Subject<'_>> {
    let life = |name: &'static str, slow, runtime: fn(&Bed) -> Command, bundle: &'static str| {
        let id = format!("bench-life-{}", name.replace(' ', "-"));
        let commands = move || {
            vec![
                of_bundle(runtime(bed), &["create"], bed, bundle, &id),
                with(runtime(bed), &["start", &id]),
                with(runtime(bed), &["delete", "--force", &id]),
            ]
        };
        Subject {
            name,
            commands: Box::new(commands),
            slow,
        }
    };
    vec![
        life(RUNTIME, false, Bed::runtime, "runc"),
        life(CRUN, false, |bed| bed.oci("crun"), "crun"),
        life(RUNC, true, |bed| bed.oci("runc"), "runc"),
    ]
}

/// Runs of which many are at once.
pub fn numbered(bed: &Bed, layout: Layout) -> Vec<Numbered<'_>> {
    let run = |runtime: fn(&Bed) -> Command, bundle: &'static str| {
        move |number: usize| {
            let id = format!("bench-{number}");
            of_bundle(runtime(bed), &["run"], bed, bundle, &id)
        }
    };
    let floor = move |_| floor(bed, layout);
    vec![
        (FLOOR, Box::new(floor)),
        (RUNTIME, Box::new(run(Bed::runtime, "runc"))),
        (CRUN, Box::new(run(|bed| bed.oci("crun"), "crun"))),
    ]
}

fn subject<'a>(name: &'static str, slow: bool, command: impl Fn() -> Command + 'a) -> Subject<'a> {
    Subject {
        name,
        commands: Box::new(move || vec![command()]),
        slow,
    }
}

fn with(mut command: Command, words: &[&str]) -> Command {
    command.args(words);
    command
}

/// Tries each subject once. A peer that cannot run on this machine is left out, and the report says why.
///
/// # Errors
/// The floor or soute cannot run.
pub fn usable<'a>(
    bed: &Bed,
    subjects: Vec<Subject<'a>>,
    left_out: &mut BTreeMap<String, String>,
) -> Result<Vec<Subject<'a>>> {
    // Another one each time, and nobody's who reads the report.
    let folder = bed.folder().display().to_string();
    let mut usable = Vec::new();
    for subject in subjects {
        let mut commands = (subject.commands)();
        // Not `output`: a container that is made and left keeps the pipes of its creator.
        let tried = match commands.as_mut_slice() {
            [only] => output(only).map(drop),
            several => time(several).map(drop),
        };
        match tried {
            Ok(()) => usable.push(subject),
            Err(error) if [FLOOR, SOUTE].contains(&subject.name) => return Err(error),
            Err(error) => {
                let why = format!("{error:#}").replace(&folder, "BED");
                left_out.insert(subject.name.to_owned(), why);
            }
        }
    }
    Ok(usable)
}

/// Containers that run while others enter them.
pub struct Held<'a> {
    bed: &'a Bed,
    layout: Layout,
    floor: Child,
    floor_init: String,
}

impl<'a> Held<'a> {
    /// Starts one container with each engine.
    pub fn start(bed: &'a Bed, layout: Layout) -> Result<Self> {
        let pid_file = bed.path("floor.pid");
        // The one of the layout before is no container any more.
        let _ = std::fs::remove_file(&pid_file);
        let floor = bed
            .floor("run", layout)
            .arg("-p")
            .arg(&pid_file)
            .arg(bed.rootfs())
            .args(["/bin/sleep", "1000000"])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot run the floor")?;
        let mut held = Self {
            bed,
            layout,
            floor,
            floor_init: String::new(),
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
        let detach = &["--detach"];
        for (name, mut command) in [
            ("crun", bundled(bed, "crun-idle", detach)),
            ("runc", bundled(bed, "runc-idle", detach)),
            ("soute runtime", ours(bed, "runc-idle", detach)),
        ] {
            // Not `output`: the container keeps the pipes of its creator.
            let status = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()?;
            if !status.success() {
                bail!("{name} ended with {status}");
            }
        }
        output(bed.soute().args([
            "run",
            "-d",
            "--name",
            "held",
            "--network",
            "none",
            "busybox",
            "/bin/sleep",
            "1000000",
        ]))?;
        Ok(held)
    }

    /// One program in a container that runs.
    pub fn exec(&self) -> Vec<Subject<'_>> {
        let oci = |runtime: &'static str| {
            move || {
                with(
                    self.bed.oci(runtime),
                    &["exec", &format!("bench-{runtime}-idle"), "/bin/true"],
                )
            }
        };
        vec![
            subject(FLOOR, false, || {
                with(
                    self.bed.floor("exec", self.layout),
                    &[&self.floor_init, "/bin/true"],
                )
            }),
            subject(SOUTE, false, || {
                with(self.bed.soute(), &["exec", "held", "/bin/true"])
            }),
            subject(RUNTIME, false, || {
                with(
                    self.bed.runtime(),
                    &["exec", "bench-soute-runc-idle", "/bin/true"],
                )
            }),
            subject(CRUN, false, oci("crun")),
            subject(RUNC, true, oci("runc")),
        ]
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // The floor takes its cgroup away when its container's first process is killed.
        let kill = shell::kill("KILL", &self.floor_init);
        if let Err(error) = kill.and_then(|()| Ok(self.floor.wait()?)) {
            eprintln!("xtask: {error:#}");
        }
        let oci = ["crun", "runc"].map(|runtime| {
            with(
                self.bed.oci(runtime),
                &["delete", "--force", &format!("bench-{runtime}-idle")],
            )
        });
        for mut command in oci.into_iter().chain([
            with(self.bed.soute(), &["rm", "--force", "held"]),
            with(
                self.bed.runtime(),
                &["delete", "--force", "bench-soute-runc-idle"],
            ),
        ]) {
            if let Err(error) = output(&mut command) {
                eprintln!("xtask: {error:#}");
            }
        }
    }
}
