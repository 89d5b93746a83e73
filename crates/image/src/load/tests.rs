//! Archives of all forms, made in memory and by the tools that people use.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

use serde_json::json;

use super::*;
use crate::Silent;
use crate::unpack::tests::{archive, file, folder};

type Files = BTreeMap<String, Vec<u8>>;
/// Compresses a layer, and tells the suffix of its media type.
type Pack<'a> = &'a dyn Fn(&[u8]) -> (Vec<u8>, &'static str);

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn load(store: &Store, archive: &[u8]) -> Result<Vec<Image>, Error> {
    load_for(store, archive, None)
}

fn load_for(
    store: &Store,
    mut archive: &[u8],
    platform: Option<&str>,
) -> Result<Vec<Image>, Error> {
    let options = LoadOptions {
        platform: platform.map(|platform| platform.parse().unwrap()),
        ..LoadOptions::default()
    };
    store.load(LoadSource::Reader(&mut archive), &options, &Silent)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn layer(content: &str) -> Vec<u8> {
    archive(|tar| {
        folder(tar, "etc/");
        file(tar, &format!("etc/{content}"), content.as_bytes());
    })
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .unwrap()
}

fn tarred(files: &Files) -> Vec<u8> {
    archive(|tar| {
        for (name, content) in files {
            file(tar, name, content);
        }
    })
}

/// What `docker save` wrote for a long time.
fn docker_archive(layers: &[Vec<u8>], tags: &[&str]) -> Files {
    let config = config(layers);
    let config_name = format!("{}.json", Digest::of(&config).hex());
    let mut files = Files::new();
    let names: Vec<String> = (0..layers.len())
        .map(|n| format!("{n}/layer.tar"))
        .collect();
    files.extend(names.iter().cloned().zip(layers.iter().cloned()));
    let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
    files.insert(
        "manifest.json".to_owned(),
        manifest.to_string().into_bytes(),
    );
    files.insert(config_name, config);
    files
}

fn add_blob(files: &mut Files, content: Vec<u8>) -> (Digest, usize) {
    let digest = Digest::of(&content);
    let size = content.len();
    files.insert(format!("blobs/sha256/{}", digest.hex()), content);
    (digest, size)
}

fn add_manifest(files: &mut Files, layers: &[Vec<u8>], pack: Pack<'_>) -> serde_json::Value {
    let (config, config_size) = add_blob(files, config(layers));
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| {
            let (packed, suffix) = pack(layer);
            let (digest, size) = add_blob(files, packed);
            json!({"mediaType": format!("application/vnd.oci.image.layer.v1.tar{suffix}"), "digest": digest, "size": size})
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": layers,
    });
    let (digest, size) = add_blob(files, manifest.to_string().into_bytes());
    json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size})
}

