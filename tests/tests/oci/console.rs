//! `process.terminal`: its other side is sent to whoever listens.

use std::fs::File;
use std::io::{IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{tcgetattr, tcgetwinsize};
use serde_json::json;
use soute_tests::{Terminal, output_in_files, wait_until};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    a_terminal_is_sent,
    a_terminal_has_its_size,
    a_terminal_controls_the_session,
    a_terminal_is_the_containers_own,
    a_terminal_is_the_users,
    a_terminal_passes_keys,
    a_terminal_of_exec_is_sent,
    a_terminal_of_exec_by_a_process_file,
    a_terminal_without_a_socket_is_refused,
    a_socket_without_a_terminal_is_refused,
    a_socket_that_is_not_there,
    a_terminal_in_a_user_namespace,
    run_detached_sends_a_terminal,
    run_in_a_terminal,
    run_in_a_terminal_that_nobody_reads,
    exec_in_a_terminal,
    a_socket_for_an_exec_without_a_terminal_is_refused,
    a_dev_console_of_the_image_stays,
];

/// One descriptor and the words that come with it.
#[track_caller]
pub fn receive(listener: &UnixListener) -> (OwnedFd, Vec<u8>) {
    let mut ready = [PollFd::new(listener, PollFlags::IN)];
    let limit = rustix::time::Timespec::try_from(Duration::from_secs(20)).expect("a time");
    let count = poll(&mut ready, Some(&limit)).expect("poll");
    assert_eq!(count, 1, "nobody calls at the socket");
    let (stream, _) = listener.accept().expect("accept");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a time limit");
    receive_from(&stream)
}

#[track_caller]
fn receive_from(stream: &UnixStream) -> (OwnedFd, Vec<u8>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 64 << 10];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(stream, &mut slices, &mut ancillary, flags).expect("recvmsg");
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            descriptors.extend(sent);
        }
    }
    assert_eq!(descriptors.len(), 1, "one descriptor, no more");
    bytes.truncate(received.bytes);
    (descriptors.remove(0), bytes)
}

/// What a person sees, of the side that was sent.
struct Screen {
    side: File,
    seen: String,
}

impl Screen {
    #[track_caller]
    fn new(listener: &UnixListener) -> Self {
        let (side, _) = receive(listener);
        Self {
            side: side.into(),
            seen: String::new(),
        }
    }

    #[track_caller]
    fn expect(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.seen.contains(text) {
            assert!(Instant::now() < end, "no {text:?} in {:?}", self.seen);
            let mut ready = [PollFd::new(&self.side, PollFlags::IN)];
            let pause = rustix::time::Timespec::try_from(Duration::from_millis(100));
            if poll(&mut ready, Some(&pause.expect("a time"))).expect("poll") == 0 {
                continue;
            }
            let mut bytes = [0; 4096];
            // EIO: the container has closed its side; it may have more to say only if it is created.
            let count = self.side.read(&mut bytes).unwrap_or_default();
            self.seen
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
            if count == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A container with a terminal, created and started.
#[track_caller]
fn with_terminal(bench: &mut Bench, bundle: &mut Bundle) -> (String, Screen) {
    bundle.set("/process/terminal", json!(true));
    let id = bench.id();
    let (listener, path) = bench.listen("console");
    let flags = ["--console-socket", &path];
    bench.try_create(bundle, &flags, &id).success();
    let screen = Screen::new(&listener);
    bench.call(&["start", &id]).success();
    (id, screen)
}

fn a_terminal_is_sent(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("tty; test -t 0 && test -t 1 && test -t 2 && echo all");
    let (_, mut screen) = with_terminal(bench, &mut bundle);
    screen.expect("/dev/pts/0\r\nall\r\n");
}

fn a_terminal_has_its_size(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/consoleSize", json!({"height": 33, "width": 44}));
    bundle.sh("stty size; sleep 1000");
    let (_, mut screen) = with_terminal(bench, &mut bundle);
    screen.expect("33 44");
    let size = tcgetwinsize(&screen.side).unwrap();
    assert_eq!((size.ws_row, size.ws_col), (33, 44));
}

/// Ctrl-C reaches it.
fn a_terminal_controls_the_session(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.02; done");
    let (id, mut screen) = with_terminal(bench, &mut bundle);
    screen.expect("ready");
    screen.side.write_all(b"\x03").unwrap();
    screen.expect("interrupted");
    bench.becomes(&id, "stopped");
}

fn a_terminal_is_the_containers_own(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("stat -c %t:%T /dev/console; echo /dev/pts/*; grep -c ' /dev/console ' /proc/self/mountinfo; sleep 1000");
    let (_, mut screen) = with_terminal(bench, &mut bundle);
    screen.expect("88:0\r\n/dev/pts/0 /dev/pts/ptmx\r\n1\r\n");
}

fn a_terminal_is_the_users(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.sh("stat -c %u /dev/pts/0; echo again > /dev/pts/0; sleep 1000");
    let (_, mut screen) = with_terminal(bench, &mut bundle);
    screen.expect("1000\r\nagain\r\n");
}

fn a_terminal_passes_keys(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("read line; echo \"<$line>\"; sleep 1000");
    let (_, mut screen) = with_terminal(bench, &mut bundle);
    assert!(tcgetattr(&screen.side).is_ok());
    screen.side.write_all(b"typed\n").unwrap();
    screen.expect("<typed>");
}

fn a_terminal_of_exec_is_sent(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let (listener, path) = bench.listen("console");
    let words = ["exec", "--tty", "--detach", "--console-socket", &path, &id];
    let script = ["sh", "-c", "tty; read line; echo \"<$line>\"; sleep 1000"];
    let mut command = bench.command(&[&words[..], &script].concat());
    output_in_files(&mut command, &bench.path(""), "exec").success();
    let mut screen = Screen::new(&listener);
    screen.expect("/dev/pts/0");
    screen.side.write_all(b"typed\n").unwrap();
    screen.expect("<typed>");
}

fn a_terminal_of_exec_by_a_process_file(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let process = json!({
        "terminal": true, "consoleSize": {"height": 21, "width": 43},
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin", bench.mark()],
        "args": ["sh", "-c", "stty size; sleep 1000"],
    });
    let file = bench.text("process.json");
    std::fs::write(&file, process.to_string()).unwrap();
    let (listener, path) = bench.listen("console");
    let words = [
        "exec",
        "--process",
        &file,
        "--detach",
        "--console-socket",
        &path,
        &id,
    ];
    output_in_files(&mut bench.command(&words), &bench.path(""), "exec").success();
    Screen::new(&listener).expect("21 43");
}

fn a_terminal_without_a_socket_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/terminal", json!(true));
    let id = bench.id();
    bench.try_create(&bundle, &[], &id).code(1);
    bench.has_logged_an_error();
    bench.is_gone(&id);
    bench.try_detached(&bundle, &[], &id).code(1);
    bench.is_gone(&id);
}

fn a_socket_without_a_terminal_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.id();
    let (_listener, path) = bench.listen("console");
    let flags = ["--console-socket", &path];
    bench.try_create(&bundle, &flags, &id).code(1);
    bench.is_gone(&id);
}

fn a_socket_that_is_not_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/terminal", json!(true));
    let (id, path) = (bench.id(), bench.text("nowhere"));
    let flags = ["--console-socket", &path];
    let outcome = bench.try_create(&bundle, &flags, &id);
    assert_ne!(outcome.code, 0, "{outcome}");
    bench.has_logged_an_error();
    bench.is_gone(&id);
}

