//! What turning arguments into a request needs from outside them, behind one
//! trait, so that all of it is tested without a machine in a certain state.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

/// The caller's surroundings.
pub trait Outside {
    /// A variable of the caller's environment.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The text of a file that an argument names.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// The caller's working directory.
    fn working_directory(&self) -> io::Result<PathBuf>;
    /// Major and minor number of the block device at `path`; `None`: something else is there.
    fn block_device(&self, path: &Path) -> io::Result<Option<(u32, u32)>>;
    /// How many CPUs the caller may use.
    fn cpus(&self) -> u64;
    /// Whether this security module is at work in the kernel.
    fn security_module(&self, module: SecurityModule) -> bool;
}

/// A security module whose policy an argument may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityModule {
    /// AppArmor.
    AppArmor,
    /// SELinux.
    SeLinux,
}

/// The real surroundings.
pub struct Machine;

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn working_directory(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    fn block_device(&self, path: &Path) -> io::Result<Option<(u32, u32)>> {
        let stat = rustix::fs::stat(path)?;
        let device = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
        Ok(device.then(|| {
            (
                rustix::fs::major(stat.st_rdev),
                rustix::fs::minor(stat.st_rdev),
            )
        }))
    }

    fn cpus(&self) -> u64 {
        match rustix::thread::sched_getaffinity(None) {
            Ok(set) => set.count().into(),
            // More CPUs than a fixed set has room for (EINVAL): no reason to refuse any number.
            Err(_) => u64::MAX,
        }
    }

    fn security_module(&self, module: SecurityModule) -> bool {
        match module {
            // security/apparmor/lsm.c: "Y" once its policy is enforced.
            SecurityModule::AppArmor => std::fs::read("/sys/module/apparmor/parameters/enabled")
                .is_ok_and(|text| text.starts_with(b"Y")),
            // selinuxfs offers its folder only when SELinux is enabled.
            SecurityModule::SeLinux => Path::new("/sys/fs/selinux").is_dir(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Surroundings that a test spells out.
    #[derive(Default)]
    pub struct Pretended {
        pub variables: BTreeMap<&'static str, &'static str>,
        pub files: BTreeMap<&'static str, &'static str>,
        pub block_devices: BTreeMap<&'static str, (u32, u32)>,
        pub modules: Vec<SecurityModule>,
    }

    impl Outside for Pretended {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.variables.get(name).map(OsString::from)
        }

        fn read(&self, path: &Path) -> io::Result<String> {
            let text = path.to_str().and_then(|path| self.files.get(path));
            text.map(|text| text.to_string())
                .ok_or(io::ErrorKind::NotFound.into())
        }

        fn working_directory(&self) -> io::Result<PathBuf> {
            Ok("/home/bob".into())
        }

        fn block_device(&self, path: &Path) -> io::Result<Option<(u32, u32)>> {
            Ok(path
                .to_str()
                .and_then(|path| self.block_devices.get(path))
                .copied())
        }

        fn cpus(&self) -> u64 {
            4
        }

        fn security_module(&self, module: SecurityModule) -> bool {
            self.modules.contains(&module)
        }
    }
}
