//! The images of the tests, the demo and the benchmark: root file systems as
//! tar files, made once from the distribution's own packages.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::scratch::Scratch;
use crate::shell::{self, command, output, run};

/// Where what took long to make is kept.
pub const FOLDER: &str = "/var/cache/soute-tests";

/// Debian (or Ubuntu: what the machine is) with Python 3. The number counts changes of its contents.
const DEBIAN: &str = "debian-python3.2.tar";

/// One static program of many names.
const BUSYBOX: &str = "busybox.1.tar";

/// Beside the essential packages: an interpreter that starts, and what looks at processes.
const DEBIAN_PACKAGES: &str = "python3-minimal,procps";

/// The files.
pub struct Images {
    /// A whole distribution: 200 MB, 10,000 entries.
    pub debian: PathBuf,
    /// 2 MB.
    pub busybox: PathBuf,
}

/// Makes the images that are not there yet.
pub fn make_all() -> Result<Images> {
    packages::install(packages::IMAGES)?;
    std::fs::create_dir_all(FOLDER).with_context(|| format!("cannot make {FOLDER}"))?;
    let images = Images {
        debian: Path::new(FOLDER).join(DEBIAN),
        busybox: Path::new(FOLDER).join(BUSYBOX),
    };
    make(&images.debian, debian)?;
    make(&images.busybox, busybox)?;
    Ok(images)
}

/// Calls `maker` with a temporary name, so that a file under the real one is whole.
fn make(file: &Path, maker: fn(&Path) -> Result<()>) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    shell::step(&format!("making {}", file.display()));
    // mmdebstrap tells the format from the extension.
    let partial = file.with_extension(format!("{}.partial.tar", std::process::id()));
    let made = maker(&partial).and_then(|()| Ok(std::fs::rename(&partial, file)?));
    if made.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    made.with_context(|| format!("cannot make {}", file.display()))
}

fn debian(file: &Path) -> Result<()> {
    let (suite, sources) = apt_sources()?;
    let include = format!("--include={DEBIAN_PACKAGES}");
    mmdebstrap(&["--variant=minbase", &include], &suite, file, &sources)
}

/// Makes a root file system of `suite` as `target`, a tar file or a folder.
pub fn mmdebstrap(options: &[&str], suite: &str, target: &Path, sources: &str) -> Result<()> {
    let mut child = command("mmdebstrap", ["--quiet"])
        .args(options)
        .arg(suite)
        .arg(target)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run mmdebstrap")?;
    let mut stdin = child
        .stdin
        .take()
        .context("mmdebstrap has no standard input")?;
    stdin.write_all(sources.as_bytes())?;
    drop(stdin);
    let status = child.wait()?;
    if !status.success() {
        bail!("mmdebstrap {suite} ended with {status}");
    }
    Ok(())
}

/// The machine's suite, and its own sources for it in the form of sources.list(5).
pub fn apt_sources() -> Result<(String, String)> {
    let release =
        std::fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let (id, suite) = (field(&release, "ID"), field(&release, "VERSION_CODENAME"));
    let (Some(id), Some(suite)) = (id, suite) else {
        bail!("/etc/os-release names no distribution and suite: neither Debian nor Ubuntu?");
    };
    let mut query = command(
        "apt-get",
        [
            "indextargets",
            "--format",
            "$(ORIGIN)|$(SIGNED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
            "Created-By: Packages",
        ],
    );
    let mut sources = source_lines(&output(&mut query)?, id, suite);
    if sources.is_empty() {
        // Apt knows a source's origin only once it has fetched its list.
        run(&mut command("apt-get", ["update", "--quiet"]))?;
        sources = source_lines(&output(&mut query)?, id, suite);
    }
    if sources.is_empty() {
        bail!("apt has no source of {id}'s own packages for {suite}");
    }
    Ok((suite.to_owned(), sources))
}

/// The value of `name=value` in an os-release file (os-release(5)).
fn field<'a>(release: &'a str, name: &str) -> Option<&'a str> {
    release
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .map(|value| value.trim_matches('"'))
}

/// Keeps the distribution's own sources: others need keys and hosts that the image has nothing to do with.
fn source_lines(targets: &str, id: &str, suite: &str) -> String {
    let mut lines = String::new();
    for target in targets.lines() {
        let [origin, key, uri, release, component] = target.split('|').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let ours = origin.eq_ignore_ascii_case(id)
            && release
                .strip_prefix(suite)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if !ours {
            continue;
        }
        // Apt leaves the name of a field without a value in its place.
        let option = if key.is_empty() || key.starts_with('$') {
            String::new()
        } else {
            format!("[signed-by={key}] ")
        };
        lines.push_str(&format!("deb {option}{uri} {release} {component}\n"));
    }
    lines
}

fn busybox(file: &Path) -> Result<()> {
    let scratch = Scratch::new("busybox")?;
    let root = scratch.path();
    busybox_tree(root)?;
    run(command(
        "tar",
        [
            "--create",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
            "--file",
        ],
    )
    .arg(file)
    .arg("--directory")
    .arg(root)
    .arg("."))
}

/// Lays a root file system of busybox alone into the empty folder `root`.
pub fn busybox_tree(root: &Path) -> Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for folder in [
        "bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var",
    ] {
        std::fs::create_dir(root.join(folder))?;
    }
    let mode = |path: &Path, mode| {
        std::fs::File::open(path)?.set_permissions(std::fs::Permissions::from_mode(mode))
    };
    mode(root, 0o755)?;
    mode(&root.join("root"), 0o700)?;
    mode(&root.join("tmp"), 0o1777)?;
    let program = root.join("bin/busybox");
    std::fs::copy("/bin/busybox", &program)
        .context("cannot copy /bin/busybox (package busybox-static)")?;
    mode(&program, 0o755)?;
    for name in output(&mut command("/bin/busybox", ["--list"]))?
        .lines()
        .filter(|name| *name != "busybox")
    {
        symlink("busybox", root.join("bin").join(name))?;
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nuser:x:1000:1000::/home:/bin/sh\n",
    )?;
    std::fs::write(
        root.join("etc/group"),
        "root:x:0:\nstaff:x:50:user\nuser:x:1000:\nnogroup:x:65534:\n",
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_distributions_own_sources_are_taken() {
        let targets = "\
Debian|$(SIGNED_BY)|http://mirror/debian/|bookworm|main
Debian|/keys/a.gpg|http://mirror/security/|bookworm-security|main
Debian||http://mirror/debian/|trixie|main
Other|$(SIGNED_BY)|http://elsewhere/|bookworm|main
$(ORIGIN)|$(SIGNED_BY)|http://unfetched/|bookworm|main
";
        assert_eq!(
            source_lines(targets, "debian", "bookworm"),
            "deb http://mirror/debian/ bookworm main\ndeb [signed-by=/keys/a.gpg] http://mirror/security/ bookworm-security main\n"
        );
    }

    #[test]
    fn fields_of_os_release_may_be_quoted() {
        let release =
            "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(field(release, "ID"), Some("debian"));
        assert_eq!(field(release, "VERSION_ID"), Some("12"));
        assert_eq!(field(release, "BUG"), None);
    }
}
