//! Namespaces that no process is in, by what keeps them; and what is hidden. These need root.

mod common;

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use common::{Helper, inode};
use rustix::net::{AddressFamily, SocketType};
use soute_lens::view::{List, Row, Survey};
use soute_lens::{Descriptor, Kind, Scope, Thread};
use soute_sys::process::{flags, unshare};

fn list(scope: Scope) -> List {
    Survey::new(scope)
        .expect("a survey")
        .list(&[])
        .expect("a list")
}

fn row(list: &List, inode: u64) -> &Row {
    let mut rows = list.namespaces.iter();
    rows.find(|row| row.ns == inode)
        .unwrap_or_else(|| panic!("{inode} was not found"))
}

#[test]
fn a_bind_mount_in_another_mount_namespace() {
    // The name has a newline and an escape in it.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let helper = Helper::script(&format!(
        "exec unshare -m sh -c 'f=\"{folder}/a
\x1b[31m\"; touch \"$f\"; unshare --net=\"$f\" true && echo ready; exec sleep 600'"
    ));
    let survey = Survey::new(Scope {
        bound: true,
        ..Scope::default()
    })
    .unwrap();
    let list = survey.list(&[Kind::Net]).unwrap();
    let bound = |row: &&Row| {
        row.bound
            .iter()
            .any(|bound| bound.seen_by == Some(helper.pid()))
    };
    let row = list
        .namespaces
        .iter()
        .find(bound)
        .expect("the mount is found");
    assert_eq!(row.nprocs, 0);
    assert_eq!(
        row.bound[0].path.to_str().unwrap(),
        format!("{folder}/a\n\u{1b}[31m")
    );
    assert_eq!(row.nsfs, Vec::<String>::new(), "not visible from here");
    assert_eq!(
        row.ons,
        Some(inode(std::process::id(), "user")),
        "asked through the mount"
    );
    let keeper = format!(
        "(mounted at {folder}/a\\n\\x1b[31m for process {})",
        helper.pid()
    );
    assert_eq!(row.command, keeper);
    let without = Survey::new(Scope::default())
        .unwrap()
        .list(&[Kind::Net])
        .unwrap();
    assert!(!without.namespaces.iter().any(|other| other.ns == row.ns));
}

#[test]
fn a_descriptor() {
    let owner = Helper::script("exec unshare -Urn sh -c 'echo ready; exec sleep 600'");
    let net = inode(owner.pid(), "net");
    let user = inode(owner.pid(), "user");
    let namespace = File::open(format!("/proc/{}/ns/net", owner.pid())).unwrap();
    let mut holder = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::from(namespace))
        .spawn()
        .unwrap();
    drop(owner);
    let found = list(Scope::ALL);
    let without = list(Scope::default());
    holder.kill().unwrap();
    holder.wait().unwrap();

    let kept = row(&found, net);
    assert_eq!(
        kept.descriptors,
        [Descriptor {
            pid: holder.id(),
            fd: 0
        }]
    );
    assert_eq!((kept.nprocs, kept.pid), (0, None));
    assert_eq!(
        kept.command,
        format!("(descriptor 0 of process {})", holder.id())
    );
    // Its owner has nobody in it either: only the kernel's word shows it.
    assert_eq!(kept.ons, Some(user));
    assert_eq!(row(&found, user).command, format!("(owner of {net})"));
    assert!(!without.namespaces.iter().any(|row| row.ns == net));
}

/// One whose number is a namespace's now and a folder's then.
#[test]
fn a_descriptor_that_changes() {
    let changes = "while :; do exec 9</proc/self/ns/net; exec 9</; done";
    let _changing = Helper::script(&format!("echo ready; {changes}"));
    for _ in 0..100 {
        let survey = Survey::new(Scope::ALL).unwrap();
        let mut nets = survey.found().of_kind(Kind::Net);
        // No namespace has a lower inode.
        assert!(nets.all(|one| one.id.inode >= 0xe000_0000), "{survey:?}");
    }
}

