//! System-call filters: seccomp(2), `SECCOMP_SET_MODE_FILTER`.
//!
//! The program is classic BPF (linux/filter.h) over `struct seccomp_data`;
//! what may stand in one is in `seccomp_check_filter`, kernel/seccomp.c.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

use crate::CallError;
use crate::mount::last_errno;

/// One instruction: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SockFilter {
    /// Class, size or operation, and source of the operand.
    pub code: u16,
    /// How many instructions a conditional jump skips where its condition holds.
    pub jt: u8,
    /// How many it skips where it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// `A = *(u32 *)(seccomp_data + k)`: `BPF_LD | BPF_W | BPF_ABS`.
pub const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
/// `A &= k`: `BPF_ALU | BPF_AND | BPF_K`.
pub const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
/// Skips `k` instructions: `BPF_JMP | BPF_JA`.
pub const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
/// Branches on `A == k`: `BPF_JMP | BPF_JEQ | BPF_K`.
pub const JUMP_EQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
/// Branches on `A > k`, unsigned: `BPF_JMP | BPF_JGT | BPF_K`.
pub const JUMP_GT: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
/// Branches on `A >= k`, unsigned: `BPF_JMP | BPF_JGE | BPF_K`.
pub const JUMP_GE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
/// Ends with the answer `k`: `BPF_RET | BPF_K`.
pub const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The longest program that the kernel takes: `BPF_MAXINSNS`.
pub const MAX_INSTRUCTIONS: usize = libc::BPF_MAXINSNS as usize;

/// `SECCOMP_FILTER_FLAG_LOG`: answers other than "allow" are logged, as `/proc/sys/kernel/seccomp/actions_logged` says.
pub const FLAG_LOG: u32 = libc::SECCOMP_FILTER_FLAG_LOG as u32;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: the filter does not turn on the mitigation of speculative store bypass.
pub const FLAG_SPEC_ALLOW: u32 = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: the caller gets a descriptor on which `SECCOMP_RET_USER_NOTIF` is asked.
pub const FLAG_NEW_LISTENER: u32 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: once a notification was received only a fatal signal interrupts the call (Linux 5.19).
pub const FLAG_WAIT_KILLABLE_RECV: u32 = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u32;

/// Puts a filter on the calling thread for good; its children and programs inherit it.
///
/// Answers the listener's descriptor (close-on-exec) if `flags` has
/// [`FLAG_NEW_LISTENER`]. Nothing is allocated unless it fails, so a child of
/// clone3(2) may call it before execve(2).
///
/// EACCES: the caller has neither CAP_SYS_ADMIN in its user namespace nor
/// `no_new_privs`. EINVAL: a bad program, or a flag this kernel does not know.
/// EBUSY: the thread has a listener already. ENOMEM: out of memory, or this
/// filter and those before it are longer than 32768 instructions.
pub fn load(filter: &[SockFilter], flags: u32) -> Result<Option<OwnedFd>, CallError> {
    let failed = |errno| {
        CallError::new(
            format!(
                "seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {} instructions)",
                filter.len()
            ),
            errno,
        )
    };
    // The kernel would see the low 16 bits of a longer length.
    if filter.len() > MAX_INSTRUCTIONS {
        return Err(failed(Errno::INVAL));
    }
    let program = libc::sock_fprog {
        len: filter.len() as libc::c_ushort,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` points at `filter`, which lives until the call returns
    // and holds `len` instructions of the same layout as `struct sock_filter`
    // (asserted below); the kernel copies and never writes them.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if answer < 0 {
        return Err(failed(last_errno()));
    }
    if flags & FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with SECCOMP_FILTER_FLAG_NEW_LISTENER the answer is a new descriptor, which nobody else has.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(answer as i32) }))
}

const _: () = {
    assert!(size_of::<SockFilter>() == size_of::<libc::sock_filter>());
    assert!(align_of::<SockFilter>() == align_of::<libc::sock_filter>());
    assert!(std::mem::offset_of!(SockFilter, jt) == std::mem::offset_of!(libc::sock_filter, jt));
    assert!(std::mem::offset_of!(SockFilter, jf) == std::mem::offset_of!(libc::sock_filter, jf));
    assert!(std::mem::offset_of!(SockFilter, k) == std::mem::offset_of!(libc::sock_filter, k));
};
