//! How a process is treated, and its program after execve: sched_setattr(2), sched_setaffinity(2), ioprio_set(2),
//! set_mempolicy(2), personality(2).

use rustix::process::Pid;

use crate::CallError;
use crate::mount::last_errno;

/// How the kernel schedules a thread: `struct sched_attr` of linux/sched/types.h without its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// `SCHED_*`, see [`policy`].
    pub policy: u32,
    /// `SCHED_FLAG_*`, see [`sched_flag`].
    pub flags: u64,
    /// -20 (most favoured) to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// 1 to 99, for `SCHED_FIFO` and `SCHED_RR`; 0 for all others.
    pub priority: u32,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub period: u64,
}

/// Values of [`SchedAttr::policy`].
pub mod policy {
    /// `SCHED_OTHER`
    pub const OTHER: u32 = libc::SCHED_OTHER as u32;
    /// `SCHED_FIFO`
    pub const FIFO: u32 = libc::SCHED_FIFO as u32;
    /// `SCHED_RR`
    pub const RR: u32 = libc::SCHED_RR as u32;
    /// `SCHED_BATCH`
    pub const BATCH: u32 = libc::SCHED_BATCH as u32;
    /// `SCHED_ISO`, a number that Linux reserves and has never implemented (linux/sched.h).
    pub const ISO: u32 = 4;
    /// `SCHED_IDLE`
    pub const IDLE: u32 = libc::SCHED_IDLE as u32;
    /// `SCHED_DEADLINE`
    pub const DEADLINE: u32 = libc::SCHED_DEADLINE as u32;
}

/// Values of [`SchedAttr::flags`].
pub mod sched_flag {
    /// `SCHED_FLAG_RESET_ON_FORK`
    pub const RESET_ON_FORK: u64 = libc::SCHED_FLAG_RESET_ON_FORK as u64;
    /// `SCHED_FLAG_RECLAIM`
    pub const RECLAIM: u64 = libc::SCHED_FLAG_RECLAIM as u64;
    /// `SCHED_FLAG_DL_OVERRUN`
    pub const DL_OVERRUN: u64 = libc::SCHED_FLAG_DL_OVERRUN as u64;
    /// `SCHED_FLAG_KEEP_POLICY`
    pub const KEEP_POLICY: u64 = libc::SCHED_FLAG_KEEP_POLICY as u64;
    /// `SCHED_FLAG_KEEP_PARAMS`
    pub const KEEP_PARAMS: u64 = libc::SCHED_FLAG_KEEP_PARAMS as u64;
    /// `SCHED_FLAG_UTIL_CLAMP_MIN`
    pub const UTIL_CLAMP_MIN: u64 = libc::SCHED_FLAG_UTIL_CLAMP_MIN as u64;
    /// `SCHED_FLAG_UTIL_CLAMP_MAX`
    pub const UTIL_CLAMP_MAX: u64 = libc::SCHED_FLAG_UTIL_CLAMP_MAX as u64;
}

/// The kernel's structure in its second version (`SCHED_ATTR_SIZE_VER1`, 56 bytes): the flags of utilization clamping
/// are refused in the first.
#[repr(C)]
struct RawSchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

fn raw_pid(pid: Option<Pid>) -> i32 {
    pid.map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// Schedules the thread `pid` (none: the calling one) as `attr` says; the limits of utilization clamping, if a flag
/// sets them, are 0.
///
/// # Errors
/// `EPERM`: a real-time policy or a lower nice value needs CAP_SYS_NICE in the machine's own user namespace.
/// `EBUSY`: no bandwidth for `SCHED_DEADLINE`. `EINVAL`: no such policy here, or a value out of its range.
pub fn sched_setattr(pid: Option<Pid>, attr: &SchedAttr) -> Result<(), CallError> {
    let raw = RawSchedAttr {
        size: size_of::<RawSchedAttr>() as u32,
        policy: attr.policy,
        flags: attr.flags,
        nice: attr.nice,
        priority: attr.priority,
        runtime: attr.runtime,
        deadline: attr.deadline,
        period: attr.period,
        util_min: 0,
        util_max: 0,
    };
    let pid = raw_pid(pid);
    // SAFETY: `raw` outlives the call, which reads as many bytes of it as its first member says: all.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const raw, 0) };
    result(done, || format!("sched_setattr({pid}, {attr:?})"))
}

/// Lets the thread `pid` (none: the calling one) run on these CPUs alone: bit N of word N/64 is CPU N.
///
/// # Errors
/// `EINVAL`: none of them is there and in the thread's cpuset. Others that are not are left out by the kernel in
/// silence: [`sched_getaffinity`].
pub fn sched_setaffinity(pid: Option<Pid>, cpus: &[u64]) -> Result<(), CallError> {
    let pid = raw_pid(pid);
    // SAFETY: the slice outlives the call, and its length in bytes is what the kernel may read of it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            pid,
            size_of_val(cpus),
            cpus.as_ptr(),
        )
    };
    result(done, || format!("sched_setaffinity({pid}, {cpus:x?})"))
}

