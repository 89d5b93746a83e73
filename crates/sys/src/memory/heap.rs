//! Doug Lea's allocator, as a crate has it.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

/// The heap of a program, for `#[global_allocator]`.
///
/// Not the C library's: musl's gives every page back as soon as it is free, and asks for it again a moment later, with
/// some eighty system calls in a container's start. This one keeps what is free, up to 2 MiB at its end, until
/// [`trim`](super::trim).
#[derive(Debug)]
pub struct Heap;

static POOL: Mutex<Dlmalloc> = Mutex::new(Dlmalloc::new());

fn pool() -> MutexGuard<'static, Dlmalloc> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives back what is free at the end.
pub(super) fn trim() {
    // SAFETY: what is free is nobody's.
    unsafe { pool().trim(0) };
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