/// A socket that a process here has open, of a network namespace that nobody is in, whose link is told.
fn kept_by_a_socket() -> (String, Child) {
    let made = std::thread::spawn(|| {
        unshare(flags::NEWNET).expect("root");
        let link = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        (link.to_str().unwrap().to_owned(), OwnedFd::from(socket))
    });
    let (link, socket) = made.join().unwrap();
    let mut holder = Command::new("sleep");
    let holder = holder
        .arg("600")
        .stdin(Stdio::from(socket))
        .spawn()
        .unwrap();
    (link, holder)
}

const SOCKETS: Scope = Scope {
    sockets: true,
    ..Scope::ALL
};

#[test]
fn a_socket() {
    let (link, mut holder) = kept_by_a_socket();
    let found = list(SOCKETS);
    let without = list(Scope::ALL);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let is_it = |row: &&Row| link == format!("net:[{}]", row.ns);
    let kept = found.namespaces.iter().find(is_it).unwrap();
    let (pid, fd) = (holder.id(), 0);
    assert_eq!(kept.sockets, [Descriptor { pid, fd }]);
    assert_eq!((kept.nprocs, kept.pid), (0, None));
    assert_eq!(kept.command, format!("(socket 0 of process {pid})"));
    // Opened by way of it, or else there were no owner.
    assert_eq!(kept.ons, Some(inode(std::process::id(), "user")));
    assert!(!without.namespaces.iter().any(|row| is_it(&row)));
}

/// A socket of a namespace that others are in, in the hands of a process here: its namespace's table tells of it.
#[test]
fn a_socket_of_somebody_elsewhere() {
    let inside = Helper::script("exec unshare -Urn sh -c 'echo ready; exec sleep 600'");
    let pid = inside.pid();
    let net = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let made = std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            net.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .expect("root");
        OwnedFd::from(UdpSocket::bind("0.0.0.0:0").unwrap())
    });
    let mut holder = Command::new("sleep");
    let socket = Stdio::from(made.join().unwrap());
    let mut holder = holder.arg("600").stdin(socket).spawn().unwrap();
    let found = list(SOCKETS);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (pid, fd) = (holder.id(), 0);
    let row = row(&found, inode(inside.pid(), "net"));
    assert_eq!(row.sockets, [Descriptor { pid, fd }]);
    assert_eq!(row.nprocs, 1);
}

/// The test below, run again as the one who owns sockets, among few processes, and as the one who looks.
const AS: &str = "SOUTE_LENS_AS";

/// What a process closes while somebody else has it, too, is not closed: only what no table lists is borrowed, and only if a
/// user asks for it.
#[test]
fn owners_are_left_alone() {
    let myself = std::env::current_exe().unwrap();
    let again = |words: &[&str], part: &str| {
        let mut again = Command::new(words[0]);
        again.args(&words[1..]).arg(&myself).env(AS, part);
        again.args(["--exact", "owners_are_left_alone", "--nocapture"]);
        let told = again.output().unwrap();
        let error = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{words:?} {part}: {error}");
    };
    match std::env::var(AS).as_deref() {
        Err(_) => again(
            &["unshare", "-mpf", "--mount-proc", "--kill-child"],
            "OWNER",
        ),
        Ok("OWNER") => {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("log");
            let calls = |look: &str| {
                let log = log.to_str().unwrap();
                again(
                    &["strace", "-f", "-e", "trace=pidfd_getfd", "-o", log],
                    look,
                );
                let text = std::fs::read_to_string(log).unwrap();
                assert!(text.contains("+++ exited with 0 +++"), "{text}");
                text.matches("pidfd_getfd(").count()
            };
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            assert_eq!((calls("ALL"), calls("SOCKETS")), (0, 0));
            // One that has no address is in no table.
            let unbound = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
            assert_eq!((calls("ALL"), calls("SOCKETS")), (0, 1));
            drop((socket, unbound));
        }
        Ok("ALL") => drop(Survey::new(Scope::ALL).unwrap()),
        Ok(_) => drop(Survey::new(SOCKETS).unwrap()),
    }
}

