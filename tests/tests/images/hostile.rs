//! Archives that must not be taken: each is refused with its reason, and nothing is left of it.

use std::fs;

use serde_json::json;
use soute_tests::World;

use super::stored;
use soute_tests::make::{Parts, Tar, archive, digest, gzip, oci};

/// Imports it, which must fail for `reason`.
#[track_caller]
fn refused(world: &World, tar: Vec<u8>, reason: &str) {
    let path = world.path("hostile.tar");
    fs::write(&path, tar).unwrap();
    world
        .soute(["import", path.to_str().unwrap(), "hostile"])
        .fails(1, &[reason]);
    assert_eq!(stored(world), [""; 0], "{reason}");
}

#[test]
fn ways_out_of_the_layer() {
    let world = World::empty();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let out = outside.to_str().unwrap();
    for (tar, reason) in [
        (Tar::new().file("../outside/x", b""), "\"..\""),
        (Tar::new().file("a/../../outside/x", b""), "\"..\""),
        (Tar::new().file("/../etc/soute-test", b""), "\"..\""),
        (Tar::new().pax("path", "a/../../x").file("x", b""), "\"..\""),
        (
            Tar::new().symlink("l", out).file("l/x", b""),
            "not a folder",
        ),
        (
            Tar::new()
                .symlink("l", "../../../../../..")
                .symlink("m", &format!("l{out}"))
                .file("m/x", b""),
            "not a folder",
        ),
        (Tar::new().symlink("l", out).folder("l/x/"), "not a folder"),
        (
            Tar::new().symlink("l", out).file("l/.wh.secret", b""),
            "not a folder",
        ),
        (
            Tar::new().symlink("l", out).hard_link("h", "l/secret"),
            "not in this layer",
        ),
        (
            Tar::new().hard_link("h", &format!("..{out}/secret")),
            "\"..\"",
        ),
        (
            Tar::new().hard_link("h", &format!("{out}/secret")),
            "not in this layer",
        ),
        (Tar::new().symlink("./", out), "root of a layer"),
    ] {
        refused(&world, tar.end(), reason);
    }
    let there: Vec<_> = fs::read_dir(&outside).unwrap().collect();
    assert_eq!(there.len(), 1);
    assert_eq!(
        fs::read_to_string(outside.join("secret")).unwrap(),
        "secret"
    );
    assert!(!std::path::Path::new("/etc/soute-test").exists());
}

/// An absolute path begins at the layer's root: what Nix builds has no other.
#[test]
fn absolute_paths_are_the_images() {
    let world = World::empty();
    let busybox = soute_tests::World::busybox_tar();
    let mut base = Tar::new()
        .folder("/nix/")
        .file("/nix/soute-test", b"inside")
        .end();
    let end = base.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    base.truncate(end.next_multiple_of(512));
    base.extend(fs::read(busybox).unwrap());
    let path = world.path("absolute.tar");
    fs::write(&path, base).unwrap();
    world
        .soute(["import", path.to_str().unwrap(), "absolute"])
        .success();
    world
        .soute(["run", "--rm", "absolute", "cat", "/nix/soute-test"])
        .success()
        .shows("inside");
    assert!(!std::path::Path::new("/nix/soute-test").exists());
}

