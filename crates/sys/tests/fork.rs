//! What the C library does in a process that was forked without its knowledge.

#[path = "../../runtime/tests/alone/mod.rs"]
mod alone;

use rustix::process::{WaitId, WaitIdOptions, waitid};
use soute_sys::process::{Cloned, fork};

fn main() {
    alone::run([("an_abort_is_the_forks_own", an_abort_is_the_forks_own)]).exit();
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
