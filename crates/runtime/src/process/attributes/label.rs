//! Labels of security modules: AppArmor's profile and SELinux's context of the program to come.
//!
//! Both are written to a file of the writer's own in /proc, and hold from its next execve on (proc_pid_attr(5)). The
//! file is opened through a handle that no container can change: a procfs of the container's would let an image take
//! the label for itself (CVE-2019-16884), or lead it elsewhere (CVE-2025-52881).

use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::OFlags;
use soute_sys::CallError;

use super::super::failure::{Failure, Step};
use super::Attributes;
use crate::mounts::procfs::{Procfs, write_whole};

/// AppArmor's own file (Linux 5.8), beside other modules'.
const APPARMOR: &str = "thread-self/attr/apparmor/exec";
const SELINUX: &str = "thread-self/attr/exec";

/// Open files and what is to be written to them.
#[derive(Debug)]
pub struct Label(Vec<(OwnedFd, &'static str, String)>);

impl Label {
    /// [`Label::open`] with a procfs of this process's own, if there is anything to open.
    pub(in crate::process) fn of(attributes: &Attributes) -> Result<Option<Self>, Failure> {
        match attributes.apparmor_profile.is_empty() && attributes.selinux_label.is_empty() {
            true => Ok(None),
            false => Self::open(attributes, &Procfs::processes().step("the labels")?),
        }
    }

    /// Its files, by number.
    pub(in crate::process) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.0.iter().map(|(file, ..)| file.as_raw_fd())
    }

    /// Opens what `attributes` needs, if anything. The kernel takes a label only from the memory that has opened the
    /// file: neither from a parent nor from a child made by fork(2).
    pub fn open(attributes: &Attributes, procfs: &Procfs) -> Result<Option<Self>, Failure> {
        let mut files = Vec::new();
        let mut open = |path, text: String| -> Result<(), CallError> {
            files.push((procfs.open(path, OFlags::WRONLY)?, path, text));
            Ok(())
        };
        let profile = &attributes.apparmor_profile;
        if !profile.is_empty() {
            open(APPARMOR, format!("exec {profile}")).step("the AppArmor profile")?;
        }
        if !attributes.selinux_label.is_empty() {
            open(SELINUX, attributes.selinux_label.clone()).step("the SELinux label")?;
        }
        Ok(Some(Self(files)).filter(|label| !label.0.is_empty()))
    }

    pub(super) fn apply(self) -> Result<(), Failure> {
        self.0.into_iter().try_for_each(|(file, path, text)| {
            write_whole(&file, path, &text).step(format!("the label {text:?}"))
        })
    }
}

/// Refuses labels of modules that the kernel of the machine, seen at `sys`, does not have.
pub(super) fn check(attributes: &Attributes, sys: &Path) -> Result<(), Failure> {
    let refuse = |field: &str, label: &str, module: &str| {
        Err(Failure::setup(
            format!("{field} {label:?}"),
            format_args!("this machine's kernel does not use {module}"),
        ))
    };
    let Attributes {
        apparmor_profile: profile,
        selinux_label: label,
        mount_label,
        ..
    } = attributes;
    if !profile.is_empty() {
        let enabled = std::fs::read(sys.join("module/apparmor/parameters/enabled"));
        // "Y", or an error: there is no such module.
        if !enabled.is_ok_and(|text| text.starts_with(b"Y")) {
            return refuse("apparmorProfile", profile, "AppArmor");
        }
    }
    // selinuxfs, whose first file this is; without it the folder may be there and empty.
    let selinux = || sys.join("fs/selinux/enforce").exists();
    for (field, label) in [("selinuxLabel", label), ("mountLabel", mount_label)] {
        if !label.is_empty() && !selinux() {
            return refuse(field, label, "SELinux");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn profile() -> Attributes {
        Attributes {
            apparmor_profile: "docker-default".into(),
            ..Attributes::default()
        }
    }

    fn contexts() -> [Attributes; 2] {
        let label = "system_u:system_r:container_t:s0";
        [
            Attributes {
                selinux_label: label.into(),
                ..Attributes::default()
            },
            Attributes {
                mount_label: label.into(),
                ..Attributes::default()
            },
        ]
    }

    #[test]
    fn labels_are_refused_where_the_kernel_has_no_such_module() {
        let sys = tempfile::tempdir().unwrap();
        let failure = check(&profile(), sys.path()).unwrap_err();
        assert_eq!(
            failure.message,
            "apparmorProfile \"docker-default\": this machine's kernel does not use AppArmor"
        );
        // Some have the folder without the module.
        fs::create_dir_all(sys.path().join("fs/selinux")).unwrap();
        for attributes in contexts() {
            let failure = check(&attributes, sys.path()).unwrap_err();
            assert!(failure.message.contains("SELinux"), "{failure}");
        }
        let enabled = sys.path().join("module/apparmor/parameters");
        fs::create_dir_all(&enabled).unwrap();
        fs::write(enabled.join("enabled"), "N\n").unwrap();
        check(&profile(), sys.path()).unwrap_err();
        fs::write(enabled.join("enabled"), "Y\n").unwrap();
        check(&profile(), sys.path()).unwrap();
        fs::write(sys.path().join("fs/selinux/enforce"), "1").unwrap();
        for attributes in contexts() {
            check(&attributes, sys.path()).unwrap();
        }
    }

    #[test]
    fn the_file_is_the_writers_own() {
        let procfs = Procfs::machine().unwrap();
        assert!(
            Label::open(&Attributes::default(), &procfs)
                .unwrap()
                .is_none()
        );
        let [attributes, _] = contexts();
        let label = Label::open(&attributes, &procfs).unwrap().unwrap();
        // Without the module the kernel refuses it; what matters is that it was asked, by this file.
        if !Path::new("/sys/fs/selinux/enforce").exists() {
            let failure = label.apply().unwrap_err();
            assert!(
                failure.message.contains("/proc/thread-self/attr/exec"),
                "{failure}"
            );
        }
    }
}
