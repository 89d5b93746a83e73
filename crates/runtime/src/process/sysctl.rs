//! Writing /proc/sys of the container.

use rustix::fs::{OFlags, PROC_SUPER_MAGIC};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::failure::{Failure, Step};
use crate::mounts::root::{Links, Root};

/// Writes each value; the engine has checked that the names are namespaced ones.
pub(crate) fn apply(root: &Root, sysctls: &[(String, String)]) -> Result<(), Failure> {
    for (name, value) in sysctls {
        let step = format!("the sysctl {name}={value}");
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let file = root
            .open_with(&path, OFlags::WRONLY, Links::Refuse)
            .step(&step)?;
        // A volume that the image declares, mounted there, would take the value for itself (CVE-2019-16884's way).
        let kind = rustix::fs::fstatfs(&file)
            .called(|| format!("fstatfs(\"{path}\")"))
            .step(&step)?;
        if kind.f_type != PROC_SUPER_MAGIC {
            let why = CallError::new(format!("{path} is not the kernel's"), Errno::NODEV);
            return Err(Failure::setup(step, why));
        }
        rustix::io::write(&file, value.as_bytes())
            .called(|| format!("write(\"{path}\")"))
            .step(&step)?;
    }
    Ok(())
}
