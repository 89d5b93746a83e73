//! How a program begins.
//!
//! Before `main` the Rust run-time makes some twenty system calls, most of them so that a stack that overflows is named as that;
//! a container's start makes few hundred. [`entry!`](crate::entry) has the C library call a function instead, after what
//! of that is of use.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// The words that the program was called with, as the C library gives them to `main`: a NULL is behind the last.
static WORDS: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

/// The words that the program was called with, its name first.
///
/// std::env::args() is empty without a `main` of Rust's, where it is not the GNU C library that gives them to what runs
/// before.
pub fn words() -> Vec<OsString> {
    let first: *const *const c_char = WORDS.load(Ordering::Relaxed);
    if first.is_null() {
        // The program has a `main` of Rust's.
        return std::env::args_os().collect();
    }
    (0..)
        // SAFETY: what `main` got, no further than to the NULL behind the last.
        .map(|number| unsafe { *first.add(number) })
        .take_while(|word| !word.is_null())
        // SAFETY: a string of the caller's, which is there as long as the program is, and which nothing writes to.
        .map(|word| OsStr::from_bytes(unsafe { CStr::from_ptr(word) }.to_bytes()).to_owned())
        .collect()
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether the caller has closed standard output: nobody will read what is written to it.
pub fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Makes a function, `fn() -> ExitCode`, the first of the program, which is `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            // SAFETY: the C library calls this, and nobody else.
            unsafe { $crate::start::enter(words, $run) }
        }
    };
}

/// What [`entry!`](crate::entry) has the C library call.
///
/// # Safety
/// `words` are what the C library gives to `main`.
#[doc(hidden)]
pub unsafe fn enter(words: *const *const c_char, run: fn() -> ExitCode) -> c_int {
    WORDS.store(words.cast_mut(), Ordering::Relaxed);
    // glibc has done so already.
    #[cfg(target_env = "musl")]
    let _ = crate::program::protect_constants();
    have_standard_files();
    // A reader that has gone is an error of the write to it.
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let code = run();
    // There is no asking it for its number.
    let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    // Nobody is left to tell if this fails.
    let _ = std::io::stdout().flush();
    number.map_or(1, c_int::from)
}

/// A standard file that the caller has closed is /dev/null: the next that is opened would get its number, and what is meant
/// for the caller be written to it.
fn have_standard_files() {
    // SAFETY: asking about a number that is not open is what poll(2) has POLLNVAL for.
    let numbers = [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let mut files = numbers
        .each_ref()
        .map(|file| PollFd::new(file, PollFlags::empty()));
    // One that fails tells of none.
    let _ = poll(&mut files, Some(&Timespec::default()));
    for file in files {
        if file.revents().contains(PollFlags::NVAL) {
            // The lowest number that is free: this one.
            match rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()) {
                Ok(null) => {
                    if null.as_raw_fd() == 1 {
                        STDOUT_WAS_CLOSED.store(true, Ordering::Relaxed);
                    }
                    std::mem::forget(null);
                }
                // There is nobody to be told, and no going on with whatever gets the number.
                Err(_) => std::process::abort(),
            }
        }
    }
}
