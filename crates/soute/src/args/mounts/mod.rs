//! `--volume`, `--mount`, `--tmpfs` and `--read-only`.

mod long;
mod short;
mod target;
mod tmpfs;

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use soute_engine::request::{MountKind, MountRequest, Request};

use super::numbers;
use super::outside::Outside;

/// Where a container's files come from, besides its image.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub struct MountArgs {
    /// Mount a path of the machine, or a volume that soute keeps
    #[arg(short, long = "volume", value_name = "[SOURCE:]TARGET[:OPTIONS]", value_parser = short::parse)]
    volumes: Vec<MountRequest>,

    /// Mount what KEY=VALUE pairs say: type=bind|volume|tmpfs, src, dst, readonly, …
    #[arg(long = "mount", value_name = "KEY=VALUE,…", value_parser = long::parse)]
    mounts: Vec<MountRequest>,

    /// Mount memory: size=, mode=, exec, …
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = tmpfs::parse)]
    tmpfs: Vec<MountRequest>,

    /// Make the root file system read-only
    #[arg(long)]
    read_only: bool,

    /// Size of /dev/shm (64m)
    #[arg(long, value_name = "BYTES", value_parser = numbers::bytes)]
    shm_size: Option<u64>,
}

impl MountArgs {
    /// Files the mounts under `request`, parents before children.
    pub fn apply(self, request: &mut Request, outside: &dyn Outside) -> Result<()> {
        let mut mounts = [self.volumes, self.mounts, self.tmpfs].concat();
        for mount in &mut mounts {
            if let MountKind::Bind { path, .. } = &mut mount.source
                && path.is_relative()
            {
                let here = outside
                    .working_directory()
                    .context("the working directory")?;
                *path = without_dots(&here.join(&*path));
            }
        }
        let mut taken = HashSet::new();
        if let Some(twice) = mounts.iter().find(|mount| !taken.insert(&mount.target)) {
            bail!("two mounts at {}", twice.target);
        }
        // Stable, so that neighbours keep the order in which they were given.
        mounts.sort_by_key(|mount| mount.target.matches('/').count());
        request.mounts = mounts;
        request.read_only = self.read_only;
        // 0 is "the default", as in Docker.
        request.shm_size = self.shm_size.filter(|size| *size > 0);
        Ok(())
    }
}

/// `path` without `.`; `..` stays, as only the kernel knows what is before it.
fn without_dots(path: &Path) -> std::path::PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::super::outside::tests::Pretended;
    use super::*;

    fn apply(arguments: &[&str]) -> Result<Request> {
        let command = MountArgs::augment_args(Command::new("run").no_binary_name(true));
        let arguments = MountArgs::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
        let mut request = Request::default();
        arguments.apply(&mut request, &Pretended::default())?;
        Ok(request)
    }

    #[test]
    fn parents_come_first_and_relative_sources_are_resolved() {
        let request = apply(&[
            "--tmpfs",
            "/a/b/c",
            "-v",
            "./data/../x:/a/b",
            "--mount",
            "dst=/a,type=bind,src=.",
            "--read-only",
            "--shm-size",
            "1m",
        ])
        .unwrap();
        let targets: Vec<_> = request.mounts.iter().map(|mount| &mount.target).collect();
        assert_eq!(targets, ["/a", "/a/b", "/a/b/c"]);
        let sources: Vec<_> = request.mounts.iter().map(|mount| &mount.source).collect();
        assert!(
            matches!(sources[0], MountKind::Bind { path, create: false, .. } if path == Path::new("/home/bob"))
        );
        assert!(
            matches!(sources[1], MountKind::Bind { path, create: true, .. } if path == Path::new("/home/bob/data/../x"))
        );
        assert!(request.read_only);
        assert_eq!(request.shm_size, Some(1 << 20));
    }

    #[test]
    fn one_target_takes_one_mount() {
        let error = apply(&["-v", "data:/x", "--tmpfs", "/y/../x/"]).unwrap_err();
        assert_eq!(error.to_string(), "two mounts at /x");
    }

    proptest::proptest! {
        /// Whatever is written, nothing breaks, and what is taken has a sound target.
        #[test]
        fn any_text_is_taken_or_refused(text in "[a-z/:.,=\"\\x00é0-9-]{0,40}", words in ".{0,40}") {
            for text in [&text, &words] {
                for parse in [short::parse, long::parse, tmpfs::parse] {
                    if let Ok(mount) = parse(text) {
                        proptest::prop_assert!(mount.target.len() > 1 && mount.target.starts_with('/'));
                        proptest::prop_assert!(!mount.target.contains('\0'));
                        let parts = mount.target[1..].split('/');
                        proptest::prop_assert!(parts.into_iter().all(|part| !matches!(part, "" | "." | "..")));
                    }
                }
            }
        }
    }
}
