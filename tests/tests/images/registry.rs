//! `soute pull`, and `soute run` of what is not here, from Debian's docker-registry.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use soute_tests::{World, output, wait_until};

use super::stored;
use soute_tests::make::{Parts, archive, oci};

/// `user:secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
/// Base64 of `user:secret`.
const AUTH: &str = "dXNlcjpzZWNyZXQ=";

/// How the registry is guarded.
pub enum Guard {
    Open,
    /// Only `user:secret` gets anything.
    Password,
    /// A certificate and its key, of these paths.
    Tls(PathBuf, PathBuf),
}

/// A registry in the world's folder and network.
pub struct Registry {
    process: Child,
    pub address: SocketAddr,
}

impl Registry {
    pub fn start(world: &World, guard: Guard) -> Self {
        Self::start_at(world, "127.0.0.1", guard)
    }

    pub fn start_at(world: &World, address: &str, guard: Guard) -> Self {
        let address = TcpListener::bind((address, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": world.path("registry")}},
            "http": {"addr": address.to_string()},
        });
        match guard {
            Guard::Open => {}
            Guard::Password => {
                let path = world.path("htpasswd");
                fs::write(&path, HTPASSWD).unwrap();
                config["auth"] = json!({"htpasswd": {"realm": "test", "path": path}});
            }
            Guard::Tls(certificate, key) => {
                config["http"]["tls"] = json!({"certificate": certificate, "key": key});
            }
        }
        fs::write(world.path("registry.yml"), config.to_string()).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(world.path("registry.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (package docker-registry)");
        let registry = Self { process, address };
        wait_until("the registry listens", || {
            TcpStream::connect(address).is_ok()
        });
        registry
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Puts an image of busybox there that says `words`.
    pub fn push(&self, world: &World, name: &str, words: &str) {
        let base = fs::read(World::busybox_tar()).unwrap();
        let config = json!({"Cmd": ["echo", words], "Env": ["PATH=/bin"]});
        self.push_parts(world, name, &oci(&[&base], &config, "x:y"));
    }

    /// Puts an image there, for all its platforms.
    pub fn push_parts(&self, world: &World, name: &str, parts: &Parts) {
        fs::write(world.path("push.tar"), archive(parts)).unwrap();
        let mut skopeo = Command::new("skopeo");
        skopeo.args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
        ]);
        skopeo.args(["--dest-creds", "user:secret"]);
        skopeo.arg(format!("oci-archive:{}", world.path("push.tar").display()));
        output(skopeo.arg(format!("docker://{}", self.name(name)))).success();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn run_pulls_what_is_missing_and_pull_brings_what_is_new() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push(&world, "app:v1", "first");
    let name = registry.name("app:v1");
    world
        .soute(["run", "--rm", "--pull", "never", &name])
        .fails(125, &["no such image"]);
    world
        .soute(["run", "--rm", &name])
        .success()
        .prints("first");
    world
        .soute(["pull", &name])
        .success()
        .shows("up to date")
        .shows("Digest: sha256:");
    registry.push(&world, "app:v1", "second");
    world.soute(["run", "--rm", &name]).prints("first");
    world.soute(["pull", &name]).success().shows("newer");
    world.soute(["run", "--rm", &name]).prints("second");
    registry.push(&world, "app:v1", "third");
    world
        .soute(["run", "--rm", "--pull", "always", &name])
        .prints("third");
    // By digest, as the pull has told.
    let pulled = world.soute(["pull", &name]);
    let digest = pulled
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("Digest: "))
        .unwrap();
    let by_digest = format!("{}@{digest}", registry.name("app"));
    world.soute(["run", "--rm", &by_digest]).prints("third");
}

#[test]
fn what_a_registry_does_not_have() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Open);
    registry.push(&world, "app:v1", "x");
    for name in ["app:v2", "other"] {
        let name = registry.name(name);
        world.soute(["pull", &name]).fails(1, &[&name]);
        world.soute(["run", "--rm", &name]).fails(125, &[&name]);
    }
    let other = registry.name("app:v1");
    world
        .soute(["pull", "--platform", "linux/s390x", &other])
        .fails(1, &["linux/s390x"]);
    world
        .soute(["pull", "127.0.0.1:1/x"])
        .fails(1, &["127.0.0.1:1"]);
    assert_eq!(stored(&world), [""; 0]);
}

