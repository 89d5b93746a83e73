//! Making a cgroup, finding it again, and entering it.

use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use soute_sys::{CallError, Called, bpf};

use super::layout::WANTED_V2;
use super::settings::{self, Setting};
use super::{CgroupError, CgroupPath, DeviceRule, Hierarchy, Layout, Resources, devices, files};

/// How often a parent may vanish (its last child's remover may take it along) before we give up.
const MAKE_TRIES: u32 = 16;

/// One cgroup, in every hierarchy of the machine.
///
/// Dropping it leaves the cgroup there; [`Cgroup::remove`] removes it.
#[derive(Debug)]
pub struct Cgroup {
    path: CgroupPath,
    pub(super) layout: Layout,
    pub(super) nodes: Vec<Node>,
}

/// The cgroup's folder in one hierarchy.
#[derive(Debug)]
pub(super) struct Node {
    pub hierarchy: Hierarchy,
    pub dir: PathBuf,
    /// v1: `tasks`, open for writing; v2: the folder (O_PATH).
    pub entry: Option<OwnedFd>,
}

impl Node {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Cgroup {
    /// Makes the cgroup `path` below the mount of every hierarchy, its parents
    /// if need be, and sets its limits and device rules while it is empty.
    ///
    /// No device rules: access to devices is what the parent cgroup allows. With
    /// any, all that no rule allows is denied ([`super::default_device_rules`]).
    ///
    /// A limit that this machine cannot keep is an error, and on any error what
    /// was made is removed again. The cgroup must be new ([`CgroupError::Exists`]).
    pub fn create(
        layout: &Layout,
        path: &str,
        resources: &Resources,
        device_rules: &[DeviceRule],
    ) -> Result<Self, CgroupError> {
        let path = CgroupPath::new(path)?;
        if layout.hierarchies().is_empty() {
            return Err(CgroupError::NoHierarchy);
        }
        resources.check(layout)?;
        let settings = settings::plan(resources, layout)?;
        let device_plan = DevicePlan::new(layout, device_rules)?;

        let mut made = Vec::with_capacity(16);
        match Self::build(layout, &path, &settings, &device_plan, &mut made) {
            Ok(nodes) => Ok(Self {
                path,
                layout: layout.clone(),
                nodes,
            }),
            Err(error) => Err(error.undone(unmake(&made))),
        }
    }

    fn build(
        layout: &Layout,
        path: &CgroupPath,
        settings: &[Setting<'_>],
        device_plan: &DevicePlan,
        made: &mut Vec<PathBuf>,
    ) -> Result<Vec<Node>, CgroupError> {
        let mut nodes = Vec::with_capacity(layout.hierarchies().len());
        for hierarchy in layout.hierarchies() {
            let dir = hierarchy.dir(path.as_str());
            make(hierarchy, path, &dir, made)?;
            if hierarchy.v2 {
                enable_controllers(hierarchy, path, &dir, settings)?;
            } else if hierarchy.has("cpuset") {
                fill_cpuset(hierarchy, path.as_str())?;
            }
            let mut node = Node {
                hierarchy: hierarchy.clone(),
                dir,
                entry: None,
            };
            node.open_entry()?;
            nodes.push(node);
        }
        for setting in settings {
            apply(setting, &setting.hierarchy.dir(path.as_str()))?;
        }
        device_plan.apply(&nodes)?;
        Ok(nodes)
    }

    /// Finds the cgroup `path` in whichever hierarchies have it. [`CgroupError::NotFound`] if none does.
    pub fn open(layout: &Layout, path: &str) -> Result<Self, CgroupError> {
        let path = CgroupPath::new(path)?;
        let mut nodes = Vec::with_capacity(layout.hierarchies().len());
        for hierarchy in layout.hierarchies() {
            let dir = hierarchy.dir(path.as_str());
            match rustix::fs::stat(&dir) {
                Ok(_) => nodes.push(Node {
                    hierarchy: hierarchy.clone(),
                    dir,
                    entry: None,
                }),
                Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(
                        CallError::new(format!("stat(\"{}\")", dir.display()), errno).into(),
                    );
                }
            }
        }
        if nodes.is_empty() {
            return Err(CgroupError::NotFound {
                path: path.as_str().to_owned(),
            });
        }
        Ok(Self {
            path,
            layout: layout.clone(),
            nodes,
        })
    }

    /// Opens what [`Cgroup::v2_fd`] and [`Cgroup::join_self_v1`] need, after [`Cgroup::open`].
    pub fn prepare_join(&mut self) -> Result<(), CgroupError> {
        self.nodes.iter_mut().try_for_each(Node::open_entry)
    }

