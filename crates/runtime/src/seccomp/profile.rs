//! A profile as users write it: `linux.seccomp` of the OCI runtime specification
//! (config-linux.md, "Seccomp"), and Docker's format, which adds `archMap`,
//! `name`, `includes` and `excludes`.
//!
//! A field, action, operator, architecture, flag or capability that soute does not
//! know is an error: a filter that leaves out half of what was asked for protects
//! from nothing that can be named. Names of system calls are the exception
//! ([`super::Filter::unknown_names`]).

use serde::{Deserialize, Deserializer};

use super::version::KernelVersion;

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// For calls that no rule matches.
    pub default_action: ActionName,
    /// The number of an `SCMP_ACT_ERRNO` or `SCMP_ACT_TRACE` by default.
    pub default_errno_ret: Option<u32>,
    /// Architectures beside the machine's own.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub architectures: Vec<ArchName>,
    /// Architectures by that of the machine (Docker); not together with `architectures`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub arch_map: Vec<ArchMap>,
    /// Flags of seccomp(2); none given: `SPEC_ALLOW`, as in runc.
    pub flags: Option<Vec<Flag>>,
    /// A socket to which the listener's descriptor is sent.
    pub listener_path: Option<String>,
    /// Sent with it.
    pub listener_metadata: Option<String>,
    /// Rules.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub syscalls: Vec<Syscalls>,
}

/// The architectures that go with one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchMap {
    /// The machine's own.
    pub architecture: ArchName,
    /// Others that its kernel takes calls of.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub sub_architectures: Vec<ArchName>,
}

/// A rule for some calls.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Syscalls {
    /// The calls.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub names: Vec<String>,
    /// One call, in Docker's older format; not together with `names`.
    pub name: Option<String>,
    /// What happens to them.
    pub action: ActionName,
    /// The number of an `SCMP_ACT_ERRNO` or `SCMP_ACT_TRACE`; otherwise EPERM.
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold; but if two look at the same argument, one must (as in runc).
    #[serde(default, deserialize_with = "null_is_empty")]
    pub args: Vec<Arg>,
    /// For the reader.
    pub comment: Option<String>,
    /// The rule counts only if all of this holds.
    pub includes: Option<Circumstances>,
    /// The rule does not count if any of this holds.
    pub excludes: Option<Circumstances>,
}

/// When a rule counts (Docker).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Circumstances {
    /// Capabilities in the container's bounding set: `CAP_…`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub caps: Vec<String>,
    /// The machine is one of these.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub arches: Vec<MachineName>,
    /// The kernel is this or later.
    pub min_kernel: Option<KernelVersion>,
}

/// A condition on an argument.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arg {
    /// 0 to 5.
    pub index: u32,
    /// What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(default)]
    pub value_two: u64,
    /// How.
    pub op: Operator,
}

/// Go writes an empty list as null.
fn null_is_empty<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `SCMP_ACT_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum ActionName {
    /// The same as `SCMP_ACT_KILL_THREAD`.
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// `SCMP_CMP_*`, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum Operator {
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

/// `SECCOMP_FILTER_FLAG_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum Flag {
    /// Nothing to do: the filter is loaded by a process of one thread.
    #[serde(rename = "SECCOMP_FILTER_FLAG_TSYNC")]
    Tsync,
    #[serde(rename = "SECCOMP_FILTER_FLAG_LOG")]
    Log,
    #[serde(rename = "SECCOMP_FILTER_FLAG_SPEC_ALLOW")]
    SpecAllow,
    #[serde(rename = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")]
    WaitKillableRecv,
}

/// `SCMP_ARCH_*`; those of other machines are known, and mean nothing on this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum ArchName {
    #[serde(rename = "SCMP_ARCH_X86_64")]
    X86_64,
    #[serde(rename = "SCMP_ARCH_X86")]
    X86,
    #[serde(rename = "SCMP_ARCH_X32")]
    X32,
    #[serde(rename = "SCMP_ARCH_AARCH64")]
    Aarch64,
    #[serde(rename = "SCMP_ARCH_ARM")]
    Arm,
    #[serde(
        rename = "SCMP_ARCH_LOONGARCH64",
        alias = "SCMP_ARCH_M68K",
        alias = "SCMP_ARCH_MIPS",
        alias = "SCMP_ARCH_MIPS64",
        alias = "SCMP_ARCH_MIPS64N32",
        alias = "SCMP_ARCH_MIPSEL",
        alias = "SCMP_ARCH_MIPSEL64",
        alias = "SCMP_ARCH_MIPSEL64N32",
        alias = "SCMP_ARCH_PARISC",
        alias = "SCMP_ARCH_PARISC64",
        alias = "SCMP_ARCH_PPC",
        alias = "SCMP_ARCH_PPC64",
        alias = "SCMP_ARCH_PPC64LE",
        alias = "SCMP_ARCH_RISCV64",
        alias = "SCMP_ARCH_S390",
        alias = "SCMP_ARCH_S390X",
        alias = "SCMP_ARCH_SH",
        alias = "SCMP_ARCH_SHEB"
    )]
    Other,
}

/// A machine as Docker's `arches` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum MachineName {
    #[serde(rename = "amd64")]
    Amd64,
    #[serde(rename = "arm64")]
    Arm64,
    /// One that soute does not run on, or an ABI that is no machine.
    #[serde(
        rename = "x86",
        alias = "x32",
        alias = "arm",
        alias = "loong64",
        alias = "loongarch64",
        alias = "mips",
        alias = "mips64",
        alias = "mips64n32",
        alias = "mipsel",
        alias = "mipsel64",
        alias = "mipsel64n32",
        alias = "mips3l64n32",
        alias = "mipsle",
        alias = "ppc",
        alias = "ppc64",
        alias = "ppc64le",
        alias = "riscv64",
        alias = "s390",
        alias = "s390x"
    )]
    Other,
}
