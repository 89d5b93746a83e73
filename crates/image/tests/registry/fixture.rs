//! A registry of one's own (Debian's docker-registry) and images to put in it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use soute_image::{Digest, Store};
use tempfile::TempDir;

pub const USER: &str = "user";
pub const PASSWORD: &str = "secret";
/// Both, as `htpasswd -B` writes them.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// How the registry is guarded.
#[derive(Clone, Copy, PartialEq)]
pub enum Guard {
    Open,
    Password,
    Tls,
}

/// A running registry, gone with its data when dropped.
pub struct Registry {
    process: Child,
    pub folder: TempDir,
    pub address: SocketAddr,
    guard: Guard,
}

impl Registry {
    pub fn start(guard: Guard) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The port is free when asked for; that nobody takes it before the registry does is likely enough.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": at("data")}},
            "http": {"addr": address.to_string()},
        });
        match guard {
            Guard::Open => {}
            Guard::Password => {
                std::fs::write(at("htpasswd"), HTPASSWD).unwrap();
                config["auth"] = json!({"htpasswd": {"realm": "test", "path": at("htpasswd")}});
            }
            Guard::Tls => {
                certificates(folder.path());
                config["http"]["tls"] =
                    json!({"certificate": at("server.pem"), "key": at("server.key")});
            }
        }
        // JSON is YAML.
        std::fs::write(at("config.yml"), config.to_string()).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is in Debian's package of this name");
        let registry = Self {
            process,
            folder,
            address,
            guard,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// `127.0.0.1:PORT/NAME`
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Copies an image (skopeo's notation) into the registry.
    pub fn push(&self, source: &str, name: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
        ]);
        skopeo.arg("--dest-tls-verify=false");
        if self.guard == Guard::Password {
            skopeo.arg(format!("--dest-creds={USER}:{PASSWORD}"));
        }
        let output = skopeo
            .args([source, &format!("docker://{}", self.name(name))])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The file in which the registry keeps a blob.
    pub fn blob_file(&self, digest: &str) -> std::path::PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.folder.path().join(format!(
            "data/docker/registry/v2/blobs/sha256/{}/{hex}/data",
            &hex[..2]
        ))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// An authority and a certificate of 127.0.0.1 that it signed.
fn certificates(folder: &Path) {
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "{key} -x509 -days 2 -subj /CN=Authority -keyout ca.key -out ca.pem"
    ));
    openssl(&format!(
        "{key} -subj /CN=Server -keyout server.key -out server.csr"
    ));
    openssl(
        "x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem",
    );
}

/// A layer with a file of `size` bytes that do not compress well.
pub fn layer(name: &str, size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ name.len() as u64;
    let noise: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(noise.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, format!("files/{name}"), noise.as_slice())
        .unwrap();
    tar.into_inner().unwrap()
}

/// An image for each architecture, each with one layer of its own and a common one, as an OCI folder.
/// With one architecture it is a plain manifest, with more an index.
pub fn layout(folder: &Path, architectures: &[&str], size: usize) -> String {
    let layout = folder.join(format!("layout-{}", architectures.join("-")));
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let blob = |content: &[u8]| {
        let digest = Digest::of(content);
        std::fs::write(layout.join("blobs/sha256").join(digest.hex()), content).unwrap();
        json!({"digest": digest, "size": content.len()})
    };
    let typed = |mut blob: serde_json::Value, media_type: &str| {
        blob["mediaType"] = json!(format!("application/vnd.oci.image.{media_type}"));
        blob
    };
    let mut manifests = Vec::new();
    for architecture in architectures {
        let layers = [layer("common", size), layer(architecture, size)];
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": typed(blob(config.to_string().as_bytes()), "config.v1+json"),
            "layers": layers.map(|layer| typed(blob(&layer), "layer.v1.tar")),
        });
        let mut entry = typed(blob(manifest.to_string().as_bytes()), "manifest.v1+json");
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        manifests.push(entry);
    }
    let mut top = match manifests.as_slice() {
        [one] => one.clone(),
        many => {
            let index = json!({
                "schemaVersion": 2, "manifests": many,
                "mediaType": "application/vnd.oci.image.index.v1+json",
            });
            typed(blob(index.to_string().as_bytes()), "index.v1+json")
        }
    };
    top["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
    let index = json!({"schemaVersion": 2, "manifests": [top]});
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    std::fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    format!("oci:{}:it", layout.display())
}

/// An empty store.
pub fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// Asserts that a failed pull left nothing.
pub fn assert_empty(store: &Store) {
    assert!(store.list().unwrap().is_empty());
    for folder in ["layers", "blobs/sha256", "images/references"] {
        let left: Vec<_> = std::fs::read_dir(store.path().join(folder))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
}
