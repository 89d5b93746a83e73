//! The order of the functions in the executable: those that a container's start runs lie together, in the order of their
//! first use, and after them those that `ns ls` and `enter` run besides.
//!
//! The kernel maps a program by pieces of 64 KiB around each page that is touched. What a start runs is a tenth of the
//! program, and the linker strews it over all of it: in order, it is a fifth of the pieces, and the rest is not in memory.

#[cfg(target_arch = "x86_64")]
mod breakpoints;
#[cfg(not(target_arch = "x86_64"))]
mod breakpoints {
    use super::symbols::Symbols;
    pub fn first_hits(_: std::process::Command, _: &Symbols) -> anyhow::Result<Vec<u64>> {
        anyhow::bail!("breakpoints are only known of x86-64")
    }
}
mod symbols;

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns, unshare};

use crate::cargo::soute_in;
use crate::cgroups::Parents;
use crate::scratch::Scratch;
use crate::shell::{output, run};
use symbols::Symbols;

/// As the container to enter is called.
const TARGET: &str = "target";

/// Whether breakpoints are known for the machine that this runs on.
pub const KNOWS_THIS_MACHINE: bool = cfg!(target_arch = "x86_64");

/// The functions of `soute`, an executable with symbols, that its users wait for, by the names that the linker knows.
pub fn of_first_use(soute: &Path) -> Result<Vec<String>> {
    let scratch = Scratch::new("order")?;
    let symbols = Symbols::of(soute)?;
    let traced = scratch.path().join("soute");
    let mut create = OpenOptions::new();
    let mut file = create
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&traced)?;
    file.write_all(&symbols.with_breakpoints())?;
    // Nobody executes what is open for writing.
    drop(file);
    let _parents = Parents::watch()?;
    // What a network changes on a machine it does not change on this one.
    let _own = OwnNetwork::enter()?;
    let workload = Workload::prepare(soute, &traced, scratch.path())?;
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    for command in workload.commands() {
        for address in breakpoints::first_hits(command, &symbols)? {
            if seen.insert(address) {
                order.extend(symbols.names_at(address).map(str::to_owned));
            }
        }
    }
    Ok(order)
}

/// A network namespace for this thread and what it starts; on drop it is back in the machine's.
struct OwnNetwork(File);

impl OwnNetwork {
    fn enter() -> Result<Self> {
        let machine = File::open("/proc/thread-self/ns/net").context("the network namespace")?;
        unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
        Ok(Self(machine))
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.0, CloneFlags::CLONE_NEWNET) {
            eprintln!("xtask: back in the machine's network: {error}");
        }
    }
}

/// What is traced: a container's start by each of the two front doors, and one in a network; then a look at all namespaces,
/// and one that is entered.
struct Workload {
    soute: PathBuf,
    traced: PathBuf,
    folder: PathBuf,
    /// The first process of a container that is made and not started.
    target: String,
}

impl Workload {
    /// Makes what the commands need, by the executable as it is: the embedded image, and a bundle of soute itself.
    fn prepare(soute: &Path, traced: &Path, folder: &Path) -> Result<Self> {
        let mut workload = Self {
            soute: soute.to_owned(),
            traced: traced.to_owned(),
            folder: folder.to_owned(),
            target: String::new(),
        };
        let rootfs = folder.join("bundle/rootfs");
        std::fs::create_dir_all(&rootfs)?;
        std::fs::copy(soute, rootfs.join("soute"))?;
        let mut spec = Command::new(soute);
        spec.args(["runtime", "spec", "--bundle"]);
        output(spec.arg(folder.join("bundle")))?;
        let file = folder.join("bundle/config.json");
        let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = serde_json::json!(["/soute", "version"]);
        std::fs::write(&file, config.to_string())?;
        // What only the first one does: the image is unpacked.
        for network in ["none", "bridge"] {
            let mut first = workload.engine(soute, network);
            output(&mut first).context("a container of the embedded image")?;
        }
        let number = folder.join("target");
        let mut target = workload.runtime(soute, "create");
        target.arg("--pid-file").arg(&number);
        target.arg("--bundle").arg(folder.join("bundle"));
        // It keeps its creator's standard files: the end of a pipe would not come.
        let target = target
            .arg(TARGET)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        run(target).context("a container to enter")?;
        workload.target = std::fs::read_to_string(&number)?.trim().to_owned();
        Ok(workload)
    }

    fn commands(&self) -> [Command; 6] {
        let mut runtime = self.runtime(&self.traced, "run");
        runtime.arg("--bundle").arg(self.folder.join("bundle"));
        runtime.arg("order");
        let engine = |network| self.engine(&self.traced, network);
        let lens = |words: &[&str]| {
            let mut command = soute_in(&self.traced, &self.folder);
            command.args(words);
            command
        };
        [
            runtime,
            engine("none"),
            engine("bridge"),
            lens(&["ns", "ls"]),
            lens(&["enter", "--ns", "net", &self.target, "true"]),
            lens(&["enter", &self.target, "/soute", "version"]),
        ]
    }

    fn runtime(&self, program: &Path, verb: &str) -> Command {
        let mut runtime = Command::new(program);
        runtime.args(["runtime", "--root"]);
        runtime.arg(self.folder.join("runtime")).arg(verb);
        runtime
    }

    fn engine(&self, program: &Path, network: &str) -> Command {
        let mut engine = soute_in(program, &self.folder);
        engine.arg("--config").arg(self.folder.join("no-settings"));
        engine.args(["run", "--rm", "--network", network, "hello"]);
        engine
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let mut delete = self.runtime(&self.soute, "delete");
        // Where it could not even be made, there is none.
        if let (false, Err(error)) = (
            self.target.is_empty(),
            output(delete.args(["--force", TARGET])),
        ) {
            eprintln!("xtask: {error:#}");
        }
    }
}
