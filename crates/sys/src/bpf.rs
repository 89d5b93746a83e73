//! eBPF device programs of cgroup v2: a small assembler, load and attach by bpf(2).
//!
//! Only what a program of type `BPF_PROG_TYPE_CGROUP_DEVICE` needs: 32-bit
//! arithmetic and forward jumps (Documentation/bpf/standardization/instruction-set.rst).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use crate::CallError;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

const CLASS_ALU32: u8 = 0x04;
const CLASS_JMP32: u8 = 0x06;
const OPERAND_IMM: u8 = 0x00;
const OPERAND_REG: u8 = 0x08;

/// A register. R0 is the answer, R1 the context at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
}

/// One instruction (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// The operation.
    pub code: u8,
    /// Destination register in the low half, source in the high one (on little-endian machines).
    pub regs: u8,
    /// Of a load: bytes; of a jump: instructions.
    pub off: i16,
    /// The constant operand.
    pub imm: i32,
}

const fn insn(code: u8, dst: Reg, src: Reg, off: i16, imm: i32) -> Insn {
    // The two are bit fields: the machine's byte order decides which half comes first.
    let regs = if cfg!(target_endian = "little") {
        (src as u8) << 4 | dst as u8
    } else {
        (dst as u8) << 4 | src as u8
    };
    Insn {
        code,
        regs,
        off,
        imm,
    }
}

/// `dst = *(u32 *)(src + offset)`
pub const fn load32(dst: Reg, src: Reg, offset: i16) -> Insn {
    insn(0x61, dst, src, offset, 0)
}

/// `dst = src`
pub const fn mov32(dst: Reg, src: Reg) -> Insn {
    insn(CLASS_ALU32 | OPERAND_REG | 0xb0, dst, src, 0, 0)
}

/// `dst = value`
pub const fn mov32_imm(dst: Reg, value: i32) -> Insn {
    insn(CLASS_ALU32 | OPERAND_IMM | 0xb0, dst, Reg::R0, 0, value)
}

/// `dst &= value`
pub const fn and32_imm(dst: Reg, value: i32) -> Insn {
    insn(CLASS_ALU32 | OPERAND_IMM | 0x50, dst, Reg::R0, 0, value)
}

/// `dst >>= bits`
pub const fn rsh32_imm(dst: Reg, bits: i32) -> Insn {
    insn(CLASS_ALU32 | OPERAND_IMM | 0x70, dst, Reg::R0, 0, bits)
}

/// `dst <<= bits`
pub const fn lsh32_imm(dst: Reg, bits: i32) -> Insn {
    insn(CLASS_ALU32 | OPERAND_IMM | 0x60, dst, Reg::R0, 0, bits)
}

/// `dst |= src`
pub const fn or32(dst: Reg, src: Reg) -> Insn {
    insn(CLASS_ALU32 | OPERAND_REG | 0x40, dst, src, 0, 0)
}

/// Skips the next `over` instructions if `dst == value`.
pub const fn jump32_eq_imm(dst: Reg, value: i32, over: i16) -> Insn {
    insn(CLASS_JMP32 | OPERAND_IMM | 0x10, dst, Reg::R0, over, value)
}

/// Skips the next `over` instructions if `dst != value`.
pub const fn jump32_ne_imm(dst: Reg, value: i32, over: i16) -> Insn {
    insn(CLASS_JMP32 | OPERAND_IMM | 0x50, dst, Reg::R0, over, value)
}

/// Ends the program; the answer is R0.
pub const fn exit() -> Insn {
    insn(0x95, Reg::R0, Reg::R0, 0, 0)
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is missing as zero.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// `union bpf_attr` for `BPF_PROG_ATTACH`, up to the flags.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct IdAttr {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

fn bpf<T>(command: libc::c_long, attr: &T) -> Result<libc::c_long, Errno> {
    // SAFETY: `attr` is a live, initialised `repr(C)` struct without padding,
    // whose size is passed with it, and the kernel only reads it; the pointers
    // in it are to data that outlives the call (all callers below).
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attr as *const T, size_of::<T>()) };
    checked(answer)
}