    /// Denies all devices but those that `rules` allow, to a cgroup that may have processes already. After
    /// [`Cgroup::open`], [`Cgroup::prepare_join`] must have been called.
    pub fn restrict_devices(&self, rules: &[DeviceRule]) -> Result<(), CgroupError> {
        DevicePlan::new(&self.layout, rules)?.apply(&self.nodes)
    }

    /// Closes what [`Cgroup::prepare_join`] opened: a monitor that lives for months need not hold it.
    pub fn finish_joins(&mut self) {
        for node in &mut self.nodes {
            node.entry = None;
        }
    }

    /// The v2 folder, for clone3's CLONE_INTO_CGROUP and for eBPF. None without a v2
    /// hierarchy, or before [`Cgroup::prepare_join`].
    pub fn v2_fd(&self) -> Option<BorrowedFd<'_>> {
        let node = self.nodes.iter().find(|n| n.hierarchy.v2)?;
        node.entry.as_ref().map(AsFd::as_fd)
    }

    /// Moves the calling thread into the cgroup of every v1 hierarchy.
    ///
    /// For the single-threaded child right after clone3 with CLONE_INTO_CGROUP:
    /// a thread that moves itself by `tasks` needs no lock on its thread group,
    /// where a write of a PID to `cgroup.procs` waits for an RCU grace period (5
    /// to 30 ms under load). The files were opened by the parent: the kernel
    /// checks the opener's right, so this works after the child has lost its own.
    pub fn join_self_v1(&self) -> Result<(), CgroupError> {
        for node in self.nodes.iter().filter(|n| !n.hierarchy.v2) {
            let called = || format!("write(\"{}\", \"0\")", node.file("tasks").display());
            let tasks = node.entry.as_ref().ok_or(Errno::BADF).called(called)?;
            rustix::io::write(tasks, b"0").called(called)?;
        }
        Ok(())
    }

    /// Moves another process, all its threads, into the cgroup of every hierarchy.
    ///
    /// Slow: see [`Cgroup::join_self_v1`]. For a process that exists already,
    /// or where CLONE_INTO_CGROUP is not to be had.
    pub fn join(&self, pid: Pid) -> Result<(), CgroupError> {
        let pid = pid.as_raw_nonzero().to_string();
        for node in &self.nodes {
            files::write(&node.file("cgroup.procs"), &pid)?;
        }
        Ok(())
    }

    /// The path below the mounts, as given to [`Cgroup::create`].
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The folder in each hierarchy, with the hierarchy's controllers.
    pub fn paths(&self) -> impl Iterator<Item = (&Hierarchy, &Path)> {
        self.nodes.iter().map(|n| (&n.hierarchy, n.dir.as_path()))
    }

    /// The node whose hierarchy carries the controller.
    pub(super) fn carrier(&self, controller: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.hierarchy.has(controller))
    }
}

impl Node {
    fn open_entry(&mut self) -> Result<(), CgroupError> {
        if self.entry.is_some() {
            return Ok(());
        }
        let (path, flags, word) = if self.hierarchy.v2 {
            (self.dir.clone(), OFlags::PATH | OFlags::DIRECTORY, "O_PATH")
        } else {
            (self.file("tasks"), OFlags::WRONLY, "O_WRONLY")
        };
        let fd = rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty())
            .called(|| format!("open(\"{}\", {word})", path.display()))?;
        self.entry = Some(fd);
        Ok(())
    }
}

fn mkdir(dir: &Path) -> Result<(), Errno> {
    rustix::fs::mkdir(dir, Mode::from_raw_mode(0o755))
}