fn add_index(files: &mut Files, manifests: &[serde_json::Value]) {
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    files.insert(
        "oci-layout".to_owned(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    );
}

fn oci_archive(layers: &[Vec<u8>], name: &str) -> Files {
    let mut files = Files::new();
    let mut entry = add_manifest(&mut files, layers, &|layer| (gzip(layer), "+gzip"));
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    add_index(&mut files, &[entry]);
    files
}

fn is_empty(store: &Store) -> bool {
    let options = LoadOptions::default();
    // A load sweeps; this one fails at once.
    let _ = store.load(LoadSource::Reader(&mut &b""[..]), &options, &Silent);
    let layers = store.list().unwrap().is_empty()
        && std::fs::read_dir(store.path().join("layers"))
            .unwrap()
            .count()
            == 0;
    layers
        && std::fs::read_dir(store.path().join("blobs/sha256"))
            .unwrap()
            .count()
            == 0
}

#[test]
fn docker_archives() {
    let (_folder, store) = store();
    let layers = [layer("one"), layer("two")];
    let images = load(
        &store,
        &tarred(&docker_archive(&layers, &["app:v1", "h.x/y:z"])),
    )
    .unwrap();
    assert_eq!(images.len(), 1);
    for name in ["app:v1", "h.x/y:z"] {
        let image = store.resolve(name).unwrap();
        assert_eq!(image.layers.len(), 2);
        assert!(image.layers[0].join("etc/one").exists());
        assert!(image.layers[1].join("etc/two").exists());
        assert_eq!(image.config.cmd, ["/bin/sh"]);
    }
    // Again: all is there already.
    load(&store, &tarred(&docker_archive(&layers, &["app:v2"]))).unwrap();
    assert_eq!(store.resolve("app:v2").unwrap().id, images[0].id);
}

#[test]
fn links_stand_for_layers() {
    let (_folder, store) = store();
    let one = layer("one");
    let mut files = docker_archive(&[one.clone(), one.clone()], &["app"]);
    files.remove("1/layer.tar");
    let plain = archive(|tar| {
        for (name, content) in &files {
            file(tar, name, content);
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "1/layer.tar", "../0/layer.tar")
            .unwrap();
    });
    let images = load(&store, &plain).unwrap();
    assert_eq!(images[0].layers.len(), 2);
    assert_eq!(images[0].layers[0], images[0].layers[1]);
}

#[test]
fn archives_compressed_as_a_whole() {
    let layers = [layer("one")];
    let plain = tarred(&docker_archive(&layers, &["app"]));
    for packed in [gzip(&plain), zstd::encode_all(plain.as_slice(), 1).unwrap()] {
        let (folder, store) = store();
        load(&store, &packed).unwrap();
        let path = folder.path().join("archive");
        std::fs::write(&path, &packed).unwrap();
        store
            .load(LoadSource::Path(&path), &LoadOptions::default(), &Silent)
            .unwrap();
        assert!(store.resolve("app").is_ok());
    }
}

#[test]
fn an_archive_that_unpacks_to_too_much() {
    let zeros = archive(|tar| file(tar, "zeros", &vec![0; 8 << 20]));
    let options = LoadOptions {
        limits: Limits {
            ratio_from: 1 << 20,
            ..Limits::default()
        },
        ..LoadOptions::default()
    };
    let packed = zstd::encode_all(zeros.as_slice(), 3).unwrap();
    let (_folder, store) = store();
    let source = LoadSource::Reader(&mut packed.as_slice());
    let message = store.load(source, &options, &Silent).unwrap_err();
    assert!(message.to_string().contains("300 times"), "{message}");
}

#[test]
fn oci_archives_folders_and_all_compressions() {
    let layers = [layer("one"), layer("two")];
    let packings: [Pack<'_>; 3] = [
        &|layer| (layer.to_vec(), ""),
        &|layer| (gzip(layer), "+gzip"),
        &|layer| (zstd::encode_all(layer, 1).unwrap(), "+zstd"),
    ];
    let mut ids = Vec::new();
    for pack in packings {
        let mut files = Files::new();
        let mut entry = add_manifest(&mut files, &layers, pack);
        entry["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:v1"});
        let manifest = entry["digest"].as_str().unwrap().to_owned();
        add_index(&mut files, &[entry]);
        let (folder, store) = store();
        let layout = folder.path().join("layout");
        for (name, content) in &files {
            let path = layout.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        store
            .load(LoadSource::Path(&layout), &LoadOptions::default(), &Silent)
            .unwrap();
        let image = store.resolve("app:v1").unwrap();
        assert_eq!(image.manifest_digest.to_string(), manifest);
        assert!(image.layers[1].join("etc/two").exists());
        assert_eq!(load(&store, &tarred(&files)).unwrap()[0].id, image.id);
        ids.push(image.id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn names_are_taken_where_they_are_names() {
    for (name, reference) in [
        ("app:v1", Some("app:v1")),
        ("quay.io/a/b:c", Some("quay.io/a/b:c")),
        ("latest", None),
    ] {
        let (_folder, store) = store();
        let images = load(&store, &tarred(&oci_archive(&[layer("x")], name))).unwrap();
        let found: Vec<_> = images[0]
            .references
            .iter()
            .map(Reference::familiar)
            .collect();
        assert_eq!(found.first().map(String::as_str), reference, "{name}");
    }
}

#[test]
fn one_platform_of_many() {
    let mut files = Files::new();
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let mut entry = add_manifest(&mut files, &[layer(architecture)], &|layer| {
            (gzip(layer), "+gzip")
        });
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
    }
    entries.push(json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of(b""), "size": 0,
        "platform": {"os": "unknown", "architecture": "unknown"},
    }));
    let index = json!({"schemaVersion": 2, "manifests": entries});
    let (digest, size) = add_blob(&mut files, index.to_string().into_bytes());
    let nested = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size,
        "annotations": {"org.opencontainers.image.ref.name": "app:multi"},
    });
    add_index(&mut files, &[nested]);
    let archive = tarred(&files);
    for architecture in ["arm64", "amd64"] {
        let (_folder, store) = store();
        let platform = format!("linux/{architecture}");
        load_for(&store, &archive, Some(&platform)).unwrap();
        let image = store.resolve("app:multi").unwrap();
        assert!(image.layers[0].join("etc").join(architecture).exists());
    }
    let (_folder, store) = store();
    let error = load_for(&store, &archive, Some("linux/s390x")).unwrap_err();
    assert!(matches!(error, Error::NoPlatform { .. }), "{error}");
}

