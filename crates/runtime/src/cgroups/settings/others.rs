//! Huge pages, packets, RDMA, and files of v2 by their names.

use super::Plan;
use crate::cgroups::{CgroupError, HugepageLimit, LayoutKind, RdmaLimit, ResourceError, Resources};

impl<'a> Plan<'a> {
    pub(super) fn hugepages(&mut self, r: &Resources) -> Result<(), CgroupError> {
        let limit = "hugepageLimits";
        for HugepageLimit {
            page_size,
            limit: bytes,
        } in &r.hugepage_limits
        {
            // It becomes part of a file's name.
            let digits = page_size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if !number || !matches!(&page_size[digits.len()..], "KB" | "MB" | "GB") {
                return Err(ResourceError::PageSize(page_size.clone()).into());
            }
            let at = self.carrier(limit, "hugetlb", "hugetlb")?;
            let word = if at.0.v2 { "max" } else { "limit_in_bytes" };
            let file = format!("hugetlb.{page_size}.{word}");
            self.push(limit, at, file, bytes.to_string()).why_absent =
                " (no huge pages of that size here)";
            // Pages are counted when they are reserved too, since Linux 5.7: then a program hears of the limit by
            // mmap(2), instead of being killed by SIGBUS when it touches them.
            let file = format!("hugetlb.{page_size}.rsvd.{word}");
            self.push(limit, at, file, bytes.to_string()).moot_if_absent = true;
        }
        Ok(())
    }

    pub(super) fn network(&mut self, r: &Resources) -> Result<(), CgroupError> {
        if let Some(class) = r.net_class_id.filter(|&class| class != 0) {
            let text = class.to_string();
            self.only_v1("network.classID", "net_cls", "net_cls.classid", text)?;
        }
        for interface in &r.net_priorities {
            let limit = "network.priorities";
            let name = &interface.name;
            // dev_valid_name() of the kernel; in the file, a blank ends it.
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "/:".contains(c)) {
                return Err(ResourceError::Interface(name.clone()).into());
            }
            let text = format!("{name} {}", interface.priority);
            self.only_v1(limit, "net_prio", "net_prio.ifpriomap", text)?;
        }
        Ok(())
    }

    pub(super) fn rdma(&mut self, r: &Resources) -> Result<(), CgroupError> {
        for (device, RdmaLimit { handles, objects }) in &r.rdma {
            if device.is_empty() || device.contains(char::is_whitespace) {
                return Err(ResourceError::Interface(device.clone()).into());
            }
            let mut text = device.clone();
            for (key, number) in [("hca_handle", handles), ("hca_object", objects)] {
                if let Some(number) = number {
                    text.push_str(&format!(" {key}={number}"));
                }
            }
            if text.len() == device.len() {
                return Err(ResourceError::EmptyRdma(device.clone()).into());
            }
            let at = self.carrier("rdma", "rdma", "rdma")?;
            self.push("rdma", at, "rdma.max", text);
        }
        Ok(())
    }

    pub(super) fn unified(&mut self, r: &Resources) -> Result<(), CgroupError> {
        for (file, value) in &r.unified {
            let bad = |why: String| CgroupError::Unified {
                file: file.clone(),
                why,
            };
            // It is joined to the cgroup's folder: a slash would lead out of it.
            if file.contains(['/', '\0']) {
                return Err(bad("a file's name is expected, without \"/\"".to_owned()));
            }
            let controller = match file.split_once('.') {
                Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() => {
                    controller
                }
                _ => return Err(bad("CONTROLLER.PARAMETER is expected".to_owned())),
            };
            let Some(v2) = self.layout.v2() else {
                return Err(bad(format!(
                    "it needs cgroup v2 (layout: {})",
                    self.layout.kind()
                )));
            };
            // `cgroup.max.depth` and its like are there without any controller.
            let controller: &'a str = if controller == "cgroup" {
                ""
            } else if let Some(known) = v2.controllers.iter().find(|c| *c == controller) {
                known
            } else if self.layout.kind() == LayoutKind::Unified {
                return Err(bad(format!(
                    "no controller \"{controller}\" on this machine"
                )));
            } else {
                return Err(bad(format!(
                    "controller \"{controller}\" is not one of cgroup v2 here (layout: {})",
                    self.layout.kind()
                )));
            };
            // The kernel takes one line a write.
            let lines = value.lines().filter(|line| !line.trim().is_empty());
            let mut lines: Vec<&str> = lines.collect();
            if lines.is_empty() {
                // An empty write would not reach the kernel.
                lines.push("\n");
            }
            for line in lines {
                self.push("unified", (v2, controller), file.clone(), line.to_owned());
            }
        }
        Ok(())
    }
}
