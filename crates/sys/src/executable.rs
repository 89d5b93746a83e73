//! The file that this process executes, exchanged while it runs.

use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use crate::proc_stat::ProcStat;
use crate::process::refuse_threads;
use crate::program::{at, check, floor, headers, page, protect_constants};
use crate::{CallError, Called as _};

/// `struct prctl_mm_map` (linux/prctl.h).
#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *mut u64,
    auxv_size: u32,
    exe_fd: u32,
}

static EXCHANGED: AtomicBool = AtomicBool::new(false);

/// Whether [`exchange`] was successful in this process, or in one that it is a fork of.
pub fn is_exchanged() -> bool {
    EXCHANGED.load(Ordering::Relaxed)
}

/// Has this process executed from `file`, which is its executable by way of another mount: that is what its memory shows
/// from here on, and what /proc/PID/exe leads to (prctl(2), PR_SET_MM_MAP). The process must have one thread.
///
/// # Errors
/// `EXDEV`: `file` is another file. `EDEADLK`: there are several threads. `EINVAL`: the kernel lacks
/// CONFIG_CHECKPOINT_RESTORE. `EPERM`: neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN. The process goes on as it was.
pub fn exchange(file: impl AsFd) -> Result<(), CallError> {
    let file = file.as_fd();
    refuse_threads()?;
    let here = rustix::fs::statat(CWD, "/proc/self/exe", AtFlags::empty())
        .called(|| "stat(\"/proc/self/exe\")".to_owned())?;
    let there = rustix::fs::fstat(file).called(|| "fstat(executable)".to_owned())?;
    if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) {
        return Err(CallError::new("exchanging the executable", Errno::XDEV));
    }
    let mut map = memory_map()?;
    map.exe_fd = file.as_raw_fd() as u32;
    // The kernel refuses while the old file is mapped anywhere.
    for segment in headers().iter().filter(|h| h.p_type == libc::PT_LOAD) {
        // SAFETY: a segment of this very program, of which there is one thread; the file has the same content, and no one
        // can change it as long as it is executed.
        unsafe { map_anew(segment, file) }?;
    }
    protect_constants()?;
    // SAFETY: the kernel reads `map`, which outlives the call and has the values that are valid now.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP,
            &raw const map,
            size_of::<MemoryMap>(),
            0,
        )
    };
    check(set == 0, || "prctl(PR_SET_MM, PR_SET_MM_MAP)".to_owned())?;
    EXCHANGED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Puts a mapping of `file` in the place of `segment`, with the same content.
///
/// # Safety
/// `segment` is one of the running program, which has one thread, and `file` its executable.
unsafe fn map_anew(segment: &libc::Elf64_Phdr, file: impl AsFd) -> Result<(), CallError> {
    let start = floor(segment.p_vaddr);
    // What is beyond is no part of the file, and zero from the start.
    let end = floor(segment.p_vaddr + segment.p_filesz + page() - 1);
    let length = (end - start) as usize;
    let failed = |call: &str| format!("{call}({start:#x}, {length:#x})");
    let mut protection = libc::PROT_READ;
    if segment.p_flags & libc::PF_X != 0 {
        protection |= libc::PROT_EXEC;
    }
    if segment.p_flags & libc::PF_W == 0 {
        // SAFETY: replaces these pages by the same ones, in one step.
        let mapped = unsafe {
            libc::mmap(
                at(start),
                length,
                protection,
                libc::MAP_PRIVATE | libc::MAP_FIXED,
                file.as_fd().as_raw_fd(),
                floor(segment.p_offset) as libc::off_t,
            )
        };
        return check(mapped != libc::MAP_FAILED, || failed("mmap"));
    }
    protection |= libc::PROT_WRITE;
    // All of it is written to at once.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: new memory, of nobody's.
    let copy = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    check(copy != libc::MAP_FAILED, || failed("mmap"))?;
    // SAFETY: the whole pages are readable and the copy is as long. There is one thread, and between the two calls it
    // writes to nothing but its stack, so that the pages are exchanged for their like.
    let moved = unsafe {
        std::ptr::copy_nonoverlapping(at(start).cast::<u8>(), copy.cast::<u8>(), length);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        libc::mremap(copy, length, length, flags, at(start))
    };
    check(moved != libc::MAP_FAILED, || failed("mremap"))
}

/// What the kernel has noted of this process's memory (proc_pid_stat(5)).
fn memory_map() -> Result<MemoryMap, CallError> {
    let stat = ProcStat::of("self")?;
    let field = |number: usize| {
        let text = stat.field(number);
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| CallError::new("read(\"/proc/self/stat\")", Errno::BADMSG))
    };
    Ok(MemoryMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        // SAFETY: asks where the break is, and leaves it there.
        brk: unsafe { libc::sbrk(0) } as u64,
        start_stack: field(28)?,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: std::ptr::null_mut(),
        auxv_size: 0,
        exe_fd: u32::MAX,
    })
}
