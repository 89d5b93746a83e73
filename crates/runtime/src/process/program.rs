//! Finding the program in the container, and becoming it.

use std::ffi::{CStr, CString};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::failure::{Failure, FailureKind};

/// What a shell would search where the environment names no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folders that a program is looked for in, between colons.
pub(crate) fn path_in(env: &[String]) -> &str {
    let mut entries = env.iter().rev();
    entries
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
}

/// The program with its arguments and environment, ready for execve.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    whose: &'static str,
    candidates: Vec<CString>,
    magic: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Program {
    /// Prepares `args` and `env`; a name without a slash is looked up in the PATH of `env`, as execvp(3) does.
    pub(crate) fn new(args: &[String], env: &[String]) -> Result<Self, Failure> {
        let name = args.first().ok_or_else(|| {
            Failure::setup("the program", "neither the image nor the command names one")
        })?;
        if name.is_empty() {
            return Err(Failure {
                kind: FailureKind::NotFound,
                message: "the program's name is empty".to_owned(),
            });
        }
        let candidates = if name.contains('/') {
            vec![text(name)?]
        } else {
            path_in(env)
                .split(':')
                .map(|dir| {
                    text(&format!(
                        "{}/{name}",
                        if dir.is_empty() { "." } else { dir }
                    ))
                })
                .collect::<Result<_, _>>()?
        };
        Ok(Self {
            name: name.clone(),
            whose: "the container's",
            candidates,
            magic: Vec::new(),
            argv: args.iter().map(|a| text(a)).collect::<Result<_, _>>()?,
            envp: env.iter().map(|e| text(e)).collect::<Result<_, _>>()?,
        })
    }

    /// It is this file, wherever one of its name is found.
    pub(crate) fn is_at(&mut self, path: &CStr) {
        self.candidates = vec![path.to_owned()];
    }

    /// It is looked for among files that are `whose` ("the machine's"), for messages.
    pub(crate) fn is_of(&mut self, whose: &'static str) {
        self.whose = whose;
    }

    /// Adds `NAME=VALUE` to the environment unless NAME is set.
    pub(crate) fn default_env(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let prefix = format!("{name}=");
        let set = self
            .envp
            .iter()
            .any(|e| e.as_bytes().starts_with(prefix.as_bytes()));
        if !set {
            self.envp.push(text(&format!("{prefix}{value}"))?);
        }
        Ok(())
    }

    /// Takes out what leads through a magic link. To be done as long as no filter forbids to look.
    pub(crate) fn avoid_magic(&mut self) {
        let (magic, straight) = std::mem::take(&mut self.candidates)
            .into_iter()
            .partition(|path| leads_through_magic(path));
        (self.magic, self.candidates) = (magic, straight);
    }

    /// Whether there is a program to execute, as far as can be told without trying: so that `create` fails and not
    /// `start`.
    pub(crate) fn look(&self) -> Result<(), Failure> {
        let mut denied = None;
        for path in &self.candidates {
            let executable = Access::EXEC_OK;
            match rustix::fs::accessat(CWD, path, executable, AtFlags::EACCESS) {
                Ok(()) if is_file(path) => return Ok(()),
                Ok(()) => denied = denied.or(Some((path, Errno::ACCESS))),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => denied = denied.or(Some((path, errno))),
            }
        }
        Err(self.why_not(denied.or(self.magic.first().map(|path| (path, Errno::LOOP)))))
    }

    /// Executes the first candidate that can be; returns why none could.
    pub(crate) fn execute(&self) -> Failure {
        let mut denied = self.magic.first().map(|path| (path, Errno::LOOP));
        for path in &self.candidates {
            match soute_sys::process::execve(path, &self.argv, &self.envp) {
                Errno::NOENT | Errno::NOTDIR => {}
                // Further folders of the PATH may hold one that can be executed.
                errno => denied = denied.or(Some((path, errno))),
            }
        }
        self.why_not(denied)
    }

    fn why_not(&self, denied: Option<(&CString, Errno)>) -> Failure {
        match denied {
            Some((path, errno)) => Failure {
                kind: FailureKind::NotExecutable,
                message: format!("execve(\"{}\"): {errno}", path.to_string_lossy()),
            },
            None if self.name.contains('/') => Failure {
                kind: FailureKind::NotFound,
                message: if std::fs::symlink_metadata(&self.name).is_ok() {
                    format!(
                        "{:?} is there, but the interpreter or loader that it names is not",
                        self.name
                    )
                } else {
                    format!("{:?}: no such file among {} files", self.name, self.whose)
                },
            },
            None => Failure {
                kind: FailureKind::NotFound,
                message: format!(
                    "{:?}: not found in {} PATH ({})",
                    self.name,
                    self.whose,
                    self.candidates
                        .iter()
                        .filter_map(|c| c.to_str().ok()?.rsplit_once('/'))
                        .map(|(dir, _)| dir)
                        .collect::<Vec<_>>()
                        .join(":")
                ),
            },
        }
    }
}

fn is_file(path: &CStr) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Whether `path` leads through a link of /proc that jumps anywhere: /proc/self/exe is, until execve, the engine's own
/// program, which is nothing for a container to run (CVE-2019-5736).
pub(crate) fn leads_through_magic(path: &CStr) -> bool {
    let opened = rustix::fs::openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    );
    matches!(opened, Err(Errno::LOOP))
}

fn text(s: &str) -> Result<CString, Failure> {
    CString::new(s).map_err(|_| Failure::setup(format!("{s:?}"), "contains a NUL character"))
}
