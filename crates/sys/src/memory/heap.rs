//! Doug Lea's allocator, as a crate has it.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::{Allocator, Dlmalloc};

use crate::program::{at, floor, page};

/// The heap of a program, for `#[global_allocator]`.
///
/// Not the C library's: musl's gives every page back as soon as it is free, and asks for it again a moment later, with
/// some eighty system calls in a container's start. This one keeps what is free, but for what is beyond 2 MiB at its end, until
/// [`trim`](super::trim).
#[derive(Debug)]
pub struct Heap;

static POOL: Mutex<Dlmalloc<Machine>> =
    Mutex::new(Dlmalloc::new_with_allocator(Machine { gives: true }));

fn pool() -> MutexGuard<'static, Dlmalloc<Machine>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In what pieces free memory is looked for, in bytes. Of a larger one that is free each piece keeps a page.
const LARGEST: u64 = 256 << 10;

/// Gives back the pages that hold nothing, but for some of those that are free one or two at a time.
pub(super) fn trim() {
    // Dlmalloc's own `trim` gives back what is free at its end. Here all is asked of it, the largest pieces first, as long
    // as there are any, emptied, and free again.
    let mut pool = pool();
    pool.allocator_mut().gives = false;
    let mut taken: *mut u8 = ptr::null_mut();
    let mut size = LARGEST;
    // In less there may be no whole page.
    while size >= 2 * page() {
        // SAFETY: any size will do.
        let piece = unsafe { pool.c_malloc(size as usize) };
        if piece.is_null() {
            // Free pieces are of any size. What is too small for this one holds one a little smaller.
            size -= size / 16;
            continue;
        }
        // SAFETY: the piece is ours, and is aligned for a pointer, which no page that is given back has a part of.
        unsafe {
            piece.cast::<*mut u8>().write(taken);
            taken = piece;
            let first = piece.expose_provenance() as u64;
            let start = floor(first + size_of_val(&taken) as u64 + page() - 1);
            let length = floor(first + size) - start;
            libc::madvise(at(start), length as usize, libc::MADV_DONTNEED);
        }
    }
    while !taken.is_null() {
        let piece = taken;
        // SAFETY: each piece begins with the address of the one that was taken before it; freed once, it is read no more.
        unsafe {
            taken = piece.cast::<*mut u8>().read();
            pool.c_free(piece);
        }
    }
    pool.allocator_mut().gives = true;
}

// SAFETY: Dlmalloc keeps to the contract of GlobalAlloc, in words of its own, and the lock lets one thread at a time into it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any alignment that a layout may have.
        unsafe { pool().malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { pool().calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller says that the block is of this heap and layout.
        unsafe { pool().free(block, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller says that the block is of this heap and layout.
        unsafe { pool().realloc(block, layout.size(), layout.align(), size) }
    }
}

/// Where the heap has its memory from: mmap(2).
struct Machine {
    /// Otherwise there is none to be had.
    gives: bool,
}

// SAFETY: what is given is new memory, of nobody's, zero, and stays until it is taken back.
unsafe impl Allocator for Machine {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        const NONE: (*mut u8, usize, u32) = (ptr::null_mut(), 0, 0);
        if !self.gives {
            return NONE;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, where the kernel likes.
        match unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) } {
            libc::MAP_FAILED => NONE,
            memory => (memory.cast(), size, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        // The heap makes do without.
        ptr::null_mut()
    }

    fn free_part(&self, memory: *mut u8, size: usize, keep: usize) -> bool {
        self.free(memory.wrapping_add(keep), size - keep)
    }

    fn free(&self, memory: *mut u8, size: usize) -> bool {
        // SAFETY: the heap gives back what it had from `alloc` and has no more use for.
        unsafe { libc::munmap(memory.cast(), size) == 0 }
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        page() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of this process, in pages (proc_pid_statm(5)).
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_free_is_given_back_and_what_is_not_stays() {
        let layout = Layout::from_size_align(20_000, 16).unwrap();
        // SAFETY: blocks of this heap, each written to within its size, and freed once.
        let block = |fill: u8| unsafe {
            let block = Heap.alloc(layout);
            block.write_bytes(fill, layout.size());
            block
        };
        let mut blocks: Vec<*mut u8> = (0..=200).map(block).collect();
        // Every other one: none has a free neighbour.
        for at in (0..200).step_by(2) {
            // SAFETY: as above.
            unsafe { Heap.dealloc(blocks[at], layout) };
        }
        let before = resident();
        trim();
        // Three or four whole pages of each of the hundred. The kernel's count is not exact, and other tests have a part in it.
        let after = resident();
        assert!(after + 150 <= before, "{after} of {before}");
        for at in (1..200).step_by(2) {
            // SAFETY: as above.
            let bytes = unsafe { std::slice::from_raw_parts(blocks[at], layout.size()) };
            assert!(bytes.iter().all(|byte| usize::from(*byte) == at));
        }
        // The heap goes on.
        blocks[0] = block(0);
        for at in (1..200).step_by(2).chain([0, 200]) {
            // SAFETY: as above.
            unsafe { Heap.dealloc(blocks[at], layout) };
        }
    }
}
