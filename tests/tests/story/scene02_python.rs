//! Run a container from a Python 3 image: a prompt, PID 1, an own host name, an own root file system.

use soute_tests::World;

#[test]
fn a_prompt() {
    let world = World::debian();
    let machine = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let marker = world.path("of-the-machine");
    std::fs::write(&marker, "").unwrap();

    let mut python = world.terminal(["run", "--rm", "-it", "debian", "python3"]);
    python.expect("Python 3.");
    python.expect(">>> ");
    let mut ask = |question: &str| {
        // The terminal echoes what is typed; the answer comes in quotes on the next line.
        python.send(&format!("{question}\r"));
        python.expect("\r\n");
        python.expect(">>> ").trim().to_owned()
    };
    ask("import os, sys");
    assert_eq!(ask("os.getpid()"), "1");
    assert_eq!(ask("os.getuid(), os.getgid()"), "(0, 0)");
    let host_name = ask("os.uname().nodename");
    assert!(
        host_name.len() == 14
            && host_name
                .trim_matches('\'')
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit()),
        "{host_name}"
    );
    assert_ne!(host_name.trim_matches('\''), machine);
    assert_eq!(
        ask(&format!("os.path.exists({:?})", marker.to_str().unwrap())),
        "False"
    );
    assert_eq!(ask("os.path.exists('/etc/debian_version')"), "True");
    assert_eq!(
        ask("[pid for pid in os.listdir('/proc') if pid.isdigit()]"),
        "['1']"
    );
    assert_eq!(
        ask("sys.stdin.isatty(), os.get_terminal_size().columns"),
        "(True, 80)"
    );
    assert_eq!(ask("print(6 * 7)"), "42");
    python.send("\x04");
    assert_eq!(python.finish().0, 0);
}

#[test]
fn its_exit_code_and_output() {
    let world = World::debian();
    let outcome = world.soute([
        "run",
        "--rm",
        "--network",
        "none",
        "debian",
        "python3",
        "-c",
        "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)",
    ]);
    outcome.code(7).prints("out");
    assert_eq!(outcome.stderr, "err\n");
    let mut reads = world.start([
        "run",
        "--rm",
        "-i",
        "debian",
        "python3",
        "-c",
        "import sys; print(sum(int(line) for line in sys.stdin))",
    ]);
    reads.write("1\n2\n39\n");
    reads.outcome().success().prints("42");
    // As in a shell: the traceback of Ctrl-C. In short sleeps: Python passes over a signal that comes as a sleep begins.
    let mut sleeps = world.start([
        "run",
        "--rm",
        "debian",
        "python3",
        "-c",
        "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.1)",
    ]);
    sleeps.expect("ready");
    sleeps.signal(rustix::process::Signal::INT);
    let outcome = sleeps.outcome();
    assert!(outcome.stderr.contains("KeyboardInterrupt"), "{outcome}");
}

#[test]
fn its_files_are_its_own() {
    let world = World::debian();
    let write = "import os; os.unlink('/etc/debian_version'); open('/new', 'w').write('mine'); print(open('/new').read())";
    world
        .soute(["run", "--rm", "debian", "python3", "-c", write])
        .prints("mine");
    let look = "import os; print(os.path.exists('/new'), os.path.exists('/etc/debian_version'))";
    world
        .soute(["run", "--rm", "debian", "python3", "-c", look])
        .prints("False True");
    world.assert_mounts_unchanged();
}
