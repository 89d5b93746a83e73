//! What this process holds of the machine's memory.

use crate::program::{at, floor, headers, page};

mod heap;

pub use heap::Heap;

/// How far below its present end the stack is looked through for pages that were once used.
const STACK: u64 = 128 << 10;

/// Gives back what is not in use: a process that is to wait for months has no need of what it began with.
///
/// That is free memory of the heap, the stack below the caller, and the program itself: what of it is
/// needed again comes back from the page cache, a few pages instead of all that the start went through.
pub fn trim() {
    heap::trim();
    let here = 0_u8;
    // A page is left for the call itself.
    let end = floor((&raw const here).expose_provenance() as u64) - page();
    // SAFETY: this thread's stack, below all that is in use. The kernel leaves some 128 MiB free below it, so that
    // nothing else can be there.
    unsafe { libc::madvise(at(end - STACK), STACK as usize, libc::MADV_DONTNEED) };
    let is_constant =
        |h: &&libc::Elf64_Phdr| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0;
    for segment in headers().iter().filter(is_constant) {
        let start = floor(segment.p_vaddr);
        let length = segment.p_vaddr + segment.p_memsz - start;
        // SAFETY: a private mapping of a file, of which no page was ever written: the same is read again.
        unsafe { libc::madvise(at(start), length as usize, libc::MADV_DONTNEED) };
    }
}
