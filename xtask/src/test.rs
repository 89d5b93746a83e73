//! `cargo xtask test`: everything that must hold.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::peers;
use crate::cargo::{build_soute, build_with_lints, cargo, given_soute, link_soute};
use crate::cgroups::Parents;
use crate::image::{self, Images};
use crate::leftovers::Snapshot;
use crate::scratch::Scratch;
use crate::shell::{self, step};
use crate::target::Target;
use crate::{architecture, packages, vm};

/// Close to release, quick to link.
pub const PROFILE: &str = "test-release";

/// Modules whose tests take long or need a peer's daemon.
const NOT_QUICK: &[&str] = &[
    "containerd::",
    "dockerd::",
    "oci::attacks::",
    "oci::bad_input::",
    "oci::cgroups::",
    "oci::checkpoint::",
    "oci::console::",
    "oci::exec::",
    "oci::hooks::",
    "oci::killed::",
    "oci::mount_options::",
    "oci::mounts::",
    "oci::namespaces::",
    "oci::process::",
    "oci::rootfs::",
    "oci::seccomp::",
    "peers::",
    "podman::",
    "slow::",
];

/// The words after `test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave out what takes long, and most of the OCI runtime's cases.
    pub quick: bool,
    /// Run only the tests whose name contains this, and no other check.
    pub filter: Option<String>,
}

impl Options {
    /// # Errors
    /// An unknown flag, or two filters.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--quick" => options.quick = true,
                flag if flag.starts_with('-') => bail!("test: unknown flag {flag}"),
                filter if options.filter.is_none() => options.filter = Some(filter.into()),
                second => bail!("test: one filter at a time, not also {second:?}"),
            }
        }
        Ok(options)
    }
}

/// Installs, checks, builds, runs the tests, and looks at what they left.
pub fn run(options: &Options) -> Result<()> {
    if !shell::is_root()? {
        bail!("the tests make containers with all that root can give them: run them as root");
    }
    packages::install(packages::TESTS)?;
    if options.filter.is_none() {
        step("format");
        shell::run(&mut cargo(["fmt", "--all", "--check"]))?;
        step("architecture");
        architecture::check()?;
    }
    step("build");
    let whole = !options.quick && options.filter.is_none();
    let given = given_soute()?;
    let target = match whole && given.is_none() {
        true => Target::of_package()?.name,
        false => None,
    };
    let soute = match (given, &options.filter) {
        (Some(given), _) => given,
        (None, Some(_)) => build_soute(PROFILE)?,
        (None, None) => {
            let built = build_with_lints(PROFILE)?;
            match target {
                Some(_) => link_soute(PROFILE, target, &[])?,
                None => built,
            }
        }
    };
    if let Some(target) = target {
        step("tests of the kernel interface, as packaged");
        shell::run(&mut runner(
            &Options::default(),
            &["--package", "soute-sys", "--target", target],
        ))?;
    }
    let images = image::make_all()?;
    step("tests");
    let before = Snapshot::take(&soute)?;
    let parents = Parents::watch()?;
    let tested = run_tests(options, &soute, &images);
    drop(parents);
    // Told even when a test failed: what it left behind may be the reason.
    let left = Snapshot::take(&soute)?.compare(&before);
    match (tested, left) {
        (Err(failed), Err(left)) => return Err(failed.context(left.to_string())),
        (tested, left) => tested.and(left)?,
    }
    if !whole {
        return Ok(());
    }
    vm::run(PROFILE, Some(soute), None)
}

/// The fuzz targets, which are a workspace of their own, still fit what they call. They are not linked, which takes a
/// C++ compiler, nor run. Not a part of [`run`]: all dependencies are checked once more, with other flags, for minutes.
pub fn check_fuzz() -> Result<()> {
    const MANIFEST: &str = "fuzz/Cargo.toml";
    shell::run(&mut cargo(["fmt", "--manifest-path", MANIFEST, "--check"]))?;
    let mut check = cargo([
        "check",
        "--quiet",
        "--locked",
        "--manifest-path",
        MANIFEST,
        "--no-default-features",
    ]);
    // The first is as cargo-fuzz sets it.
    shell::run(check.env("RUSTFLAGS", "--cfg fuzzing --deny warnings"))
}

fn run_tests(options: &Options, soute: &Path, images: &Images) -> Result<()> {
    let scratch = Scratch::new("store")?;
    let store = prepared_store(soute, images, scratch.path())?;
    let mut command = runner(options, &["--workspace"]);
    command
        .env("SOUTE_BIN", soute)
        .env("SOUTE_TEST_STORE", &store)
        .env("SOUTE_TEST_DEBIAN", &images.debian)
        .env("SOUTE_TEST_BUSYBOX", &images.busybox);
    // Long to make; --quick compares nobody.
    if !options.quick
        && let Some(root) = peers::root()?
    {
        command.env("SOUTE_TEST_PEERS", root);
    }
    shell::run(&mut command)
}

/// cargo-nextest where it is installed (a process for each test, and time limits), `cargo test` otherwise; `packages` says whose
/// tests.
fn runner(options: &Options, packages: &[&str]) -> Command {
    let nextest = cargo(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if nextest {
        let mut command = cargo([
            "nextest",
            "run",
            "--cargo-profile",
            PROFILE,
            "--no-fail-fast",
        ]);
        command.args(packages);
        command.args(["--status-level", "slow", "--final-status-level", "fail"]);
        if options.quick {
            let left_out: Vec<String> = NOT_QUICK
                .iter()
                .map(|module| format!("test(/(^|::){module}/)"))
                .collect();
            command
                .arg("--filterset")
                .arg(format!("not ({})", left_out.join(" | ")));
        }
        command.args(options.filter.iter());
        return command;
    }
    let mut command = cargo([
        "test",
        "--all-targets",
        "--profile",
        PROFILE,
        "--no-fail-fast",
    ]);
    command.args(packages).arg("--");
    command.args(options.filter.iter());
    if options.quick {
        command.args(NOT_QUICK.iter().flat_map(|module| ["--skip", *module]));
    }
    command
}

/// Two engines' folders, `busybox` and `debian`, of which each test takes a copy by hard links.
fn prepared_store(soute: &Path, images: &Images, folder: &Path) -> Result<PathBuf> {
    let store = folder.join("store");
    for (name, file) in [("busybox", &images.busybox), ("debian", &images.debian)] {
        let mut import = Command::new(soute);
        import
            .arg("--root")
            .arg(store.join(name))
            .arg("--run")
            .arg(folder.join("run"));
        import.arg("import").arg(file).arg(name);
        shell::output(&mut import).with_context(|| format!("the image {name} for the tests"))?;
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_a_flag_and_a_filter_in_any_order() {
        let both = Options {
            quick: true,
            filter: Some("story".into()),
        };
        assert_eq!(Options::parse(&["--quick", "story"]).unwrap(), both);
        assert_eq!(Options::parse(&["story", "--quick"]).unwrap(), both);
        assert!(Options::parse(&["--slow"]).is_err());
        assert!(Options::parse(&["a", "b"]).is_err());
    }
}