/// Makes the folder and, if they are missing, its parents. Every folder that
/// was made here goes on the list, parents first.
fn make(
    hierarchy: &Hierarchy,
    path: &CgroupPath,
    dir: &Path,
    made: &mut Vec<PathBuf>,
) -> Result<(), CgroupError> {
    let failed =
        |dir: &Path, errno| CallError::new(format!("mkdir(\"{}\", 0755)", dir.display()), errno);
    let mut tries = 0;
    loop {
        match mkdir(dir) {
            Ok(()) => {
                made.push(dir.to_owned());
                return Ok(());
            }
            Err(Errno::EXIST) => {
                return Err(CgroupError::Exists {
                    dir: dir.display().to_string(),
                });
            }
            Err(Errno::NOENT) if tries < MAKE_TRIES => tries += 1,
            Err(errno) => return Err(failed(dir, errno).into()),
        }
        for parent in path.ancestors() {
            let parent_dir = hierarchy.dir(parent);
            match mkdir(&parent_dir) {
                Ok(()) => made.push(parent_dir),
                // Another creator was first, or it was there all along.
                Err(Errno::EXIST) => {}
                // Another remover took its parent meanwhile: begin again.
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(failed(&parent_dir, errno).into()),
            }
            if !hierarchy.v2 && hierarchy.has("cpuset") {
                match fill_cpuset(hierarchy, parent) {
                    // Removed again meanwhile; ENODEV if that was between open and read.
                    Err(CgroupError::Call(e))
                        if matches!(e.errno(), Errno::NOENT | Errno::NODEV) =>
                    {
                        break;
                    }
                    done => done?,
                }
            }
        }
    }
}

/// Removes what [`make`] made, children first. A parent that another container
/// lives in by now stays, as does one that somebody else has removed already.
fn unmake(made: &[PathBuf]) -> Vec<CgroupError> {
    made.iter()
        .rev()
        .filter_map(|dir| match rustix::fs::rmdir(dir) {
            Ok(()) | Err(Errno::NOENT | Errno::BUSY) => None,
            Err(errno) => {
                Some(CallError::new(format!("rmdir(\"{}\")", dir.display()), errno).into())
            }
        })
        .collect()
}

/// Gives a v1 cpuset the CPUs and memory nodes of its parent: it is made empty, and
/// then no process may join it (ENOSPC). Parents that are empty themselves are filled first.
///
/// Sets `cgroup.clone_children`, so that the kernel does this for cgroups made
/// below: one read then says that all is well. It is set last, so that a
/// creator at work at the same time never sees it before the lists are there.
fn fill_cpuset(hierarchy: &Hierarchy, path: &str) -> Result<(), CgroupError> {
    let dir = hierarchy.dir(path);
    if !files::read(&dir.join("cpuset.mems"))?.trim().is_empty()
        && !files::read(&dir.join("cpuset.cpus"))?.trim().is_empty()
    {
        return Ok(());
    }
    let parent = match path.rfind('/') {
        Some(0) | None => hierarchy.dir(""),
        Some(at) => {
            fill_cpuset(hierarchy, &path[..at])?;
            hierarchy.dir(&path[..at])
        }
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let list = files::read(&parent.join(file))?;
        files::write(&dir.join(file), list.trim())?;
    }
    files::write(&dir.join("cgroup.clone_children"), "1")?;
    Ok(())
}

