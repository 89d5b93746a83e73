//! Where the running program is in its own memory.

use crate::CallError;
use crate::mount::last_errno;

/// The program headers of this program (elf(5)), with the addresses that they are at.
pub(crate) fn headers() -> Vec<libc::Elf64_Phdr> {
    // SAFETY: takes no pointer; values of this process's auxiliary vector.
    let (first, count) = unsafe {
        (
            libc::getauxval(libc::AT_PHDR),
            libc::getauxval(libc::AT_PHNUM),
        )
    };
    // SAFETY: the kernel says that so many headers are there; they are in the program's read-only part.
    let headers =
        unsafe { std::slice::from_raw_parts(first as *const libc::Elf64_Phdr, count as usize) };
    let own = headers.iter().find(|h| h.p_type == libc::PT_PHDR);
    // How far from where the linker thought.
    let moved = own.map_or(0, |own| first - own.p_vaddr);
    let placed = |header: &libc::Elf64_Phdr| libc::Elf64_Phdr {
        p_vaddr: header.p_vaddr + moved,
        ..*header
    };
    headers.iter().map(placed).collect()
}

/// Takes the right to write away from what the linker says is not written to once the program runs (`PT_GNU_RELRO`).
pub(crate) fn protect_constants() -> Result<(), CallError> {
    for relro in headers().iter().filter(|h| h.p_type == libc::PT_GNU_RELRO) {
        let (start, end) = (floor(relro.p_vaddr), floor(relro.p_vaddr + relro.p_memsz));
        // SAFETY: it does run, and what would write to it ends by a signal.
        let done = unsafe { libc::mprotect(at(start), (end - start) as usize, libc::PROT_READ) };
        check(done == 0, || format!("mprotect({start:#x}, RELRO)"))?;
    }
    Ok(())
}

/// The address as a pointer.
pub(crate) fn at(address: u64) -> *mut libc::c_void {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// The size of a page.
pub(crate) fn page() -> u64 {
    // SAFETY: takes no pointer; a value of this process's auxiliary vector.
    unsafe { libc::getauxval(libc::AT_PAGESZ) }
}

/// The beginning of the page that `address` is in.
pub(crate) fn floor(address: u64) -> u64 {
    address & !(page() - 1)
}

/// What `call` did, as its answer says.
pub(crate) fn check(done: bool, call: impl FnOnce() -> String) -> Result<(), CallError> {
    match done {
        true => Ok(()),
        false => Err(CallError::new(call(), last_errno())),
    }
}