#[test]
fn a_thread() {
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        unshare(flags::NEWUTS).expect("root");
        let link = std::fs::read_link("/proc/thread-self").unwrap();
        let tid: u32 = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
        tell.send(tid).unwrap();
        let _ = ended.recv();
    });
    let tid = told.recv().unwrap();
    let pid = std::process::id();
    let uts = inode(pid, &format!("../task/{tid}/ns/uts"));
    assert_ne!(uts, inode(pid, "uts"));
    let list = list(Scope::default());
    let row = row(&list, uts);
    assert_eq!(row.threads, [Thread { pid, tid }]);
    assert_eq!(row.nprocs, 0);
    assert_eq!(row.command, format!("(thread {tid} of process {pid})"));
    assert_eq!(
        row.path.as_deref(),
        Some(format!("/proc/{pid}/task/{tid}/ns/uts").as_str())
    );
    drop(end);
    thread.join().unwrap();
}

/// The test below, run again as another user.
const AS_NOBODY: &str = "SOUTE_LENS_AS_NOBODY";

#[test]
fn what_is_hidden_from_a_user_is_counted_and_the_rest_shown() {
    let Ok(target) = std::env::var(AS_NOBODY) else {
        let root = Helper::script(
            "exec unshare -Urp --fork --kill-child sh -c 'echo ready; exec sleep 600'",
        );
        let init = common::child_of(root.pid());
        let name = "what_is_hidden_from_a_user_is_counted_and_the_rest_shown";
        let output = Command::new("/proc/self/exe")
            .args(["--exact", name, "--nocapture"])
            .env(AS_NOBODY, init.to_string())
            .current_dir("/")
            .gid(65534)
            .uid(65534)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        return;
    };
    let target: u32 = target.parse().unwrap();
    let survey = Survey::new(Scope::ALL).unwrap();
    assert!(survey.found().hidden.contains(&target));
    let list = survey.list(&[]).unwrap();
    assert!(
        list.namespaces.iter().any(|row| row.kind == Kind::Net),
        "its own"
    );
    assert!(
        list.notes[0].contains("hide their namespaces"),
        "{:?}",
        list.notes
    );

    // What /proc/PID/status tells to everybody is shown.
    let show = survey.show(target, None).unwrap();
    assert_eq!(show.namespaces, []);
    assert_eq!(show.pids, [target, 1]);
    assert_eq!(show.notes.len(), 1);
    assert!(
        show.notes[0].contains("are hidden from this user"),
        "{:?}",
        show.notes
    );
    // A socket without an address is in no table, and the kernel does not tell this user whose it is.
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    );
    let mut holder = Command::new("sleep");
    let mut holder = holder.arg("600").stdin(socket.unwrap()).spawn().unwrap();
    let notes = self::list(SOCKETS).notes;
    holder.kill().unwrap();
    holder.wait().unwrap();
    let note = "asked for the network namespace (";
    assert!(notes.iter().any(|one| one.contains(note)), "{notes:?}");
    let pids = survey.pids(target, None).unwrap();
    assert_eq!(pids.processes[0].pids, [target, 1]);
    assert_eq!(pids.levels.len(), 2);
    assert!(
        pids.notes[0].contains("is in a pid namespace that is hidden"),
        "{:?}",
        pids.notes
    );
}

/// Whoever may trace all may not list the descriptors of all: that needs CAP_DAC_READ_SEARCH.
#[test]
fn hidden_descriptors_are_counted() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut other = Command::new("sleep");
    let mut other = other.arg("600").uid(65534).gid(65534).spawn().unwrap();
    let pid = other.id();
    let looks = std::thread::spawn(move || {
        let mut own = capabilities(None).unwrap();
        own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, own).unwrap();
        [Scope::ALL, SOCKETS, Scope::default()].map(|scope| {
            let survey = Survey::new(scope).unwrap();
            let found = survey.found();
            assert!(!found.hidden.contains(&pid));
            (found.closed.contains(&pid), survey.notes())
        })
    });
    let looks = looks.join();
    other.kill().unwrap();
    other.wait().unwrap();
    let [all, sockets, without] = looks.unwrap();
    let noted = |notes: &[String]| {
        let hidden = "descriptors from this user";
        notes.iter().any(|note| note.contains(hidden))
    };
    for (seen, notes) in [all, sockets] {
        assert!(seen && noted(&notes), "{notes:?}");
    }
    assert!(!noted(&without.1));
}