/// [`bpf`] for commands whose answer the kernel writes to `attr`.
fn bpf_mut<T>(command: libc::c_long, attr: &mut T) -> Result<libc::c_long, Errno> {
    // SAFETY: as in `bpf`, and `attr` is borrowed for writing; any value is valid for its integers.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attr as *mut T, size_of::<T>()) };
    checked(answer)
}

fn checked(answer: libc::c_long) -> Result<libc::c_long, Errno> {
    if answer < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(answer)
}

/// Loads a device program. It lives as long as a descriptor or an attachment does.
///
/// Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, in the initial user
/// namespace (EPERM). EACCES: the verifier refused the program.
pub fn load_device_program(program: &[Insn]) -> Result<OwnedFd, CallError> {
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    let fd = bpf(BPF_PROG_LOAD, &attr).map_err(|errno| {
        CallError::new(
            format!(
                "bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_CGROUP_DEVICE, {} instructions)",
                program.len()
            ),
            errno,
        )
    })?;
    // SAFETY: BPF_PROG_LOAD returned this descriptor just now, close-on-exec, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Attaches a device program to the cgroup v2 folder `cgroup`, beside those that
/// are there: a device is allowed if all of them, and those of the ancestors, allow it.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: impl AsFd) -> Result<(), CallError> {
    let program = program.as_fd();
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attr).map(drop).map_err(|errno| {
        CallError::new(
            format!(
                "bpf(BPF_PROG_ATTACH, BPF_CGROUP_DEVICE, cgroup {})",
                cgroup.as_raw_fd()
            ),
            errno,
        )
    })
}

/// Attaches a device program to the cgroup v2 folder `cgroup`, and detaches those that were there, in this
/// order: at no time is everything allowed.
pub fn replace_device_programs(
    cgroup: BorrowedFd<'_>,
    program: impl AsFd,
) -> Result<(), CallError> {
    let old = attached_device_programs(cgroup)?;
    attach_device_program(cgroup, program)?;
    let failed = |call, errno| {
        CallError::new(
            format!(
                "bpf({call}, BPF_CGROUP_DEVICE, cgroup {})",
                cgroup.as_raw_fd()
            ),
            errno,
        )
    };
    for id in old {
        let attr = IdAttr {
            prog_id: id,
            next_id: 0,
            open_flags: 0,
        };
        let fd = match bpf(BPF_PROG_GET_FD_BY_ID, &attr) {
            // SAFETY: the kernel returned this descriptor just now, close-on-exec, and nobody else has it.
            Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd as i32) },
            // Detached by somebody else meanwhile.
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(failed("BPF_PROG_GET_FD_BY_ID", errno)),
        };
        let attr = AttachAttr {
            target_fd: cgroup.as_raw_fd() as u32,
            attach_bpf_fd: fd.as_raw_fd() as u32,
            attach_type: BPF_CGROUP_DEVICE,
            attach_flags: 0,
        };
        match bpf(BPF_PROG_DETACH, &attr) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("BPF_PROG_DETACH", errno)),
        }
    }
    Ok(())
}

/// The identities of the device programs that are attached to the folder itself.
pub fn attached_device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>, CallError> {
    // cgroup-bpf allows 64 (BPF_CGROUP_MAX_PROGS).
    let mut ids = vec![0u32; 64];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ids.len() as u32,
        padding: 0,
    };
    bpf_mut(BPF_PROG_QUERY, &mut attr).map_err(|errno| {
        CallError::new(
            format!(
                "bpf(BPF_PROG_QUERY, BPF_CGROUP_DEVICE, cgroup {})",
                cgroup.as_raw_fd()
            ),
            errno,
        )
    })?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}
