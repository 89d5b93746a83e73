use super::*;
use crate::error::Cause;
use crate::unpack::tests::{archive, file, folder};
use crate::{ImportOptions, Silent};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a/b")).unwrap();
    (folder, store)
}

fn import(store: &Store, name: &str, content: &str) -> Image {
    let tar = archive(|tar| {
        folder(tar, "etc/");
        file(tar, "etc/content", content.as_bytes());
    });
    let options = ImportOptions {
        reference: Some(Reference::parse(name).unwrap()),
        changes: vec!["CMD [\"/bin/true\"]".to_owned()],
        ..ImportOptions::default()
    };
    store.import(tar.as_slice(), &options, &Silent).unwrap()
}

#[allow(clippy::unnecessary_wraps, reason = "it is an `InUse`")]
fn unused(_: &ImageId) -> Result<Vec<String>, Cause> {
    Ok(Vec::new())
}

/// All names below the store, except locks.
fn everything(store: &Store) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![store.root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            let path = entry.path();
            all.push(
                path.strip_prefix(&store.root)
                    .unwrap()
                    .display()
                    .to_string(),
            );
        }
    }
    all.retain(|path| path != LOCK);
    all.sort();
    all
}

#[test]
fn what_was_imported_is_found_by_each_of_its_names() {
    let (_folder, store) = store();
    assert!(matches!(
        store.resolve("app"),
        Err(Error::NoSuchImage { .. })
    ));
    assert!(matches!(
        store.resolve("abc123"),
        Err(Error::NoSuchImage { .. })
    ));
    assert!(store.list().unwrap().is_empty());
    let image = import(&store, "app:v1", "1");
    for name in [
        "app:v1".to_owned(),
        "docker.io/library/app:v1".to_owned(),
        image.id.hex(),
        image.id.to_string(),
        image.id.short(),
        image.id.hex()[..3].to_owned(),
    ] {
        let found = store.resolve(&name).unwrap();
        assert_eq!(
            (found.id, found.layers.clone()),
            (image.id, image.layers.clone()),
            "{name}"
        );
    }
    assert!(matches!(
        store.resolve("app"),
        Err(Error::NoSuchImage { .. })
    ));
    assert!(matches!(
        store.resolve("APP"),
        Err(Error::BadReference { .. })
    ));
    assert_eq!(image.config.cmd, ["/bin/true"]);
    assert!(image.layers[0].is_absolute());
    let content = std::fs::read_to_string(image.layers[0].join("etc/content")).unwrap();
    assert_eq!(content, "1");
    // The blobs are what their names say, and the manifest names the configuration.
    let manifest = store.blob(&image.manifest_digest).unwrap().unwrap();
    assert!(
        String::from_utf8(manifest)
            .unwrap()
            .contains(&image.id.to_string())
    );
    assert!(store.blob(&image.id).unwrap().is_some());
}

