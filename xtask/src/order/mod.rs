//! The order of functions and constants in the executable: what a container's start and a look at namespaces both reach
//! lies in the middle, what only one of them does on its side, and there what the same commands reach lies together, each
//! group in the order of first use.
//!
//! The kernel maps a program by pieces of 64 KiB around each page that is touched. What a start runs is a tenth of the
//! program, and `ns ls` a twentieth, and the linker strews it over all of it: in order, it is a fifth of the pieces, and
//! the rest is not in memory. Of the forty pieces of constants three have all that these commands may read.

#[cfg(target_arch = "x86_64")]
mod breakpoints;
#[cfg(not(target_arch = "x86_64"))]
mod breakpoints {
    use super::program::Program;
    pub fn first_hits(_: std::process::Command, _: &Program) -> anyhow::Result<Vec<u64>> {
        anyhow::bail!("breakpoints are only known of x86-64")
    }
}
mod constants;
mod program;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns, unshare};

use crate::cargo::soute_in;
use crate::cgroups::Parents;
use crate::scratch::Scratch;
use crate::shell::{output, run};
use constants::Constants;
use program::Program;

/// So many of the workload's commands, its first, start a container; the others look at namespaces.
const STARTS: usize = 3;

/// As the container to enter is called.
const TARGET: &str = "target";

/// Whether breakpoints are known for the machine that this runs on.
pub const KNOWS_THIS_MACHINE: bool = cfg!(target_arch = "x86_64");

/// What the linker is to put first, and in which order.
pub struct Order {
    /// Names of functions, one a line (`--symbol-ordering-file`).
    pub functions: String,
    /// A linker script.
    pub constants: String,
}

/// What of `soute`, an executable with symbols and relocations, its users wait for; `map` is what the linker wrote of it.
pub fn of_first_use(soute: &Path, map: &Path) -> Result<Order> {
    let scratch = Scratch::new("order")?;
    let program = Program::read(soute)?;
    let map =
        std::fs::read_to_string(map).with_context(|| format!("cannot read {}", map.display()))?;
    let constants = Constants::of(&map);
    let traced = scratch.path().join("soute");
    let mut create = OpenOptions::new();
    let mut file = create
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&traced)?;
    file.write_all(&program.with_breakpoints())?;
    // Nobody executes what is open for writing.
    drop(file);
    let _parents = Parents::watch()?;
    // What a network changes on a machine it does not change on this one.
    let _own = OwnNetwork::enter()?;
    let workload = Workload::prepare(soute, &traced, scratch.path())?;
    let (mut hits, mut reached) = (Vec::new(), Vec::new());
    for command in workload.commands() {
        let functions = breakpoints::first_hits(command, &program)?;
        reached.push(constants.reached_from(&functions, &program));
        hits.push(functions);
    }
    let (functions, read) = (together(&hits), together(&reached));
    ensure!(
        !functions.is_empty() && !read.is_empty(),
        "{} functions ran, and read {} constants: their symbols, relocations or map are not as they were",
        functions.len(),
        read.len()
    );
    println!("{} functions, {} constants", functions.len(), read.len());
    let names = functions
        .iter()
        .flat_map(|&address| program.names_at(address));
    Ok(Order {
        functions: names.map(|name| format!("{name}\n")).collect(),
        constants: constants.script(&read),
    })
}

/// Each address once, those that the same commands hit together: what only [`STARTS`] do comes last, and what none of them
/// does first.
fn together(hits: &[Vec<u64>]) -> Vec<u64> {
    let mut order = Vec::new();
    let mut commands: HashMap<u64, u32> = HashMap::new();
    for (command, addresses) in hits.iter().enumerate() {
        for &address in addresses {
            let known = commands.entry(address).or_insert_with(|| {
                order.push(address);
                0
            });
            *known |= 1 << command;
        }
    }
    let starts = (1 << STARTS) - 1;
    order.sort_by_key(|address| {
        let commands = commands[address];
        let shared = Reverse(commands.count_ones());
        match (commands & starts, commands & !starts) {
            // The last of the looks needs few that the others do not: it is the nearest to the middle.
            (0, _) => (0, Reverse(0), commands),
            (_, 0) => (2, shared, commands),
            _ => (1, shared, commands),
        }
    });
    order
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

/// What is traced: a container's start by each of the two front doors, and one in a network; then namespaces that are
/// entered, and a look at all of them.
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
        // Engines' bundles all have a filter.
        config["linux"]["seccomp"] = serde_json::json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [
                {"names": ["acct", "swapon"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
                {"names": ["personality", "socket"], "action": "SCMP_ACT_ERRNO", "args": [
                    {"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}
                ]},
            ],
        });
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

    fn commands(&self) -> [Command; 8] {
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
            lens(&["enter", "--ns", "net", &self.target, "true"]),
            lens(&["enter", &self.target, "/soute", "version"]),
            // With more to open, and less to sort, than the usual look, which is the last.
            lens(&["ns", "ls", "--all"]),
            lens(&["ns", "ls", "user"]),
            lens(&["ns", "ls"]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_same_commands_reach_lies_together() {
        let (runtime, engine, network) = (vec![1, 2, 3], vec![1, 4, 3], vec![1, 4, 5]);
        let (enter, visit, list) = (vec![1, 6], vec![1, 6, 7], vec![8, 1, 7, 2]);
        let hits = [runtime, engine, network, enter, visit, list];
        // Of looks alone; of both, the most shared first; of starts alone.
        assert_eq!(together(&hits), [6, 8, 7, 1, 2, 3, 4, 5]);
    }
}