fn a_terminal_in_a_user_namespace(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    crate::namespaces::mapped(&mut bundle);
    bundle.sh("tty; stat -c %u /dev/pts/0; sleep 1000");
    let (_, mut screen) = with_terminal(bench, &mut bundle);
    screen.expect("/dev/pts/0\r\n0\r\n");
}

fn run_detached_sends_a_terminal(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/terminal", json!(true));
    bundle.sh("tty; sleep 1000");
    let id = bench.id();
    let (listener, path) = bench.listen("console");
    let flags = ["--console-socket", &path];
    bench.try_detached(&bundle, &flags, &id).success();
    Screen::new(&listener).expect("/dev/pts/0");
}

/// `run` of a new container, and its name.
fn running(bench: &mut Bench, bundle: &Bundle) -> (Command, String) {
    bundle.write();
    let (id, folder) = (bench.id(), bundle.folder().display().to_string());
    (bench.command(&["run", "--bundle", &folder, &id]), id)
}

/// The caller's terminal and the program's are one, as a person sees it.
fn run_in_a_terminal(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/terminal", json!(true));
    bundle.sh("tty; trap 'echo interrupted; exit 3' INT; read line; echo \"<$line>\"; while :; do sleep 0.02; done");
    let (command, id) = running(bench, &bundle);
    let mut terminal = Terminal::start(&command);
    terminal.expect("/dev/pts/0");
    terminal.send("typed\r");
    terminal.expect("<typed>");
    terminal.send("\x03");
    terminal.expect("interrupted");
    assert_eq!(terminal.finish().0, 3);
    bench.is_gone(&id);
}

/// The program hears of it, and its end is waited for.
fn run_in_a_terminal_that_nobody_reads(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/terminal", json!(true));
    bundle.sh("trap 'exit 4' HUP; while :; do echo more; sleep 0.02; done");
    let (mut command, id) = running(bench, &bundle);
    let (reader, writer) = std::io::pipe().unwrap();
    command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    drop(command);
    drop(reader);
    wait_until("it has ended", || run.try_wait().unwrap().is_some());
    assert_eq!(run.wait().unwrap().code(), Some(4));
    bench.is_gone(&id);
}

fn exec_in_a_terminal(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let script = "stty size; read line; echo \"<$line>\"; exit 5";
    let words = ["exec", "--tty", &id, "sh", "-c", script];
    let mut terminal = Terminal::start(&bench.command(&words));
    terminal.expect("24 80");
    terminal.send("typed\r");
    terminal.expect("<typed>");
    assert_eq!(terminal.finish().0, 5);
}

fn a_socket_for_an_exec_without_a_terminal_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let (_listener, path) = bench.listen("console");
    let words = ["exec", "--detach", "--console-socket", &path, &id, "true"];
    assert_ne!(bench.call(&words).code, 0);
    bench.has_logged_an_error();
}

/// CVE-2025-52565: what is bound on /dev/console is the terminal, wherever the image's leads.
fn a_dev_console_of_the_image_stays(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without("/mounts", |mount| {
        let place = mount["destination"].as_str().unwrap_or_default();
        place == "/dev" || place == "/dev/mqueue" || place == "/dev/shm"
    });
    bundle.set("/root/readonly", json!(false));
    let outside = bench.path("outside");
    std::fs::write(&outside, "outside").unwrap();
    std::fs::create_dir(bundle.rootfs().join("dev/pts")).unwrap();
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("dev/console")).unwrap();
    bundle
        .set("/process/terminal", json!(true))
        .sh("echo > /dev/console");
    let id = bench.id();
    let (_listener, path) = bench.listen("console");
    let flags = ["--console-socket", &path];
    bench.try_create(&bundle, &flags, &id);
    bench.call(&["start", &id]);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "outside");
}
