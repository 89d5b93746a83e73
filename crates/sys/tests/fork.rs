//! What the C library does in a process that was forked without its knowledge. A harness of its own: forking takes a process with one
//! thread.

use libtest_mimic::{Arguments, Trial};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use soute_sys::process::{Cloned, fork};

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trial = Trial::test("an_abort_is_the_forks_own", || {
        an_abort_is_the_forks_own();
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// musl's own would be its parent's: this process would end here.
fn an_abort_is_the_forks_own() {
    match fork().unwrap() {
        // As a panic does.
        Cloned::Child => std::process::abort(),
        Cloned::Parent { pid, .. } => {
            let ended = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).unwrap();
            assert_eq!(ended.unwrap().terminating_signal(), Some(libc::SIGABRT));
        }
    }
}
