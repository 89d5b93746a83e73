//! Checkpoint and restore, by Debian's `criu` program (criu.org): its command line, and what surrounds it.
//!
//! criu gets its arguments from the bundle and the caller alone. Of the images it is criu that reads them, and nobody
//! else, but for the names by which the standard files are known in them ([`standard`]).
//!
//! It runs in a mount namespace of its own ([`scaffold`]): whatever it mounts on its way, and leaves when it is killed,
//! is nowhere else.

mod folders;
mod inherited;
mod limits;
mod mounts;
mod namespaces;
mod outcome;
mod program;
mod scaffold;
mod setup_hooks;
mod standard;

use std::path::PathBuf;

pub(crate) use folders::{Folders, check_parent, path_of};
pub(crate) use inherited::Inherited;
pub(crate) use limits::check;
pub(crate) use mounts::{MountTable, of_the_machine as mounts_of_the_machine};
pub(crate) use namespaces::external_network;
pub(crate) use outcome::failure;
pub(crate) use program::{FIGURES, Job, find, has_program};
pub(crate) use scaffold::{CGROUPS, HOOKS, MACHINE, ROOT, Root, WORK};
pub(crate) use setup_hooks::SetupHooks;
pub(crate) use standard::StandardFiles;

use crate::cgroups::Cgroup;

/// Where a checkpoint is.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// The folder of the images.
    pub folder: PathBuf,
    /// Where the log and the figures go; without, to the images.
    pub work: Option<PathBuf>,
}

/// What both directions are asked for alike, and must be asked for alike.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    /// TCP connections that are open.
    pub tcp_established: bool,
    /// Unix sockets the other ends of which are outside.
    pub ext_unix_sk: bool,
    /// A session, and a terminal, that began outside.
    pub shell_job: bool,
    /// File locks.
    pub file_locks: bool,
    /// What the images hold twice is punched out of the older ones.
    pub auto_dedup: bool,
    /// The network namespace is made, and left empty.
    pub empty_network: bool,
    /// What becomes of cgroups that the container has made below its own.
    pub cgroups: CgroupsMode,
}

/// `--manage-cgroups` (criu(8)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// Made anew where they are missing, and only then with their values.
    #[default]
    Soft,
    /// Made anew with their values, also those that are there.
    Full,
    /// None may be there: for a dump alone, since on a restore the container's own is.
    Strict,
    /// Left alone.
    Ignore,
}

impl Flags {
    /// As criu takes them.
    pub(crate) fn arguments(self) -> Vec<String> {
        let mode = match self.cgroups {
            CgroupsMode::Soft => "soft",
            CgroupsMode::Full => "full",
            CgroupsMode::Strict => "strict",
            CgroupsMode::Ignore => "ignore",
        };
        let mut arguments = vec![format!("--manage-cgroups={mode}")];
        for (wanted, flag) in [
            (self.tcp_established, "--tcp-established"),
            (self.ext_unix_sk, "--ext-unix-sk"),
            (self.shell_job, "--shell-job"),
            (self.file_locks, "--file-locks"),
            (self.auto_dedup, "--auto-dedup"),
        ] {
            if wanted {
                arguments.push(flag.to_owned());
            }
        }
        if self.empty_network {
            arguments.extend(["--empty-ns", "net"].map(str::to_owned));
        }
        arguments
    }
}

/// The container's cgroup, as the one below which criu puts what was below another. Each hierarchy has its own, that of
/// v2 by an empty name.
pub(crate) fn cgroup_roots(cgroup: &Cgroup) -> Vec<String> {
    cgroup
        .paths()
        .flat_map(|(hierarchy, dir)| {
            let below = dir.strip_prefix(&hierarchy.mount).unwrap_or(dir);
            let root = hierarchy.root.trim_end_matches('/');
            let name = match hierarchy.v2 {
                true => String::new(),
                false => hierarchy.controllers.join(","),
            };
            [
                "--cgroup-root".to_owned(),
                format!("{name}:{root}/{}", below.display()),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_not_passed() {
        assert_eq!(Flags::default().arguments(), ["--manage-cgroups=soft"]);
    }

    #[test]
    fn every_flag_is_passed() {
        let all = Flags {
            tcp_established: true,
            ext_unix_sk: true,
            shell_job: true,
            file_locks: true,
            auto_dedup: true,
            empty_network: true,
            cgroups: CgroupsMode::Strict,
        };
        let expected = "--manage-cgroups=strict --tcp-established --ext-unix-sk --shell-job --file-locks --auto-dedup \
                        --empty-ns net";
        assert_eq!(all.arguments().join(" "), expected);
    }
}