#[test]
fn an_id_prefix_that_several_images_share_names_them() {
    let (_folder, store) = store();
    // Seventeen images: two of them begin with the same digit.
    let ids: Vec<String> = (0..17)
        .map(|n| import(&store, &format!("app:{n}"), &n.to_string()).id.hex())
        .collect();
    let first = |id: &String| id[..1].to_owned();
    let shared = ids
        .iter()
        .map(first)
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1)
        .unwrap();
    match store.resolve(&shared) {
        Err(Error::Ambiguous { candidates, .. }) => {
            assert!(candidates.len() > 1 && candidates.iter().all(|c| c.starts_with(&shared)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_name_takes_the_image_and_its_own_layers_along() {
    let (_folder, store) = store();
    let empty = {
        store.lay_out().unwrap();
        everything(&store)
    };
    let one = import(&store, "one", "same");
    let two = import(&store, "two", "same");
    assert_ne!(one.id, two.id, "made at different times");
    assert_eq!(one.layers, two.layers);
    store
        .tag("one", &Reference::parse("uno:x").unwrap())
        .unwrap();
    assert_eq!(store.inspect("one").unwrap().references.len(), 2);

    let removed = store.remove("one", false, &unused).unwrap();
    assert_eq!((removed.untagged.len(), removed.image), (1, None));
    assert!(store.resolve("one").is_err());
    let removed = store.remove("uno:x", false, &unused).unwrap();
    assert_eq!((removed.image, removed.layers), (Some(one.id), vec![]));
    assert!(two.layers[0].join("etc/content").exists());
    let removed = store.remove(&two.id.short(), false, &unused).unwrap();
    assert_eq!(
        (removed.image, removed.layers),
        (Some(two.id), two.diff_ids)
    );
    assert_eq!(everything(&store), empty);
}

#[test]
fn an_image_in_use_stays() {
    let (_folder, store) = store();
    let image = import(&store, "app", "1");
    let used = |_: &ImageId| Ok(vec!["happy_turing".to_owned()]);
    let error = store.remove("app", false, &used).unwrap_err();
    assert!(error.to_string().contains("happy_turing"), "{error}");
    assert!(store.resolve("app").is_ok());
    let removed = store.remove("app", true, &used).unwrap();
    assert_eq!((removed.untagged.len(), removed.image), (1, None));
    assert!(store.resolve(&image.id.hex()).is_ok());
}

#[test]
fn an_image_whose_users_are_not_known_stays() {
    let (_folder, store) = store();
    import(&store, "app", "1");
    let before = everything(&store);
    for force in [false, true] {
        let error = store.remove("app", force, &|_| Err("no list".into()));
        assert!(matches!(error, Err(Error::UsersUnknown { .. })));
        assert_eq!(everything(&store), before);
    }
}

#[test]
fn several_names_are_removed_by_id_only_by_force() {
    let (_folder, store) = store();
    let image = import(&store, "app", "1");
    store
        .tag("app", &Reference::parse("app:two").unwrap())
        .unwrap();
    let id = image.id.hex();
    assert!(matches!(
        store.remove(&id, false, &unused),
        Err(Error::SeveralNames { .. })
    ));
    let removed = store.remove(&id, true, &unused).unwrap();
    assert_eq!((removed.untagged.len(), removed.image), (2, Some(image.id)));
}

#[test]
fn a_name_moves_to_the_image_that_gets_it_last() {
    let (_folder, store) = store();
    let old = import(&store, "app", "1");
    let new = import(&store, "app", "2");
    assert_eq!(store.resolve("app").unwrap().id, new.id);
    assert!(store.resolve(&old.id.hex()).is_ok());
    let list = store.list().unwrap();
    let names: Vec<usize> = list.iter().map(|image| image.references.len()).collect();
    assert_eq!(names, [1, 0]);
}

#[test]
fn a_failed_import_leaves_nothing() {
    let (_folder, store) = store();
    store.lay_out().unwrap();
    let before = everything(&store);
    let whole = archive(|tar| file(tar, "a", &[7; 100_000]));
    let options = ImportOptions::default();
    for cut in [0, 1, 511, 512, 700, 100_000, whole.len() - 1024] {
        let error = store.import(&whole[..cut], &options, &Silent).unwrap_err();
        assert!(error.to_string().contains("truncated"), "{cut}: {error}");
        assert_eq!(everything(&store), before, "{cut}");
    }
}

#[test]
fn what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not() {
    let (_folder, store) = store();
    let image = import(&store, "app", "1");
    let before = everything(&store);
    let layers = store.root.join("layers");
    std::fs::create_dir_all(layers.join(".tmp-1-0/0/fs/deep")).unwrap();
    std::fs::create_dir_all(layers.join("ab".repeat(32)).join("fs")).unwrap();
    std::fs::write(store.root.join("images/.tmp-1-0"), "half").unwrap();
    std::fs::write(store.root.join("blobs/sha256").join("cd".repeat(32)), "x").unwrap();
    let alive = store.layers().unwrap().stage().unwrap();
    store.sweep().unwrap();
    assert_eq!(everything(&store).len(), before.len() + 1);
    drop(alive);
    assert_eq!(everything(&store), before);
    assert!(store.resolve(&image.id.hex()).is_ok());
}

/// A sweeper keeps its hands off what a living maker holds, at any moment.
#[test]
fn sweepers_and_makers_at_once() {
    let (_folder, store) = store();
    store.lay_out().unwrap();
    let layers = store.layers().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..300).for_each(|_| layers.sweep().unwrap()));
            scope.spawn(|| {
                for _ in 0..300 {
                    let staging = layers.stage().unwrap();
                    let limits = crate::unpack::Limits::default();
                    let reading = crate::unpack::Reading {
                        compression: None,
                        marked_end: true,
                        limits: &limits,
                    };
                    let tar = archive(|tar| folder(tar, "d/"));
                    let unpacked = staging.unpack(tar.as_slice(), &reading, &mut |_| {});
                    unpacked.unwrap();
                }
            });
        }
    });
    assert_eq!(
        everything(&store),
        [
            "blobs",
            "blobs/sha256",
            "images",
            "images/references",
            "layers"
        ]
    );
}

#[test]
fn the_builtin_image_is_made_once_per_version_and_gives_way_to_the_users() {
    let (_folder, store) = store();
    let layer = archive(|tar| file(tar, "hello", b"program"));
    let config = ImageConfig {
        cmd: vec!["/hello".to_owned()],
        ..ImageConfig::default()
    };
    let builtin = |version| Builtin {
        name: "hello",
        layer: &layer,
        config: &config,
        version,
    };
    let first = store.ensure_builtin(&builtin("1")).unwrap();
    let inode = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).unwrap().ino()
    };
    let made = inode(&store.root.join(format!("images/{}.json", first.id.hex())));
    assert_eq!(store.ensure_builtin(&builtin("1")).unwrap().id, first.id);
    assert_eq!(
        inode(&store.root.join(format!("images/{}.json", first.id.hex()))),
        made,
        "it was not written again"
    );
    let other = archive(|tar| file(tar, "hello", b"newer"));
    let newer = Builtin {
        layer: &other,
        ..builtin("2")
    };
    let second = store.ensure_builtin(&newer).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(store.resolve("hello").unwrap().id, second.id);
    let users = import(&store, "hello", "mine");
    assert_eq!(store.ensure_builtin(&builtin("3")).unwrap().id, users.id);
}

#[test]
fn a_pin_keeps_images_until_it_is_dropped() {
    let (_folder, store) = store();
    import(&store, "app", "1");
    let pin = store.pin().unwrap();
    let root = store.root.clone();
    let remover =
        std::thread::spawn(move || Store::open(&root).unwrap().remove("app", false, &unused));
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!remover.is_finished());
    assert!(store.resolve("app").is_ok());
    drop(pin);
    assert!(remover.join().unwrap().unwrap().image.is_some());
}

#[test]
fn a_damaged_blob_is_noticed() {
    let (_folder, store) = store();
    let image = import(&store, "app", "1");
    let path = store.root.join("blobs/sha256").join(image.id.hex());
    std::fs::write(path, "{}").unwrap();
    assert!(matches!(
        store.blob(&image.id),
        Err(Error::WrongDigest { .. })
    ));
}
