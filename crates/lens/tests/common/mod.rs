//! Helper processes in namespaces of their own, made by unshare(1).

#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process that is killed, with all in the pid namespaces below it, when this goes out of scope.
pub struct Helper(Child);

impl Helper {
    /// Runs `script` in sh(1) and waits for it to say `ready`.
    pub fn script(script: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let mut helper = Self(child);
        let mut line = String::new();
        let output = helper.0.stdout.take().expect("piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("readable");
        assert_eq!(line, "ready\n", "the helper did not start: {script}");
        helper
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Our own child, not yet waited for: the number cannot be another's.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Three pid namespaces, one in the other, each with all other namespaces too. `--kill-child` makes them end with the
/// outermost program. In the innermost are `sleep 601`, process 1, and its child `sleep 600`.
pub fn three_deep() -> Helper {
    Helper::script(
        "exec unshare -UrCmnuifp --mount-proc --kill-child \
         unshare -UrCmnuifp --mount-proc --kill-child \
         unshare -UrCmnuifp --mount-proc --kill-child \
         sh -c '
             { while read -r name < /proc/1/comm && [ \"$name\" = sh ]; do :; done
               echo ready; exec sleep 600; } &
             exec sleep 601'",
    )
}

/// The only child of `pid`.
pub fn child_of(pid: u32) -> u32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).expect("the process is there");
    let [child] = text.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("children of {pid}: {text:?}");
    };
    child.parse().expect("a number")
}

/// The inode of a namespace of `pid`, by readlink(2) alone.
pub fn inode(pid: u32, link: &str) -> u64 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{link}")).expect("readable");
    let link = link.to_str().expect("plain");
    let (_, number) = link.split_once(":[").expect("a namespace");
    number.trim_end_matches(']').parse().expect("a number")
}