/// Signatures and the like lie beside images without saying for which platform they are.
#[test]
fn what_is_no_image_is_passed_over() {
    let mut files = Files::new();
    let mut image = add_manifest(&mut files, &[layer("x")], &|layer| (gzip(layer), "+gzip"));
    image["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:v1"});
    let (config, size) = add_blob(&mut files, b"{}".to_vec());
    let signature = json!({
        "schemaVersion": 2, "layers": [],
        "config": {"mediaType": "application/vnd.example+json", "digest": config, "size": size},
    });
    let (digest, size) = add_blob(&mut files, signature.to_string().into_bytes());
    let signature = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
    });
    add_index(&mut files, &[signature.clone(), image.clone()]);
    let (_folder, store) = store();
    assert_eq!(load(&store, &tarred(&files)).unwrap().len(), 1);
    assert!(store.resolve("app:v1").is_ok());
    // One that says that it is an image must be one.
    let mut lying = signature;
    lying["platform"] = json!({"os": "linux", "architecture": Platform::host().architecture});
    add_index(&mut files, &[lying, image]);
    assert!(matches!(
        load(&store, &tarred(&files)),
        Err(Error::UnknownMediaType { .. })
    ));
}

#[test]
fn every_byte_is_verified() {
    let layers = [layer("one"), layer("two")];
    for files in [
        oci_archive(&layers, "app:v1"),
        docker_archive(&layers, &["app:v1"]),
    ] {
        for (name, content) in &files {
            if matches!(name.as_str(), "oci-layout" | "index.json" | "manifest.json") {
                continue;
            }
            // A byte in the middle: of the JSON, or of the layer's content.
            let mut changed = files.clone();
            let mut content = content.clone();
            let middle = content.len() / 2;
            content[middle] ^= 1;
            changed.insert(name.clone(), content);
            let (_folder, store) = store();
            let message = load(&store, &tarred(&changed)).unwrap_err().to_string();
            // The one that was expected, whatever the part is called.
            let expected = Digest::of(&files[name]).hex();
            assert!(message.contains(&expected), "{name}: {message}");
            assert!(is_empty(&store), "{name}");
        }
    }
}

#[test]
fn a_missing_part_is_named() {
    let files = oci_archive(&[layer("one")], "app:v1");
    for name in files.keys().filter(|name| name.starts_with("blobs/")) {
        let mut fewer = files.clone();
        fewer.remove(name);
        let (_folder, store) = store();
        let message = load(&store, &tarred(&fewer)).unwrap_err().to_string();
        assert!(message.contains(name.as_str()), "{message}");
        assert!(is_empty(&store));
    }
}

#[test]
fn truncation_and_garbage_leave_nothing() {
    let whole = tarred(&oci_archive(&[layer("one")], "app:v1"));
    let step = 257;
    let (folder, store) = store();
    let path = folder.path().join("archive");
    for cut in (0..whole.len() - 1024).step_by(step) {
        assert!(load(&store, &whole[..cut]).is_err(), "cut at {cut}");
        std::fs::write(&path, &whole[..cut]).unwrap();
        let result = store.load(LoadSource::Path(&path), &LoadOptions::default(), &Silent);
        assert!(result.is_err(), "file cut at {cut}");
    }
    assert!(is_empty(&store));
    for content in [
        &b"not an archive"[..],
        &[1; 5000],
        &[0; 5000],
        b"\x1f\x8b\x08",
    ] {
        assert!(load(&store, content).is_err());
    }
}

