//! Making a cgroup, finding it again, and entering it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use soute_sys::{CallError, Called};

use super::device_plan::DevicePlan;
use super::make::{self, unmake};
use super::settings;
use super::{CgroupError, CgroupPath, DeviceRule, Hierarchy, Layout, Resources, files};

/// One cgroup, in every hierarchy of the machine.
///
/// Dropping it leaves the cgroup there; [`Cgroup::remove`] removes it.
#[derive(Debug)]
pub struct Cgroup {
    path: CgroupPath,
    pub(super) layout: Layout,
    pub(super) nodes: Vec<Node>,
}

/// How a cgroup came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// All of it was made.
    Made,
    /// At least in one hierarchy it had been there, without processes.
    Adopted,
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
        Self::build(layout, path, resources, device_rules, &refuse, false).map(|(cgroup, _)| cgroup)
    }

    /// [`Cgroup::create`], where folders that are there already, each judged by `take_over`, are used as they are;
    /// of these, device programs that are attached may have to be replaced.
    pub(super) fn build(
        layout: &Layout,
        path: &str,
        resources: &Resources,
        device_rules: &[DeviceRule],
        take_over: &dyn Fn(&Node) -> Result<(), CgroupError>,
        replace_programs: bool,
    ) -> Result<(Self, Origin), CgroupError> {
        let path = CgroupPath::new(path)?;
        if layout.hierarchies().is_empty() {
            return Err(CgroupError::NoHierarchy);
        }
        resources.check(layout)?;
        let mut settings = settings::plan(resources, layout)?;
        let device_plan = DevicePlan::new(layout, device_rules)?;

        let mut cgroup = Self {
            path,
            layout: layout.clone(),
            nodes: Vec::with_capacity(layout.hierarchies().len()),
        };
        let mut made = Vec::with_capacity(16);
        let result = cgroup
            .make_folders(&settings, &mut made, take_over)
            .and_then(|origin| {
                // Limits that are there already may stand in each other's way.
                if origin == Origin::Adopted {
                    cgroup.order(resources, &mut settings)?;
                }
                for setting in &settings {
                    make::apply(setting, &setting.hierarchy.dir(cgroup.path.as_str()))?;
                }
                let replace = replace_programs && origin == Origin::Adopted;
                device_plan.apply(&cgroup.nodes, replace)?;
                Ok(origin)
            });
        match result {
            Ok(origin) => Ok((cgroup, origin)),
            Err(error) => Err(error.undone(unmake(&made))),
        }
    }

    fn make_folders(
        &mut self,
        settings: &[settings::Setting<'_>],
        made: &mut Vec<PathBuf>,
        take_over: &dyn Fn(&Node) -> Result<(), CgroupError>,
    ) -> Result<Origin, CgroupError> {
        let mut origin = Origin::Made;
        for hierarchy in self.layout.hierarchies() {
            let dir = hierarchy.dir(self.path.as_str());
            let mut node = Node {
                hierarchy: hierarchy.clone(),
                dir,
                entry: None,
            };
            if !make::make(hierarchy, &self.path, &node.dir, made)? {
                take_over(&node)?;
                origin = Origin::Adopted;
            }
            if hierarchy.v2 {
                make::enable_controllers(hierarchy, &self.path, &node.dir, settings)?;
            } else if hierarchy.has("cpuset") {
                make::fill_cpuset(hierarchy, self.path.as_str())?;
            }
            node.open_entry()?;
            self.nodes.push(node);
        }
        Ok(origin)
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
    /// [`Cgroup::open`], [`Cgroup::prepare_join`] must have been called. Device programs of v2 that are attached are
    /// replaced if the cgroup was adopted, and else hold as well.
    pub fn restrict_devices(
        &self,
        rules: &[DeviceRule],
        origin: Origin,
    ) -> Result<(), CgroupError> {
        DevicePlan::new(&self.layout, rules)?.apply(&self.nodes, origin == Origin::Adopted)
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

/// For [`Cgroup::create`].
fn refuse(node: &Node) -> Result<(), CgroupError> {
    Err(CgroupError::Exists {
        dir: node.dir.display().to_string(),
    })
}
