//! What can go wrong in looking.

use std::path::PathBuf;

use soute_sys::CallError;

/// Why something cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed for another reason than that a process ended or is hidden.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The folder is no procfs, so that its content tells nothing.
    #[error("{} is not a procfs", .0.display())]
    NotProcfs(PathBuf),
    /// The procfs belongs to another pid namespace than the caller's.
    #[error("/proc does not list this process: it was mounted for another pid namespace")]
    NotListed,
    /// No process has this number (any more).
    #[error("there is no process {0} here")]
    NoSuchProcess(u32),
    /// The kernel does not let this caller see the namespaces of the process.
    #[error(
        "the namespaces of process {0} are hidden from this user: seeing them needs the rights to trace it (ptrace(2), PTRACE_MODE_READ)"
    )]
    Hidden(u32),
    /// No namespace with this inode was found, or nobody is left through whom it could be reached.
    #[error("there is no namespace {0} in sight: 'soute ns ls --all' lists those that there are")]
    NoSuchNamespace(u64),
    /// The file is not a namespace's.
    #[error("{} is not a namespace", crate::text::visible(.0.as_os_str().as_encoded_bytes()))]
    NotANamespace(PathBuf),
    /// A kind of namespace that is newer than this program.
    #[error("{} is a namespace of an unknown kind (CLONE_NEW flag {flag:#x})", crate::text::visible(.path.as_os_str().as_encoded_bytes()))]
    UnknownKind {
        /// The namespace's file.
        path: PathBuf,
        /// What NS_GET_NSTYPE said.
        flag: u64,
    },
    /// A text of the kernel's in a form that no kernel writes.
    #[error("{file} is in no known form: {excerpt}")]
    Malformed {
        /// Which file.
        file: &'static str,
        /// Its beginning, made visible.
        excerpt: String,
    },
}

impl Error {
    pub(crate) fn malformed(file: &'static str, text: &[u8]) -> Self {
        Self::Malformed {
            file,
            excerpt: crate::text::visible(&text[..text.len().min(120)]),
        }
    }
}
