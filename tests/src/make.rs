//! Archives byte by byte, so that they can be wrong.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A tar in the making.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// An entry: type flag, name, link target, content.
    pub fn entry(self, kind: u8, name: &str, target: &str, content: &[u8]) -> Self {
        self.exactly(kind, name, target, content.len(), (0, 0), content)
    }

    /// An entry whose header says what it is told: size and device numbers too.
    pub fn exactly(
        mut self,
        kind: u8,
        name: &str,
        target: &str,
        size: usize,
        (major, minor): (u32, u32),
        content: &[u8],
    ) -> Self {
        let mut header = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, if kind == b'5' { b"0000755" } else { b"0000644" });
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{size:011o}").as_bytes());
        put(136, b"07346545000");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        put(329, format!("{major:07o}").as_bytes());
        put(337, format!("{minor:07o}").as_bytes());
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A regular file.
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name, "", content)
    }

    /// A folder.
    pub fn folder(self, name: &str) -> Self {
        self.entry(b'5', name, "", b"")
    }

    /// A symbolic link.
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name, target, b"")
    }

    /// A further name of `target`.
    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name, target, b"")
    }

    /// An extended header with one record for the next entry.
    pub fn pax(self, key: &str, value: &str) -> Self {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while format!("{length}{rest}").len() != length {
            length += 1;
        }
        self.entry(b'x', "pax", "", format!("{length}{rest}").as_bytes())
    }

    /// With its end marker.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// Without.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }
}

/// `input` through a program.
///
/// # Panics
/// There is none of that name, or it fails.
#[track_caller]
pub fn filter(program: &str, words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    output.stdout
}

/// `input`, compressed.
pub fn gzip(input: &[u8]) -> Vec<u8> {
    filter("gzip", &["-1"], input)
}

/// `sha256:…`
pub fn digest(content: &[u8]) -> String {
    let line = String::from_utf8(filter("sha256sum", &[], content)).unwrap();
    format!("sha256:{}", &line[..64])
}

/// The parts of an image archive, by name.
pub type Parts = BTreeMap<String, Vec<u8>>;

/// The archive of these parts.
pub fn archive(parts: &Parts) -> Vec<u8> {
    let tar = parts
        .iter()
        .fold(Tar::new(), |tar, (name, content)| tar.file(name, content));
    tar.end()
}

/// This machine's processor, as images call it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An OCI archive of one image with gzip layers.
pub fn oci(layers: &[&[u8]], config: &Value, name: &str) -> Parts {
    let mut parts = Parts::new();
    let manifest = image(&mut parts, layers, config, architecture());
    layout(parts, manifest, name)
}

/// An OCI archive of one image for several architectures, of the same layer and with a configuration for each.
pub fn multi_platform(layer: &[u8], configs: &[(&str, Value)], name: &str) -> Parts {
    let mut parts = Parts::new();
    let mut manifests = Vec::new();
    for (architecture, config) in configs {
        let mut manifest = image(&mut parts, &[layer], config, architecture);
        manifest["platform"] = json!({"os": "linux", "architecture": architecture});
        manifests.push(manifest);
    }
    let index = json!({
        "schemaVersion": 2, "manifests": manifests,
        "mediaType": "application/vnd.oci.image.index.v1+json",
    });
    let index = add(&mut parts, "index.v1+json", index.to_string().into_bytes());
    layout(parts, index, name)
}

/// Adds a blob; its descriptor.
fn add(parts: &mut Parts, media_type: &str, content: Vec<u8>) -> Value {
    let digest = digest(&content);
    let descriptor = json!({
        "mediaType": format!("application/vnd.oci.image.{media_type}"),
        "digest": digest, "size": content.len(),
    });
    parts.insert(format!("blobs/sha256/{}", &digest[7..]), content);
    descriptor
}

/// Adds an image; the descriptor of its manifest.
fn image(parts: &mut Parts, layers: &[&[u8]], config: &Value, architecture: &str) -> Value {
    let config = json!({
        "architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>()},
    });
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| add(parts, "layer.v1.tar+gzip", gzip(layer)))
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "layers": layers,
        "config": add(parts, "config.v1+json", config.to_string().into_bytes()),
    });
    add(parts, "manifest.v1+json", manifest.to_string().into_bytes())
}

/// With what makes an archive of the parts, in which `top` is called `name`.
fn layout(mut parts: Parts, mut top: Value, name: &str) -> Parts {
    top["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [top]});
    parts.insert("index.json".to_owned(), index.to_string().into_bytes());
    parts.insert(
        "oci-layout".to_owned(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    );
    parts
}
