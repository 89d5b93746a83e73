//! criu's process: made here, waited for by whoever made it.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};
use soute_sys::process::{Cloned, clone3, exit_now};
use soute_sys::{CallError, Called};

use super::scaffold::{self, Root};
use super::setup_hooks::SetupHooks;
use crate::cgroups::{Cgroup, Layout};
use crate::containers::Error;
use crate::hooks::die_with_caller;
use crate::process::DEFAULT_PATH;

/// The name of the file with its figures of a restoring.
pub(crate) const FIGURES: &str = "stats-restore";

/// Where criu is.
///
/// # Errors
/// Nowhere in PATH.
pub(crate) fn find() -> Result<PathBuf, Error> {
    in_path("criu").ok_or_else(|| {
        Error::Impossible(
            "checkpoint and restore are done by the program criu, and there is none in PATH: install the package criu"
                .to_owned(),
        )
    })
}

/// Whether there is a program of that name.
pub(crate) fn has_program(name: &str) -> bool {
    in_path(name).is_some()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH");
    let path = path.as_deref().unwrap_or(OsStr::new(DEFAULT_PATH));
    let is_program = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(is_program)
}

/// One call of criu.
pub(crate) struct Job<'a> {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments, without its name.
    pub(crate) arguments: Vec<String>,
    /// The cgroup that it runs in, where that is not the caller's: whatever ends the container ends it, too. It dies with
    /// its caller then.
    pub(crate) inside: Option<&'a Cgroup>,
    /// It has the caller's standard files, and with them the terminal. Else what it writes is kept for an error.
    pub(crate) on_terminal: bool,
    /// The machine's cgroups.
    pub(crate) layout: &'a Layout,
    /// What it finds at [`scaffold::ROOT`].
    pub(crate) root: Option<Root<'a>>,
    /// Descriptors that it keeps.
    pub(crate) kept: Vec<i32>,
    /// What is to be done while it waits.
    pub(crate) hooks: Option<&'a SetupHooks>,
}

/// criu while it runs.
pub(crate) struct Running {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// What kept it from running, if so.
    says: OwnedFd,
    /// What it wrote to its standard output and error, where these are not the caller's.
    output: Option<OwnedFd>,
}

impl Job<'_> {
    /// Makes the process. The caller has one thread.
    pub(crate) fn start(&self) -> Result<Running, Error> {
        let text = |bytes: &[u8]| {
            CString::new(bytes).map_err(|_| {
                Error::Impossible("an argument for criu has a NUL character".to_owned())
            })
        };
        let program = text(self.program.as_os_str().as_bytes())?;
        let mut argv = vec![text(b"criu")?];
        for argument in &self.arguments {
            argv.push(text(argument.as_bytes())?);
        }
        let envp = std::env::vars_os()
            .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect::<Result<Vec<_>, _>>()?;
        soute_sys::signals::reset(Signal::CHILD.as_raw());
        let (hears, says) =
            pipe_with(PipeFlags::CLOEXEC).called(|| "pipe2(O_CLOEXEC)".to_owned())?;
        let output = match self.on_terminal {
            true => None,
            false => Some(
                rustix::fs::memfd_create("criu", MemfdFlags::CLOEXEC)
                    .called(|| "memfd_create(criu)".to_owned())?,
            ),
        };
        match clone3(0, self.inside.and_then(Cgroup::v2_fd))? {
            Cloned::Child => {
                drop(hears);
                let Err(e) = self.become_criu(&program, &argv, &envp, &says, output.as_ref());
                let _ = rustix::io::write(&says, e.to_string().as_bytes());
                exit_now(127)
            }
            Cloned::Parent { pid, pidfd } => Ok(Running {
                pid,
                pidfd,
                says: hears,
                output,
            }),
        }
    }

    /// In the new process. No descriptor of the caller's is used afterwards, and none may be dropped.
    fn become_criu(
        &self,
        program: &CString,
        argv: &[CString],
        envp: &[CString],
        says: &OwnedFd,
        output: Option<&OwnedFd>,
    ) -> Result<Infallible, CallError> {
        if let Some(cgroup) = self.inside {
            cgroup
                .join_self_v1()
                .map_err(|e| CallError::new(e.to_string(), rustix::io::Errno::PERM))?;
            // Half a container, of which nobody knows, is not to go on.
            die_with_caller(says)?;
        }
        if let Some(output) = output {
            let null = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty())
                .called(|| "open(\"/dev/null\")".to_owned())?;
            rustix::stdio::dup2_stdin(&null).called(|| "dup2(null, 0)".to_owned())?;
            rustix::stdio::dup2_stdout(output).called(|| "dup2(output, 1)".to_owned())?;
            rustix::stdio::dup2_stderr(output).called(|| "dup2(output, 2)".to_owned())?;
        }
        rustix::process::umask(Mode::empty());
        scaffold::build(
            self.layout.hierarchies(),
            self.root.as_ref(),
            self.hooks.map(SetupHooks::script),
        )?;
        let mut kept = self.kept.clone();
        kept.push(says.as_raw_fd());
        soute_sys::process::close_all_but(&mut kept)?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        soute_sys::signals::reset_all()?;
        if let Some(root) = &self.root {
            // What criu does not restore, its children have from it: not the caller's keys, as in a container that
            // starts; and what the images do not tell (criu 3.17), once it is set nobody gets rid of.
            soute_sys::process::new_session_keyring()?;
            if root.plan.process.no_new_privileges {
                rustix::thread::set_no_new_privs(true)
                    .called(|| "prctl(PR_SET_NO_NEW_PRIVS)".to_owned())?;
            }
        }
        let errno = soute_sys::process::execve(program, argv, envp);
        Err(CallError::new(format!("execve({program:?})"), errno))
    }
}

impl Running {
    /// Waits for its end: its exit status.
    pub(crate) fn wait(&self) -> Result<i32, Error> {
        Ok(crate::process::exit_code(&self.pidfd)?)
    }

    /// What it said besides its log; after its end.
    pub(crate) fn said(&self) -> String {
        let mut text = vec![0; 8192];
        let mut length = rustix::io::read(&self.says, &mut text).unwrap_or(0);
        if let (0, Some(output)) = (length, &self.output) {
            length = rustix::io::pread(output, &mut text, 0).unwrap_or(0);
        }
        text.truncate(length);
        String::from_utf8_lossy(&text).into_owned()
    }
}
