//! Words that cannot be meant: refused with Docker's exit code, and nothing made.

use soute_tests::World;

#[track_caller]
fn refused(world: &World, words: &[&str], named: &str) {
    let outcome = world.soute(words);
    outcome.code(125).prints("");
    assert!(outcome.stderr.contains(named), "no {named:?} in {outcome}");
}

#[test]
fn of_run() {
    let world = World::new();
    world.detached(["--name", "there", "busybox", "sleep", "1000"]);
    for (flags, named) in [
        (&["--hostname", "x", "--uts", "host"][..], "--hostname"),
        (&["--hostname", "-x-"], "hostname"),
        (
            &["--network", "container:there", "--dns", "192.0.2.1"],
            "--dns",
        ),
        (&["--privileged", "--userns", "auto"], "--userns"),
        (&["--shm-size", "1m", "--ipc", "host"], "--shm-size"),
        (&["-d", "-a", "stdout"], "--detach"),
        (&["-v", "data:relative"], "relative"),
        (&["-v", "/a:/b:c:d"], "/a:/b:c:d"),
        (&["-v", "data:/x", "--tmpfs", "/x"], "/x"),
        (&["-v", "/tmp:/"], "/"),
        (&["--mount", "type=bind,dst=/x"], "source"),
        (&["--mount", "type=nothing,dst=/x"], "nothing"),
        (&["--mount", "type=tmpfs,src=/x,dst=/x"], "source"),
        (&["--tmpfs", "/x:size=lots"], "lots"),
        (&["-p", "80:"], "port"),
        (&["--network", "no-such"], "network"),
        (&["--userns", "remap:no-such-user"], "no-such-user"),
        (&["--userns", "keep-id"], "keep-id"),
        (&["--stop-signal", "NOSUCH"], "NOSUCH"),
        (&["--detach-keys", "ctrl-nothing"], "ctrl-nothing"),
        (&["--pid", "container:no-such"], "no-such"),
        (&["--security-opt", "no-such=1"], "no-such"),
        (&["--platform", "linux/no such"], "platform"),
        (&["--pull", "never", "--platform", "linux/s390x"], "s390x"),
        (&["--pull", "sometimes"], "sometimes"),
        (&["--env-file", "/no/such/file"], "/no/such/file"),
        (&["--add-host", "x"], "x"),
        (&["--dns", "not-an-address"], "not-an-address"),
        (&["--label-file", "/no/such/file"], "/no/such/file"),
        (
            &["--cidfile", "/no/such/folder/file"],
            "/no/such/folder/file",
        ),
        (&["--restart", "always"], "--restart"),
        (&["--init=perhaps"], "perhaps"),
    ] {
        refused(
            &world,
            &[&["run", "--rm"], flags, &["busybox", "true"]].concat(),
            named,
        );
    }
    world.soute(["rm", "-f", "there"]).success();
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
    world.assert_nothing_left(&[]);
}

#[test]
fn images_that_are_not_there() {
    let world = World::new();
    for image in [
        "busybox:other",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "UPPER",
        "-",
        "a//b",
        &"a".repeat(300),
    ] {
        let outcome = world.soute(["run", "--rm", "--pull", "never", "--", image, "true"]);
        outcome.code(125);
        assert!(outcome.stderr.starts_with("soute: error: "), "{outcome}");
    }
    refused(
        &world,
        &["create", "--pull", "never", "no-such-image", "true"],
        "no-such-image",
    );
}

#[test]
fn of_other_commands() {
    let world = World::new();
    for words in [
        &["ps", "--filter", "nothing"][..],
        &["ps", "--filter", "no-such=1"],
        &["ps", "--format", "{{.NoSuch"],
        &["logs", "--since", "yesterday-ish", "x"],
        &["kill", "--signal", "0x", "x"],
        &["stop", "--time", "soon", "x"],
        &["exec", "--no-such", "x", "true"],
        &["no-such-command"],
        &["logs"],
        &["rm"],
        &["inspect"],
    ] {
        let outcome = world.soute(words);
        assert!(outcome.code == 1 || outcome.code == 125, "{outcome}");
        assert!(outcome.stderr.starts_with("soute"), "{outcome}");
    }
}

/// Escapes in names and arguments do not reach the terminal by way of an error.
#[test]
fn errors_show_what_is_not_visible() {
    let world = World::new();
    for words in [
        &["inspect", "\u{1b}[31mred"][..],
        &["run", "--\u{1b}[31m", "x"],
        &["run", "--rm", "busybox", "\u{1b}[31mred"],
        &["rm", "\u{1b}]0;owned\u{7}"],
    ] {
        let outcome = world.soute(words);
        assert_ne!(outcome.code, 0);
        assert!(!outcome.stderr.contains('\u{1b}'), "{outcome:?}");
    }
}