#[test]
fn names_of_parts_do_not_leave_the_archive() {
    let (folder, store) = store();
    std::fs::write(folder.path().join("secret"), "{}").unwrap();
    let secret = folder.path().join("secret").display().to_string();
    for config in [secret.as_str(), "../secret", "../../../../etc/passwd"] {
        let manifest = json!([{"Config": config, "RepoTags": [], "Layers": []}]);
        let files = Files::from([(
            "manifest.json".to_owned(),
            manifest.to_string().into_bytes(),
        )]);
        let message = load(&store, &tarred(&files)).unwrap_err().to_string();
        assert!(message.contains("missing"), "{message}");
    }
    // A folder whose blob is a link out of it.
    let layout = folder.path().join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    std::fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    std::os::unix::fs::symlink(&secret, layout.join("index.json")).unwrap();
    let error = store
        .load(LoadSource::Path(&layout), &LoadOptions::default(), &Silent)
        .unwrap_err();
    assert!(error.to_string().contains("RESOLVE_BENEATH"), "{error}");
}

/// Some kilobytes, compressed, that name the same megabytes over and over.
#[test]
fn lists_without_end() {
    let listed = |config: &str, times: usize| {
        let entry = json!({"Config": config, "RepoTags": [], "Layers": []});
        serde_json::to_vec(&vec![entry; times]).unwrap()
    };
    let large = serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux", "config": {"Labels": {"x": "x".repeat(4 << 20)}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }))
    .unwrap();
    for (manifest, reason) in [
        (listed("missing.json", 1001), "1001 images"),
        (listed("missing.json", 50_000), "50000 images"),
        (listed("large.json", 17), "configurations"),
    ] {
        let files = Files::from([
            ("manifest.json".to_owned(), manifest),
            ("large.json".to_owned(), large.clone()),
        ]);
        let (_folder, store) = store();
        let message = load(&store, &tarred(&files)).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    // The same in an OCI layout: neither its index nor the list beside it is followed to its end.
    let mut files = Files::new();
    let entry = add_manifest(&mut files, &[], &|layer| (gzip(layer), "+gzip"));
    add_index(&mut files, &vec![entry.clone(); 1001]);
    let (_folder, store) = store();
    let message = load(&store, &tarred(&files)).unwrap_err().to_string();
    assert!(message.contains("1001 images"), "{message}");
    add_index(&mut files, &[entry]);
    files.insert("manifest.json".to_owned(), listed("missing.json", 1001));
    let message = load(&store, &tarred(&files)).unwrap_err().to_string();
    assert!(message.contains("1001 images"), "{message}");
}

#[test]
fn a_layer_of_another_type_than_it_says() {
    for (suffix, pack) in [("+gzip", false), ("", true), ("+zstd", true)] {
        let mut files = Files::new();
        let mut entry = add_manifest(&mut files, &[layer("x")], &|layer| {
            (if pack { gzip(layer) } else { layer.to_vec() }, suffix)
        });
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "app:v1"});
        add_index(&mut files, &[entry]);
        let (_folder, store) = store();
        let message = load(&store, &tarred(&files)).unwrap_err().to_string();
        assert!(
            message.contains("media type promises"),
            "{suffix}: {message}"
        );
        assert!(is_empty(&store));
    }
}

/// skopeo reads and writes all forms: what it writes is loaded.
#[test]
fn what_skopeo_writes() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.tar");
    std::fs::write(
        &source,
        tarred(&oci_archive(&[layer("one"), layer("two")], "app:v1")),
    )
    .unwrap();
    for target in [
        "docker-archive:d.tar:app:v1",
        "oci-archive:o.tar:app:v1",
        "oci:layout:app:v1",
    ] {
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet"])
            .arg(format!("oci-archive:{}", source.display()))
            .arg(target)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let path = folder.path().join(target.split(':').nth(1).unwrap());
        let store = Store::open(
            &folder
                .path()
                .join(format!("store-{}", path.file_name().unwrap().display())),
        )
        .unwrap();
        store
            .load(LoadSource::Path(&path), &LoadOptions::default(), &Silent)
            .unwrap();
        let image = store.resolve("app:v1").unwrap();
        assert!(image.layers[1].join("etc/two").exists(), "{target}");
    }
}