/// On which CPUs the thread `pid` (none: the calling one) runs, as in [`sched_setaffinity`].
pub fn sched_getaffinity(pid: Option<Pid>) -> Result<Vec<u64>, CallError> {
    let pid = raw_pid(pid);
    // 65,536 CPUs: the kernel refuses a mask shorter than its own, which has 8,192 at most so far.
    let mut cpus = vec![0u64; 1024];
    // SAFETY: the vector outlives the call, and its length in bytes is what the kernel may write to it.
    let filled = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            pid,
            size_of_val(cpus.as_slice()),
            cpus.as_mut_ptr(),
        )
    };
    result(filled, || format!("sched_getaffinity({pid})"))?;
    cpus.truncate(filled as usize / size_of::<u64>());
    Ok(cpus)
}

/// Classes of [`ioprio_set`] (linux/ioprio.h).
pub mod io_class {
    /// `IOPRIO_CLASS_RT`
    pub const RT: u32 = 1;
    /// `IOPRIO_CLASS_BE`
    pub const BE: u32 = 2;
    /// `IOPRIO_CLASS_IDLE`
    pub const IDLE: u32 = 3;
}

/// Gives the thread `pid` (none: the calling one) an I/O class and a level in it, 0 (first) to 7.
///
/// # Errors
/// `EPERM`: the real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN in the machine's own user namespace.
/// `ENOSYS`: a kernel without block devices.
pub fn ioprio_set(pid: Option<Pid>, class: u32, level: u32) -> Result<(), CallError> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    const IOPRIO_CLASS_SHIFT: u32 = 13;
    let pid = raw_pid(pid);
    let value = class << IOPRIO_CLASS_SHIFT | level;
    // SAFETY: no memory is involved.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, value) };
    result(done, || {
        format!("ioprio_set({pid}, class {class}, level {level})")
    })
}

/// Modes and flags of [`set_mempolicy`] (linux/mempolicy.h).
pub mod mempolicy {
    /// `MPOL_DEFAULT`
    pub const DEFAULT: u32 = 0;
    /// `MPOL_PREFERRED`
    pub const PREFERRED: u32 = 1;
    /// `MPOL_BIND`
    pub const BIND: u32 = 2;
    /// `MPOL_INTERLEAVE`
    pub const INTERLEAVE: u32 = 3;
    /// `MPOL_LOCAL`
    pub const LOCAL: u32 = 4;
    /// `MPOL_PREFERRED_MANY` (Linux 5.15)
    pub const PREFERRED_MANY: u32 = 5;
    /// `MPOL_WEIGHTED_INTERLEAVE` (Linux 6.9)
    pub const WEIGHTED_INTERLEAVE: u32 = 6;
    /// `MPOL_F_NUMA_BALANCING` (Linux 5.12)
    pub const NUMA_BALANCING: u32 = 1 << 13;
    /// `MPOL_F_RELATIVE_NODES`
    pub const RELATIVE_NODES: u32 = 1 << 14;
    /// `MPOL_F_STATIC_NODES`
    pub const STATIC_NODES: u32 = 1 << 15;
}

/// Where the memory of the calling thread comes from: a mode with flags ([`mempolicy`]) and nodes, bit N of word N/64
/// being node N.
///
/// # Errors
/// `ENOSYS`: a kernel without NUMA. `EINVAL`: a mode, flag or node that this kernel or machine does not have, or nodes
/// where the mode takes none, or the reverse.
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<(), CallError> {
    // The kernel reads one bit less than it is told (set_mempolicy(2), "maxnode").
    let bits = if nodes.is_empty() {
        0
    } else {
        size_of_val(nodes) * 8 + 1
    };
    // SAFETY: the kernel reads `bits - 1` bits, which is the whole slice, and nothing where that is empty.
    let done = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) };
    result(done, || format!("set_mempolicy({mode:#x}, {nodes:x?})"))
}

/// Execution domains of [`set_personality`] (linux/personality.h).
pub mod personality {
    /// `PER_LINUX`
    pub const LINUX: u64 = 0x0000;
    /// `PER_LINUX32`: uname(2) tells a 32-bit machine.
    pub const LINUX32: u64 = 0x0008;
}

/// Sets the execution domain of the calling thread.
pub fn set_personality(persona: u64) -> Result<(), CallError> {
    // SAFETY: no memory is involved.
    let done = unsafe { libc::syscall(libc::SYS_personality, persona) };
    result(done, || format!("personality({persona:#x})"))
}

fn result(done: libc::c_long, call: impl FnOnce() -> String) -> Result<(), CallError> {
    if done >= 0 {
        return Ok(());
    }
    let errno = last_errno();
    Err(CallError::new(call(), errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_affinity_can_be_set_as_it_is() {
        let now = sched_getaffinity(None).unwrap();
        assert!(now.iter().any(|&word| word != 0));
        sched_setaffinity(None, &now).unwrap();
        let error = sched_setaffinity(None, &[0]).unwrap_err();
        assert!(
            error.call().contains("sched_setaffinity(0, [0])"),
            "{error}"
        );
    }

    #[test]
    fn the_structure_is_as_long_as_the_kernels() {
        assert_eq!(size_of::<RawSchedAttr>(), 56);
    }
}
