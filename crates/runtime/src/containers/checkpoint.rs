//! `checkpoint`: a container's processes become files.

use std::path::PathBuf;

use super::delete::wait;
use super::{Containers, Error, Flags, Images, Status, machine};
use crate::criu::{self, Folders, Job, MountTable, StandardFiles};
use crate::plan::Plan;
use crate::spec;

/// How.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// Where to.
    pub images: Images,
    /// Earlier images that these are to build on, relative to them.
    pub parent: Option<PathBuf>,
    /// The container goes on.
    pub leave_running: bool,
    /// Only its memory, to be built on; it goes on.
    pub pre_dump: bool,
    /// Files that are open and have no name any more get one.
    pub link_remap: bool,
    /// What both directions know.
    pub flags: Flags,
}

const LOG: &str = "dump.log";
/// criu's file with figures, beside the log.
const FIGURES: &str = "stats-dump";

impl Containers {
    /// Writes the processes of a container to files. Then it is stopped, unless it is to go on.
    ///
    /// # Errors
    /// It does not run, or has what criu cannot take: nothing has been touched. Or criu failed: the container goes on, and
    /// of the images there may be a part.
    pub fn checkpoint(&self, id: &str, how: &Checkpoint) -> Result<(), Error> {
        let program = criu::find()?;
        let (_folder, container) = self.hold(id)?;
        container.must_be(Status::Running, "checkpoint", "running")?;
        let not_running = || Error::NotRunning {
            id: id.to_owned(),
            is: container.status,
        };
        let config = container.config()?;
        let machine = machine::look(container.layout()?)?;
        let state = &container.state;
        let planned = spec::plan(&config, &state.cgroup, &machine, state.for_hooks())?;
        criu::check(&planned.plan, &machine.layout)?;
        let process = container.process()?;
        let pid = container.pid.ok_or_else(not_running)?;
        let taken = Taken::of(pid, &planned.plan)?;
        let cgroup = container.cgroup()?.ok_or_else(not_running)?;

        if let Some(parent) = &how.parent {
            criu::check_parent(&how.images, parent)?;
        }
        let folders = Folders::make(&how.images, LOG)?;
        folders.clear(&[FIGURES])?;
        if !how.pre_dump {
            taken.standard.write(&folders.images)?;
        }
        let freezer = cgroup.freezer_dir()?.display().to_string();
        let job = Job {
            program,
            arguments: how.arguments(pid, &folders, &freezer, &taken),
            inside: None,
            on_terminal: false,
            layout: &machine.layout,
            root: None,
            kept: Vec::new(),
            hooks: None,
        };
        // It is not ended with this process: half way through, only criu can let the container go on.
        let criu = job.start()?;
        let status = criu.wait()?;
        if status != 0 {
            // One that was killed leaves it as it was then.
            if cgroup.is_frozen()? {
                cgroup.thaw()?;
            }
            return Err(criu::failure(how.verb(), status, &folders, &criu.said()));
        }
        match how.leave_running || how.pre_dump {
            true => Ok(()),
            false => wait(id, &process),
        }
    }
}

/// What the container has from outside, which is not written.
struct Taken {
    standard: StandardFiles,
    arguments: Vec<String>,
}

impl Taken {
    fn of(pid: i32, plan: &Plan) -> Result<Self, Error> {
        let mounts = MountTable::of(pid)?;
        let mut arguments = criu::mounts_of_the_machine(pid, plan, &mounts)?;
        arguments.extend(criu::external_network(&plan.namespaces)?);
        let standard = StandardFiles::of(pid, &mounts)?;
        arguments.extend(standard.external());
        Ok(Self {
            standard,
            arguments,
        })
    }
}

impl Checkpoint {
    fn verb(&self) -> &'static str {
        match self.pre_dump {
            true => "pre-dump",
            false => "dump",
        }
    }

    fn arguments(&self, pid: i32, folders: &Folders, freezer: &str, taken: &Taken) -> Vec<String> {
        let mut arguments = vec![self.verb().to_owned()];
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        add(&["--tree", &pid.to_string()]);
        add(&["--images-dir", &folders.images_path()]);
        add(&["--work-dir", &folders.work_path()]);
        add(&["--log-file", LOG, "-v4", "--freeze-cgroup", freezer]);
        add(&["--cgroup-yard", criu::CGROUPS]);
        if let Some(parent) = &self.parent {
            add(&[
                "--track-mem",
                "--prev-images-dir",
                &parent.to_string_lossy(),
            ]);
        }
        // criu's own choice is iptables, and it does not look whether that is there.
        if !criu::has_program("iptables-restore") {
            add(&["--network-lock", "nftables"]);
        }
        if self.link_remap {
            add(&["--link-remap"]);
        }
        if self.leave_running {
            add(&["--leave-running"]);
        }
        arguments.extend(self.flags.arguments());
        arguments.extend(taken.arguments.iter().cloned());
        arguments
    }
}
