//! `restore`: such files become a container.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use soute_sys::Called as _;

use super::error::io;
use super::folder::Folder;
use super::prepare::{Made, Prepared};
use super::state::{has_been_made, write_init};
use super::{CgroupsMode, Containers, Error, Flags, Images, Late, Recipients};
use crate::cgroups::{Cgroup, Layout};
use crate::criu::{self, Folders, Inherited, Job, Root, SetupHooks, StandardFiles};
use crate::plan::{MountSource, Plan};
use crate::process::Started;
use crate::process::wait::put_down;

/// How.
#[derive(Debug, Clone, Default)]
pub struct Restore {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Where from.
    pub images: Images,
    /// What both directions know.
    pub flags: Flags,
    /// Who hears of the first process.
    pub recipients: Recipients,
    /// cgroupsPath names a slice and a scope of systemd.
    pub systemd: bool,
}

const LOG: &str = "restore.log";
/// In the container's folder: the number of the first process, in criu's hand.
const NUMBER: &str = "restored";

impl Containers {
    /// Makes the container `id` of the bundle and the images; it runs. Standard files that were its caller's are this
    /// one's now.
    ///
    /// What it may have, where it is and what it sees of the machine is the bundle's word; what its processes are is the
    /// images', and criu gives them that.
    ///
    /// # Errors
    /// On any, nothing is left of it.
    pub fn restore(&self, id: &str, how: &Restore) -> Result<(Started, Late), Error> {
        if how.flags.cgroups == CgroupsMode::Strict {
            return Err(Error::Impossible(
                "--manage-cgroups-mode strict: by then no cgroup may be there, and the container's own always is"
                    .to_owned(),
            ));
        }
        let program = criu::find()?;
        let path = self.folder(id)?;
        let mut bundle = Prepared::read(id, &how.bundle, how.systemd, |_| Ok(()))?;
        criu::check(&bundle.planned.plan, &bundle.machine.layout)?;
        let folders = Folders::open(&how.images, LOG)?;
        let standard = StandardFiles::read(&folders.images, &how.images.folder)?;
        let binds = binds(&bundle.planned.plan)?;

        // From here on something is made, and found by its folder if we are killed.
        let mut made = bundle.make(self)?;
        let parts = Parts {
            program,
            layout: &bundle.machine.layout,
            folders: &folders,
            standard: &standard,
            binds: &binds,
        };
        let planned = &bundle.planned;
        let restored = made
            .restrict_devices(planned)
            .map_err(Error::from)
            .and_then(|()| parts.restore(&made, &planned.plan, how));
        made.let_go_of_the_scope();
        match restored {
            Ok(started) => Ok((started, bundle.into_late(path, made.cgroup))),
            Err(e) => {
                let error = bundle.undo(made, e);
                // What criu had made already is ours to wait for.
                while let Ok(Some(_)) = rustix::process::waitid(
                    WaitId::All,
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
                ) {}
                Err(error)
            }
        }
    }
}

/// Where binds of the machine's are taken from, by the names that they have in the images.
fn binds(plan: &Plan) -> Result<Vec<String>, Error> {
    let mut arguments = Vec::new();
    for mount in &plan.mounts {
        if let MountSource::Bind { path, .. } = &mount.source {
            // The cgroup's own folder is made later, and no link.
            let path = match std::fs::canonicalize(path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && is_cgroup(path) => {
                    path.clone()
                }
                path => io("the source of a mount", mount.target.as_ref(), path)?,
            };
            let source = format!("{}{}", criu::MACHINE, path.display());
            arguments.extend([
                "--external".to_owned(),
                format!("mnt[{}]:{source}", mount.target),
            ]);
        }
    }
    Ok(arguments)
}

fn is_cgroup(path: &std::path::Path) -> bool {
    path.ancestors().skip(1).any(|above| {
        rustix::fs::statfs(above).is_ok_and(|stat| {
            // CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC (statfs(2))
            [0x27_e0eb, 0x6367_7270].contains(&(stat.f_type as u64))
        })
    })
}

struct Parts<'a> {
    program: PathBuf,
    layout: &'a Layout,
    folders: &'a Folders,
    standard: &'a StandardFiles,
    binds: &'a [String],
}

impl Parts<'_> {
    /// The first process, and all that its caller is told of it. On failure it may be there still: in the cgroup.
    fn restore(self, made: &Made, plan: &Plan, how: &Restore) -> Result<Started, Error> {
        let Made { folder, cgroup, .. } = made;
        self.folders.clear(&[criu::FIGURES])?;
        let hooks = match plan.hooks.create_runtime.is_empty() {
            true => None,
            false => Some(SetupHooks::make(folder.path(), folder.as_fd())?),
        };
        let inherited = Inherited::new(&plan.namespaces, self.standard)?;
        let number = folder.path().join(NUMBER);
        let job = Job {
            program: self.program.clone(),
            arguments: self.arguments(folder, cgroup, how, &inherited, hooks.is_some()),
            inside: Some(cgroup),
            on_terminal: how.flags.shell_job,
            layout: self.layout,
            root: Some(Root {
                plan,
                figures: format!("{}/{}", self.folders.work_path(), criu::FIGURES),
            }),
            kept: inherited.numbers(),
            hooks: hooks.as_ref(),
        };
        let criu = job.start()?;
        if let Err(e) = write_init(folder, criu.pid) {
            put_down(&criu.pidfd);
            return Err(e);
        }
        if let Some(gate) = &hooks {
            gate.attend(&criu, &plan.hooks).inspect_err(|_| {
                put_down(&criu.pidfd);
            })?;
        }
        let status = criu.wait()?;
        if status != 0 {
            return Err(criu::failure("restore", status, self.folders, &criu.said()));
        }
        let text = io("reading", &number, std::fs::read_to_string(&number))?;
        io("removing", &number, std::fs::remove_file(&number))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| {
            Error::Impossible(format!("criu names no first process, but {text:?}"))
        })?;
        // Our child, by --restore-sibling: the number is nobody else's until it is waited for.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .called(|| format!("pidfd_open({})", pid.as_raw_nonzero()))?;
        let started = Started {
            pid,
            pidfd,
            terminal: None,
            layers: Vec::new(),
        };
        write_init(folder, pid)?;
        how.recipients.tell(started, || has_been_made(folder))
    }

    fn arguments(
        &self,
        folder: &Folder,
        cgroup: &Cgroup,
        how: &Restore,
        inherited: &Inherited,
        hooks: bool,
    ) -> Vec<String> {
        let mut arguments = vec!["restore".to_owned()];
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        add(&["--images-dir", &self.folders.images_path()]);
        add(&["--work-dir", criu::WORK, "--log-file"]);
        add(&[&format!("{}/{LOG}", self.folders.work_path()), "-v4"]);
        add(&["--root", criu::ROOT, "--cgroup-yard", criu::CGROUPS]);
        add(&["--restore-detached", "--restore-sibling", "--pidfile"]);
        add(&[&format!("{}/{NUMBER}", criu::path_of(folder))]);
        if hooks {
            add(&["--action-script", criu::HOOKS]);
        }
        arguments.extend(criu::cgroup_roots(cgroup));
        arguments.extend(how.flags.arguments());
        arguments.extend(self.binds.iter().cloned());
        arguments.extend(inherited.arguments());
        arguments
    }
}
