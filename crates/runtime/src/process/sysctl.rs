//! Writing /proc/sys of the container.

use rustix::fs::OFlags;
use soute_sys::Called;

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
        rustix::io::write(&file, value.as_bytes())
            .called(|| format!("write(\"{path}\")"))
            .step(&step)?;
    }
    Ok(())
}