#[test]
fn credentials_from_the_command_line_and_from_files() {
    let world = World::empty();
    let registry = Registry::start(&world, Guard::Password);
    registry.push(&world, "app:v1", "private");
    let name = registry.name("app:v1");
    let file = |name: &str, content: serde_json::Value| {
        let path = world.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content.to_string()).unwrap();
        path
    };
    let key = registry.address.to_string();
    let good = file("auth.json", json!({"auths": {key.clone(): {"auth": AUTH}}}));
    let docker = file(
        "docker/config.json",
        json!({"auths": {key.clone(): {"auth": AUTH}}}),
    );
    let wrong = file(
        "wrong.json",
        json!({"auths": {key.clone(): {"auth": "dXNlcjp4"}}}),
    );
    let helper = file("helper.json", json!({"credHelpers": {key: "example"}}));
    let pull = |variable: &str, value: &std::path::Path| {
        let mut pull = world.command(["pull", &name]);
        // What the person running the tests is logged in to is no concern of theirs.
        pull.env("HOME", world.path("nobody"));
        for other in ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"] {
            pull.env_remove(other);
        }
        output(pull.env(variable, value).stdin(Stdio::null()))
    };
    pull("NOTHING", &good).fails(1, &[&name]);
    pull("REGISTRY_AUTH_FILE", &wrong).fails(1, &[&name]);
    pull("REGISTRY_AUTH_FILE", &helper).fails(1, &["docker-credential-example"]);
    pull("REGISTRY_AUTH_FILE", &world.path("missing")).fails(1, &["missing"]);
    assert_eq!(stored(&world), [""; 0]);
    for (variable, value) in [
        ("REGISTRY_AUTH_FILE", good.as_path()),
        ("DOCKER_CONFIG", docker.parent().unwrap()),
    ] {
        pull(variable, value).success();
        world.soute(["run", "--rm", &name]).prints("private");
        world.soute(["rmi", &name]).success();
    }
    world
        .soute(["pull", "--creds", "user:secret", &name])
        .success();
    world.soute(["rmi", &name]).success();
    let wrong = world.soute(["pull", "--creds", "user:wrong-password", &name]);
    wrong.fails(1, &[&name]);
    assert!(
        !wrong.stderr.contains("wrong-password"),
        "the password is shown"
    );
    assert_eq!(stored(&world), [""; 0]);
}

/// Speaks the protocol up to the manifest, which then does not end; counts its bytes.
fn endless_manifest(mut client: TcpStream, sent: &AtomicU64) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // TLS is not spoken.
        if client.read(&mut byte)? == 0 || (head.is_empty() && byte[0] == 0x16) {
            return Ok(());
        }
        head.push(byte[0]);
    }
    if !head.starts_with(b"GET /v2/x/manifests/") {
        return client
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
    let piece = [b' '; 1 << 16];
    // An end after all, for the machine that runs the test.
    while sent.fetch_add(piece.len() as u64, Ordering::Relaxed) < 2 << 30 {
        client.write_all(&piece)?;
    }
    Ok(())
}

/// It costs that command its life, and nobody else anything.
#[test]
fn a_registry_that_sends_without_end() {
    let world = World::new();
    let before = stored(&world);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("{}/x", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let _ = endless_manifest(client.unwrap(), &counter);
        }
    });
    let outcome = world.soute(["pull", &name]);
    assert_ne!(outcome.code, 0, "{outcome}");
    let sent = sent.load(Ordering::Relaxed);
    assert!(
        ((64 << 20)..(1 << 30)).contains(&sent),
        "{sent} bytes: {outcome}"
    );
    // Nor is anything left of it after the next command.
    world.soute(["ps"]).success();
    assert_eq!(stored(&world), before);
}