/// A device is made as the archive says, and of no use: not to the container, not to anybody else.
#[test]
fn devices_and_set_user_id_programs() {
    let world = World::empty();
    let mut base = fs::read(World::busybox_tar()).unwrap();
    let end = base.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    base.truncate(end.next_multiple_of(512));
    let device = Tar::new().exactly(b'3', "kmsg", "", 0, (1, 11), b"").end();
    base.extend(device);
    fs::write(world.path("base.tar"), base).unwrap();
    world
        .soute([
            "import",
            world.path("base.tar").to_str().unwrap(),
            "devices",
        ])
        .success();
    let script = "test -c /kmsg && head -c 1 /kmsg";
    world
        .soute(["run", "--rm", "devices", "sh", "-c", script])
        .fails(1, &["ermission denied"]);
    // Nobody but root gets near the layers.
    use std::os::unix::fs::MetadataExt as _;
    let mode = fs::metadata(world.root().join("layers")).unwrap().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn entries_that_mean_mischief() {
    let world = World::empty();
    let whiteout_device = Tar::new().exactly(b'3', "x", "", 0, (0, 0), b"");
    let inner = Tar::new().file("smuggled", b"x").end();
    let size = inner.len().to_string();
    let two_sizes = Tar::new()
        .pax("size", &size)
        .exactly(b'0', "x", "", 0, (0, 0), &inner);
    for (tar, reason) in [
        (whiteout_device, "whiteout"),
        (Tar::new().file(".wh.", b""), "whiteout"),
        (Tar::new().file(".wh...", b""), "whiteout"),
        (Tar::new().file(".wh..wh.plnk", b""), "whiteout"),
        (Tar::new().file(".wh.x", b"full"), "whiteout"),
        (Tar::new().folder(".wh.x/"), "whiteout"),
        (two_sizes, "ustar header"),
        (
            Tar::new()
                .pax("SCHILY.xattr.trusted.overlay.opaque", "y")
                .folder("d/"),
            "extended attribute",
        ),
        (
            Tar::new()
                .pax("SCHILY.xattr.user.overlay.redirect", "/")
                .folder("d/"),
            "extended attribute",
        ),
        (
            Tar::new().pax("uid", "4294967295").file("x", b""),
            "valid id",
        ),
        (Tar::new().entry(b'Z', "x", "", b""), "entry type"),
        (Tar::new().file(&"a/".repeat(49), b""), "slash"),
        (
            Tar::new().pax("path", &"a/".repeat(700)).folder("x"),
            "too deep",
        ),
    ] {
        refused(&world, tar.end(), reason);
    }
}

#[test]
fn cut_or_padded_or_no_archive_at_all() {
    let world = World::empty();
    let whole = Tar::new().file("f", &[7; 5000]).end();
    for cut in [1, 511, 512, 3000, whole.len() - 1024, whole.len() - 512] {
        refused(&world, whole[..cut].to_vec(), "truncated");
    }
    refused(&world, Vec::new(), "truncated");
    refused(&world, Tar::new().file("f", b"").cut(), "truncated");
    let packed = gzip(&whole);
    refused(&world, packed[..packed.len() - 5].to_vec(), "truncated");
    refused(
        &world,
        [&whole[..], b"more"].concat(),
        "something other than zeros",
    );
    refused(&world, b"#!/bin/sh\n".repeat(100), "not a valid tar");
    refused(
        &world,
        [&packed[..], b"more than a header"].concat(),
        "gzip",
    );
}

/// A kilobyte that unpacks to a gigabyte and more.
#[test]
fn a_layer_bomb() {
    let world = World::empty();
    let script = "mkdir bomb && truncate -s 3G bomb/zeros && tar c bomb | zstd -q -1 > hostile.tar && rm -r bomb";
    let mut sh = std::process::Command::new("sh");
    soute_tests::output(sh.args(["-c", script]).current_dir(world.path(""))).success();
    let bomb = fs::read(world.path("hostile.tar")).unwrap();
    assert!(bomb.len() < 4 << 20);
    refused(&world, bomb, "layer bomb");
}

/// Loads it, which must fail with all of `reasons` in the message.
#[track_caller]
fn not_loaded(world: &World, parts: &Parts, reasons: &[&str]) {
    let path = world.path("hostile.tar");
    fs::write(&path, archive(parts)).unwrap();
    world
        .soute(["load", "--input", path.to_str().unwrap()])
        .fails(1, reasons);
    assert_eq!(stored(world), [""; 0], "{reasons:?}");
}

/// What a blob of an archive is, by the first words of its JSON.
fn kind(blob: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde_json::Value>(blob) {
        Err(_) => "layer",
        Ok(json) if json.get("layers").is_some() => "manifest",
        Ok(_) => "configuration",
    }
}

#[test]
fn image_archives_that_lie() {
    let world = World::empty();
    let layer = Tar::new().file("f", b"content").end();
    let good = oci(&[&layer], &json!({"Cmd": ["/f"]}), "hostile:v1");
    let blob = |content: &[u8]| format!("blobs/sha256/{}", &digest(content)[7..]);
    let packed = blob(&gzip(&layer));

    // Another layer, manifest or configuration under the digest.
    for (name, content) in good.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        let hex = name.rsplit('/').next().unwrap();
        let mut parts = good.clone();
        let changed = parts.get_mut(name).unwrap();
        changed[content.len() / 2] ^= 1;
        not_loaded(&world, &parts, &[kind(content), hex]);
        let mut parts = good.clone();
        parts.remove(name);
        not_loaded(&world, &parts, &["missing", name]);
    }
    // A layer of the right digest but another content than the configuration says.
    let other = Tar::new().file("f", b"other").end();
    let mut lying = oci(&[&other], &json!({}), "hostile:v1");
    let manifest = lying
        .iter()
        .find(|(_, content)| {
            content.starts_with(b"{\"config\"") || content.windows(8).any(|w| w == b"\"layers\"")
        })
        .map(|(name, _)| name.clone())
        .unwrap();
    lying.remove(&manifest);
    // The manifest of `good`, whose layer is replaced by that of `lying`, and its digests made right.
    let text = good
        .values()
        .find_map(|content| {
            let value: serde_json::Value = serde_json::from_slice(content).ok()?;
            value.get("layers")?.as_array()?;
            Some(value)
        })
        .unwrap();
    let mut forged = text;
    forged["layers"][0]["digest"] = json!(digest(&gzip(&other)));
    forged["layers"][0]["size"] = json!(gzip(&other).len());
    let forged = forged.to_string().into_bytes();
    let mut parts = good.clone();
    parts.insert(blob(&gzip(&other)), gzip(&other));
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(&forged), "size": forged.len(),
    }]});
    parts.insert(blob(&forged), forged);
    parts.insert("index.json".to_owned(), index.to_string().into_bytes());
    not_loaded(
        &world,
        &parts,
        &["uncompressed layer", &digest(&layer), &digest(&other)],
    );

    // Types that are unknown, or not what the content is.
    let with_type = |media_type: &str| {
        let (name, content) = good
            .iter()
            .find(|(_, content)| content.windows(10).any(|w| w == b"layer.v1.t"))
            .unwrap();
        let text = String::from_utf8(content.clone()).unwrap();
        let changed = text.replace("application/vnd.oci.image.layer.v1.tar+gzip", media_type);
        let mut parts = good.clone();
        parts.remove(name);
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(changed.as_bytes()), "size": changed.len(),
        }]});
        parts.insert(blob(changed.as_bytes()), changed.into_bytes());
        parts.insert("index.json".to_owned(), index.to_string().into_bytes());
        parts
    };
    not_loaded(
        &world,
        &with_type("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
        &["unknown media type"],
    );
    not_loaded(&world, &with_type("text/plain"), &["unknown media type"]);
    not_loaded(
        &world,
        &with_type("application/vnd.oci.image.layer.v1.tar+zstd"),
        &["media type promises"],
    );
    assert!(good.contains_key(&packed));

    // Parts that are elsewhere.
    let manifest = json!([{"Config": "../../../../etc/passwd", "RepoTags": null, "Layers": []}]);
    let parts = Parts::from([(
        "manifest.json".to_owned(),
        manifest.to_string().into_bytes(),
    )]);
    not_loaded(&world, &parts, &["missing"]);
    not_loaded(
        &world,
        &Parts::from([("x".to_owned(), Vec::new())]),
        &["neither"],
    );
    // The good one is good.
    fs::write(world.path("good.tar"), archive(&good)).unwrap();
    world
        .soute(["load", "-i", world.path("good.tar").to_str().unwrap()])
        .success();
}
