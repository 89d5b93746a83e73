//! Limits → the files and texts by which the kernel takes them. Pure.
//!
//! v1: Documentation/admin-guide/cgroup-v1/; v2: Documentation/admin-guide/cgroup-v2.rst.
//! Where the versions count differently the conversion is that of the OCI
//! runtimes, so that a container gets the same share under any of them.

mod cpu;
mod io;
mod memory;
mod others;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{CgroupError, Hierarchy, Layout, Resources};

pub(super) use cpu::weight as cpu_weight;
pub(super) use io::wide as io_weight;
pub(super) use memory::swap_max;

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting<'a> {
    /// The flag that asked (or the field, where there is no flag), for errors.
    pub limit: &'static str,
    /// The kernel's name of the controller; empty: it needs none.
    pub controller: &'a str,
    /// The hierarchy that carries it.
    pub hierarchy: &'a Hierarchy,
    /// File and text; the first file that exists is taken.
    pub writes: Vec<(Cow<'static, str>, String)>,
    /// "No limit" is asked, or a default: where the file is missing there is nothing to be done.
    pub moot_if_absent: bool,
    /// Why the file may be missing, or nothing.
    pub why_absent: &'static str,
}

/// Collects the settings, one method per shape of limit.
struct Plan<'a> {
    layout: &'a Layout,
    settings: Vec<Setting<'a>>,
}

/// A hierarchy, and the name that it has for the controller.
type Carrier<'a> = (&'a Hierarchy, &'a str);

impl<'a> Plan<'a> {
    /// The hierarchy with the controller, under its v1 or its v2 name.
    fn carrier(
        &self,
        limit: &'static str,
        v1: &'static str,
        v2: &'static str,
    ) -> Result<Carrier<'a>, CgroupError> {
        let found = self.layout.hierarchies().iter().find_map(|h| {
            let name = if h.v2 { v2 } else { v1 };
            h.has(name).then_some((h, name))
        });
        found.ok_or_else(|| {
            let wanted = if self.layout.hierarchies().iter().all(|h| h.v2) {
                v2
            } else {
                v1
            };
            self.layout.missing(limit, wanted)
        })
    }

    fn push(
        &mut self,
        limit: &'static str,
        at: Carrier<'a>,
        file: impl Into<Cow<'static, str>>,
        text: String,
    ) -> &mut Setting<'a> {
        self.push_either(limit, at, vec![(file.into(), text)])
    }

    /// A limit that kernels know by different files.
    fn push_either(
        &mut self,
        limit: &'static str,
        at: Carrier<'a>,
        writes: Vec<(Cow<'static, str>, String)>,
    ) -> &mut Setting<'a> {
        let at_end = self.settings.len();
        self.settings.push(Setting {
            limit,
            controller: at.1,
            hierarchy: at.0,
            writes,
            moot_if_absent: false,
            why_absent: "",
        });
        &mut self.settings[at_end]
    }

    /// A limit that v2 has no counterpart of.
    fn only_v1(
        &mut self,
        limit: &'static str,
        controller: &'static str,
        file: &'static str,
        text: String,
    ) -> Result<(), CgroupError> {
        let at = self.carrier(limit, controller, controller)?;
        if at.0.v2 {
            return Err(CgroupError::OnlyV1 {
                limit,
                controller: controller.to_owned(),
            });
        }
        self.push(limit, at, file, text);
        Ok(())
    }
}

/// All writes for `resources`, in an order that suits a fresh cgroup.
/// An asked limit without a controller is an error before anything is made.
pub(super) fn plan<'a>(
    resources: &Resources,
    layout: &'a Layout,
) -> Result<Vec<Setting<'a>>, CgroupError> {
    let mut plan = Plan {
        layout,
        settings: Vec::new(),
    };
    plan.memory(resources)?;
    plan.cpu(resources)?;
    plan.cpuset(resources)?;
    plan.pids(resources)?;
    plan.block_io(resources)?;
    plan.hugepages(resources)?;
    plan.network(resources)?;
    plan.rdma(resources)?;
    // The last: it is the caller's word against what was converted.
    plan.unified(resources)?;
    Ok(plan.settings)
}