/// Makes the v2 controllers available in `path`: each ancestor must hand them on.
///
/// Those that a limit asks for must be there; the others only serve
/// statistics, and where they cannot be had the statistics lack them.
fn enable_controllers(
    hierarchy: &Hierarchy,
    path: &CgroupPath,
    dir: &Path,
    settings: &[Setting<'_>],
) -> Result<(), CgroupError> {
    let asked = |controller: &str| {
        settings
            .iter()
            .find(|s| s.hierarchy.v2 && s.controller == controller)
    };
    let mut wanted: Vec<&str> = WANTED_V2.into_iter().filter(|c| hierarchy.has(c)).collect();
    for setting in settings.iter().filter(|s| s.hierarchy.v2) {
        if !setting.controller.is_empty() && !wanted.contains(&setting.controller) {
            wanted.push(setting.controller);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let has_all = |file: &Path| -> Result<Vec<&str>, CgroupError> {
        let there = files::read(file)?;
        Ok(wanted
            .iter()
            .copied()
            .filter(|w| !there.split_whitespace().any(|c| c == *w))
            .collect())
    };
    // The usual case: the first container of this parent has enabled them all.
    let own = dir.join("cgroup.controllers");
    if has_all(&own)?.is_empty() {
        return Ok(());
    }
    let mut failed: Vec<(&str, CallError)> = Vec::new();
    for ancestor in std::iter::once("").chain(path.ancestors()) {
        let ancestor = hierarchy.dir(ancestor);
        let file = ancestor.join("cgroup.subtree_control");
        let missing = has_all(&file)?;
        if missing.is_empty() {
            continue;
        }
        let inhabited = is_inhabited(&ancestor)?;
        for controller in missing {
            let text = format!("+{controller}");
            let result = if inhabited {
                Err(CallError::new(
                    format!("write(\"{}\", \"{text}\")", file.display()),
                    Errno::BUSY,
                ))
            } else {
                // One by one: the kernel takes all of a write or nothing of it.
                files::write(&file, &text)
            };
            if let Err(error) = result
                && !failed.iter().any(|(known, _)| *known == controller)
            {
                failed.push((controller, error));
            }
        }
    }
    for controller in has_all(&own)? {
        if let Some(setting) = asked(controller) {
            let source = failed
                .into_iter()
                .find(|(known, _)| *known == controller)
                .map(|(_, error)| error)
                .unwrap_or_else(|| {
                    CallError::new(
                        format!("{controller} in \"{}\"", own.display()),
                        Errno::NOENT,
                    )
                });
            return Err(CgroupError::Enable {
                limit: setting.limit,
                controller: controller.to_owned(),
                source,
            });
        }
    }
    Ok(())
}

/// Whether processes are in a v2 folder where they keep controllers from being
/// handed down: anywhere but in the root of the whole hierarchy, which has no `cgroup.type`.
///
/// Asked beforehand, as the kernel refuses only some controllers then. By others
/// (`cpu`, `cpuset`, `pids`) it makes the folder the root of a threaded subtree, and
/// what is below it becomes a "domain invalid", which no process can join.
fn is_inhabited(dir: &Path) -> Result<bool, CgroupError> {
    Ok(files::read_if_any(&dir.join("cgroup.type"))?.is_some()
        && files::read_if_any(&dir.join("cgroup.procs"))?.is_none_or(|procs| !procs.is_empty()))
}

/// Writes one limit to the cgroup's folder in its hierarchy.
pub(super) fn apply(setting: &Setting<'_>, dir: &Path) -> Result<(), CgroupError> {
    for (file, text) in &setting.writes {
        match files::write(&dir.join(file.as_ref()), text) {
            Ok(()) => return Ok(()),
            Err(e) if e.errno() == Errno::NOENT => {}
            Err(source) => {
                return Err(CgroupError::Limit {
                    limit: setting.limit,
                    source,
                });
            }
        }
    }
    if setting.moot_if_absent {
        return Ok(());
    }
    let names: Vec<&str> = setting
        .writes
        .iter()
        .map(|(file, _)| file.as_ref())
        .collect();
    Err(CgroupError::MissingFile {
        limit: setting.limit,
        files: names.join(" or "),
        dir: dir.display().to_string(),
        why: setting.why_absent,
    })
}

/// Device rules in the form that the layout takes.
enum DevicePlan {
    /// No rules.
    Inherit,
    V1(Vec<(&'static str, String)>),
    V2(Vec<bpf::Insn>),
}

impl DevicePlan {
    fn new(layout: &Layout, rules: &[DeviceRule]) -> Result<Self, CgroupError> {
        if rules.is_empty() {
            Ok(Self::Inherit)
        } else if layout.carrier("devices").is_some() {
            Ok(Self::V1(devices::v1(rules)?))
        } else if layout.v2().is_some() {
            Ok(Self::V2(devices::v2(rules)?))
        } else {
            Err(layout.missing("device rules", "devices"))
        }
    }

    fn apply(&self, nodes: &[Node]) -> Result<(), CgroupError> {
        match self {
            Self::Inherit => Ok(()),
            Self::V1(writes) => {
                let Some(node) = nodes.iter().find(|n| n.hierarchy.has("devices")) else {
                    return Ok(());
                };
                // One open for each of the two files, however many rules.
                let mut open: Option<(&str, std::fs::File)> = None;
                for (name, text) in writes {
                    let file = node.file(name);
                    let called = || format!("write(\"{}\", \"{text}\")", file.display());
                    if open.as_ref().is_none_or(|(known, _)| known != name) {
                        let fd = rustix::fs::open(
                            &file,
                            OFlags::WRONLY | OFlags::CLOEXEC,
                            Mode::empty(),
                        )
                        .called(|| format!("open(\"{}\", O_WRONLY)", file.display()))?;
                        open = Some((name, fd.into()));
                    }
                    if let Some((_, fd)) = &mut open {
                        fd.write_all(text.as_bytes()).called(called)?;
                    }
                }
                Ok(())
            }
            Self::V2(program) => {
                let Some(folder) = nodes
                    .iter()
                    .find(|n| n.hierarchy.v2)
                    .and_then(|n| n.entry.as_ref())
                else {
                    return Ok(());
                };
                let program = bpf::load_device_program(program)?;
                Ok(bpf::attach_device_program(folder.as_fd(), program)?)
            }
        }
    }
}
