//! Filters under the kernel. A filter is a thread's, so a thread of its own can try it on.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;
use soute_sys::seccomp::{
    AND, FLAG_LOG, FLAG_NEW_LISTENER, JUMP, JUMP_EQ, JUMP_GE, JUMP_GT, LOAD, MAX_INSTRUCTIONS,
    RETURN, SockFilter, load,
};

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;

const fn insn(code: u16, k: u32, jt: u8, jf: u8) -> SockFilter {
    SockFilter { code, jt, jf, k }
}

/// `answer` for one number, everything else allowed.
fn only(number: libc::c_long, answer: u32) -> Vec<SockFilter> {
    vec![
        insn(LOAD, 0, 0, 0),
        insn(JUMP_EQ, number as u32, 0, 1),
        insn(RETURN, answer, 0, 0),
        insn(RETURN, ALLOW, 0, 0),
    ]
}

fn in_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(f).join().unwrap()
}

fn errno_of(number: libc::c_long, args: [u64; 2]) -> Option<i32> {
    // SAFETY: the numbers below are calls that take no pointers, or numbers
    // of no call, for which the kernel looks at no argument.
    let answer = unsafe { libc::syscall(number, args[0], args[1]) };
    (answer < 0).then(|| std::io::Error::last_os_error().raw_os_error().unwrap())
}

#[test]
fn a_call_is_refused() {
    in_a_thread(|| {
        assert_eq!(errno_of(libc::SYS_getppid, [0; 2]), None);
        let listener = load(&only(libc::SYS_getppid, ERRNO | 1), FLAG_LOG).unwrap();
        assert!(listener.is_none());
        assert_eq!(errno_of(libc::SYS_getppid, [0; 2]), Some(libc::EPERM));
        // Each filter is asked, and the strictest counts.
        load(&only(5000, ERRNO | 77), 0).unwrap();
        assert_eq!(errno_of(5000, [0; 2]), Some(77));
        assert_eq!(errno_of(5001, [0; 2]), Some(libc::ENOSYS));
        assert_eq!(errno_of(libc::SYS_getppid, [0; 2]), Some(libc::EPERM));
    });
    assert_eq!(errno_of(libc::SYS_getppid, [0; 2]), None);
}

/// Every instruction means to the kernel what its constant says.
#[test]
fn instructions() {
    let first_arg = if cfg!(target_endian = "big") { 20 } else { 16 };
    let filter = [
        insn(LOAD, 0, 0, 0),
        insn(JUMP_EQ, 5000, 1, 0),
        insn(RETURN, ALLOW, 0, 0),
        insn(LOAD, first_arg, 0, 0),
        insn(JUMP_GT, 100, 0, 1),
        insn(RETURN, ERRNO | 1, 0, 0),
        insn(JUMP_GE, 100, 0, 2),
        insn(JUMP, 0, 0, 0),
        insn(RETURN, ERRNO | 2, 0, 0),
        insn(AND, 0xf0, 0, 0),
        insn(JUMP_EQ, 0x10, 0, 1),
        insn(RETURN, ERRNO | 3, 0, 0),
        insn(RETURN, ERRNO | 4, 0, 0),
    ];
    in_a_thread(move || {
        load(&filter, 0).unwrap();
        for (arg, errno) in [(101, 1), (100, 2), (0x1f, 3), (0x10, 3), (0x2f, 4)] {
            assert_eq!(errno_of(5000, [arg, 0]), Some(errno), "{arg}");
        }
    });
}

#[test]
fn a_listener_is_handed_over() {
    in_a_thread(|| {
        let listener = load(&only(5000, NOTIFY), FLAG_NEW_LISTENER).unwrap();
        let again = load(&only(5001, NOTIFY), FLAG_NEW_LISTENER).unwrap_err();
        assert_eq!(again.errno(), Errno::BUSY);
        drop(listener.unwrap());
        assert_eq!(errno_of(5000, [0; 2]), Some(libc::ENOSYS));
    });
}

#[test]
fn what_the_kernel_refuses() {
    let error = in_a_thread(|| load(&[], 0).unwrap_err());
    assert_eq!(error.errno(), Errno::INVAL);
    let no_return = [insn(LOAD, 0, 0, 0)];
    let error = in_a_thread(move || load(&no_return, 0).unwrap_err());
    assert_eq!(error.errno(), Errno::INVAL);
    let error = in_a_thread(|| load(&only(1, ERRNO), 1 << 30).unwrap_err());
    assert_eq!(
        error.to_string(),
        "seccomp(SECCOMP_SET_MODE_FILTER, 0x40000000, 4 instructions): Invalid argument (os error 22)"
    );
    // Its length is a multiple of 2^16 more than the kernel would take.
    let long = vec![insn(RETURN, ALLOW, 0, 0); MAX_INSTRUCTIONS + (1 << 16)];
    let error = in_a_thread(move || load(&long, 0).unwrap_err());
    assert_eq!(error.errno(), Errno::INVAL);
    let longest = vec![insn(RETURN, ALLOW, 0, 0); MAX_INSTRUCTIONS];
    assert!(in_a_thread(move || load(&longest, 0)).unwrap().is_none());
}

/// In a forked child, before its program, which keeps the filter.
#[test]
fn a_program_keeps_it() {
    let filter = only(libc::SYS_chdir, ERRNO | libc::EPERM as u32);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cd / && exit 1; exit 7"]);
    // SAFETY: the closure makes one system call and allocates only if that fails, which ends the test.
    unsafe {
        command.pre_exec(move || {
            load(&filter, 0)
                .map(drop)
                .map_err(|e| std::io::Error::from(e.errno()))
        });
    }
    assert_eq!(command.status().unwrap().code(), Some(7));
}
