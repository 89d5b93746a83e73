//! Pulls from a real registry, kind and unkind.
//!
//! Needs root (layers have owners), and docker-registry, skopeo and openssl of Debian.

mod fixture;
mod proxy;

use std::sync::Mutex;

use fixture::{Guard, PASSWORD, Registry, USER, assert_empty, layout, store};
use proxy::{Proxy, Rule};
use soute_image::{
    Credentials, Digest, Error, Image, LayerState, Progress, PullOptions, Pulled, Reference,
    Silent, Store, Tls,
};

const SIZE: usize = 300_000;

/// Anonymous: what the person running the tests is logged in to is no concern of theirs.
fn options() -> PullOptions {
    PullOptions {
        credentials: Credentials::Anonymous,
        ..PullOptions::default()
    }
}

fn pull(store: &Store, name: &str, options: &PullOptions) -> Result<Pulled, Error> {
    store.pull(&Reference::parse(name).unwrap(), options, &Silent)
}

fn host() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn assert_complete(image: &Image, architecture: &str) {
    assert_eq!(image.architecture, architecture);
    assert_eq!(image.config.cmd, ["/bin/sh"]);
    for (layer, name) in std::iter::zip(&image.layers, ["common", architecture]) {
        let content = std::fs::metadata(layer.join("files").join(name)).unwrap();
        assert_eq!(content.len(), SIZE as u64);
    }
}

/// Remembers what it hears.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn layer(&self, _: &Digest, state: LayerState<'_>) {
        let word = format!("{state:?}")
            .split([' ', '{'])
            .next()
            .unwrap()
            .to_owned();
        self.0.lock().unwrap().push(word);
    }

    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Heard {
    fn count(&self, word: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|heard| *heard == word)
            .count()
    }
}

#[test]
fn an_image_by_tag_and_by_digest() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "a/app:v1");
    let (_folder, store) = store();
    let reference = Reference::parse(&registry.name("a/app:v1")).unwrap();
    let heard = Heard::default();
    let first = store.pull(&reference, &options(), &heard).unwrap();
    assert!(first.changed);
    assert_complete(&first.image, host());
    assert_eq!(
        (
            heard.count("Waiting"),
            heard.count("Done"),
            heard.count("Exists")
        ),
        (2, 2, 0)
    );
    assert_eq!(first.image.manifest_digest, first.digest);
    let manifest = store.blob(&first.digest).unwrap().unwrap();
    assert_eq!(Digest::of(&manifest), first.digest);

    let heard = Heard::default();
    let again = store.pull(&reference, &options(), &heard).unwrap();
    assert!(!again.changed);
    assert_eq!(heard.count("Exists"), 2);

    let by_digest = reference.with_digest(first.digest);
    assert_eq!(
        store.resolve(&by_digest.to_string()).unwrap().id,
        first.image.id
    );
    let removed = store
        .remove(&reference.to_string(), false, &|_| Ok(Vec::new()))
        .unwrap();
    assert_eq!((removed.untagged.len(), removed.layers.len()), (2, 2));
    assert_empty(&store);
    let third = store.pull(&by_digest, &options(), &Silent).unwrap();
    assert_eq!(third.image.id, first.image.id);
    assert_eq!(third.image.references, [by_digest]);
}

#[test]
fn what_is_not_there() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    let (_folder, store) = store();
    let zeros = format!("app@sha256:{}", "0".repeat(64));
    for name in ["app:v2", "other", "a/b/c", zeros.as_str()] {
        let error = pull(&store, &registry.name(name), &options()).unwrap_err();
        assert!(
            matches!(error, Error::NotInRegistry { .. }),
            "{name}: {error}"
        );
    }
    // Nobody listens there.
    let error = pull(&store, "127.0.0.1:1/app", &options()).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert_empty(&store);
}

#[test]
fn a_password() {
    let registry = Registry::start(Guard::Password);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    let (_folder, store) = store();
    let name = registry.name("app:v1");
    let with = |password: &str| PullOptions {
        credentials: Credentials::Basic {
            username: USER.to_owned(),
            password: password.to_owned(),
        },
        ..options()
    };
    for options in [options(), with("wrong")] {
        let error = pull(&store, &name, &options).unwrap_err();
        assert!(matches!(error, Error::NotInRegistry { .. }), "{error}");
    }
    assert_empty(&store);
    assert_complete(&pull(&store, &name, &with(PASSWORD)).unwrap().image, host());
}

#[test]
fn a_token() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    let proxy = Proxy::start(registry.address, Rule::Token);
    let (_folder, store) = store();
    let name = format!("{}/app:v1", proxy.address);
    assert!(pull(&store, &name, &options()).is_err());
    assert_empty(&store);
    let options = PullOptions {
        credentials: Credentials::Basic {
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
        },
        ..options()
    };
    assert_complete(&pull(&store, &name, &options).unwrap().image, host());
    // Manifest, configuration and a layer: the token ends before the last layer.
    let proxy = Proxy::start(registry.address, Rule::TokenFor(3));
    let (_folder, store) = fixture::store();
    let name = format!("{}/app:v1", proxy.address);
    assert_complete(&pull(&store, &name, &options).unwrap().image, host());
    let tokens = proxy
        .counts
        .tokens
        .load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(tokens, 2);
    // One that is good for nothing is not asked for without end.
    let proxy = Proxy::start(registry.address, Rule::TokenFor(0));
    let (_folder, store) = fixture::store();
    let name = format!("{}/app:v1", proxy.address);
    assert!(pull(&store, &name, &options).is_err());
    assert_empty(&store);
}

#[test]
fn certificates() {
    let registry = Registry::start(Guard::Tls);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    let name = registry.name("app:v1");
    let with = |tls| PullOptions { tls, ..options() };
    let (_folder, first) = store();
    let error = pull(&first, &name, &options()).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_empty(&first);
    let trusting = with(Tls {
        authorities: vec![registry.folder.path().join("ca.pem")],
        ..Tls::default()
    });
    assert_complete(&pull(&first, &name, &trusting).unwrap().image, host());
    let (_folder, second) = store();
    let careless = with(Tls {
        verify: false,
        ..Tls::default()
    });
    assert_complete(&pull(&second, &name, &careless).unwrap().image, host());
    // An authority that is none, and a file that is not there.
    for path in ["config.yml", "missing"] {
        let (_folder, third) = store();
        let tls = Tls {
            authorities: vec![registry.folder.path().join(path)],
            ..Tls::default()
        };
        assert!(pull(&third, &name, &with(tls)).is_err(), "{path}");
    }
}

#[test]
fn one_platform_of_many() {
    let registry = Registry::start(Guard::Open);
    let source = layout(registry.folder.path(), &["s390x", "arm64", "amd64"], SIZE);
    registry.push(&source, "app:multi");
    let name = registry.name("app:multi");
    let with = |platform: &str| PullOptions {
        platform: Some(platform.parse().unwrap()),
        ..options()
    };
    let (_folder, store) = store();
    assert_complete(&pull(&store, &name, &options()).unwrap().image, host());
    let other = pull(&store, &name, &with("linux/s390x")).unwrap();
    assert_complete(&other.image, "s390x");
    assert_ne!(
        other.digest, other.image.manifest_digest,
        "the index's digest is shown"
    );
    let message = pull(&store, &name, &with("linux/mips"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("linux/s390x, linux/arm64, linux/amd64"),
        "{message}"
    );
}

#[test]
fn an_image_for_another_machine_is_pulled_with_a_word_unless_one_was_asked_for() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &["s390x"], SIZE), "app:v1");
    let reference = Reference::parse(&registry.name("app:v1")).unwrap();
    let (_folder, store) = store();
    let asked = PullOptions {
        platform: Some(format!("linux/{}", host()).parse().unwrap()),
        ..options()
    };
    assert!(matches!(
        store.pull(&reference, &asked, &Silent),
        Err(Error::NoPlatform { .. })
    ));
    assert_empty(&store);
    let heard = Heard::default();
    store.pull(&reference, &options(), &heard).unwrap();
    assert!(
        heard
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|text| text.contains("is for linux/s390x"))
    );
}

#[test]
fn broken_transfers_go_on_where_they_stopped() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    for rule in [Rule::CutBlobs(90_000), Rule::IgnoreRanges(200_000)] {
        let proxy = Proxy::start(registry.address, rule);
        let (_folder, store) = store();
        let reference = Reference::parse(&format!("{}/app:v1", proxy.address)).unwrap();
        let heard = Heard::default();
        let pulled = store.pull(&reference, &options(), &heard).unwrap();
        assert_complete(&pulled.image, host());
        assert!(heard.count("Retrying") >= 2);
    }
}

#[test]
fn a_transfer_that_brings_nothing_is_given_up() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    // Enough for the configuration, and for the headers of a layer.
    let proxy = Proxy::start(registry.address, Rule::CutBlobs(1200));
    let (_folder, store) = store();
    let name = format!("{}/app:v1", proxy.address);
    let started = std::time::Instant::now();
    // Each attempt brings a little: the number of attempts is bounded too.
    let error = pull(&store, &name, &options()).unwrap_err();
    assert!(matches!(error, Error::Registry { .. }), "{error}");
    assert!(started.elapsed().as_secs() < 60);
    assert!(proxy.counts.blobs.load(std::sync::atomic::Ordering::SeqCst) <= 43);
    assert_empty(&store);
}

#[test]
fn what_the_registry_gives_is_verified() {
    let registry = Registry::start(Guard::Open);
    registry.push(&layout(registry.folder.path(), &[host()], SIZE), "app:v1");
    let name = registry.name("app:v1");
    let (_folder, first) = store();
    let pulled = pull(&first, &name, &options()).unwrap();
    let manifest = first.blob(&pulled.digest).unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let digests = [
        manifest["config"]["digest"].as_str().unwrap(),
        manifest["layers"][0]["digest"].as_str().unwrap(),
        manifest["layers"][1]["digest"].as_str().unwrap(),
    ];
    for digest in digests {
        let path = registry.blob_file(digest);
        let good = std::fs::read(&path).unwrap();
        let mut changed = good.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for bad in [
            &changed[..],
            &good[..good.len() - 1],
            &[&good[..], b"x"].concat(),
        ] {
            std::fs::write(&path, bad).unwrap();
            let (_folder, store) = store();
            let message = pull(&store, &name, &options()).unwrap_err().to_string();
            assert!(
                message.contains(digest),
                "{digest}: {} bytes: {message}",
                bad.len()
            );
            assert_empty(&store);
        }
        std::fs::write(&path, &good).unwrap();
    }
}

/// Pulls and removals of the same images by several processes' worth of stores at once.
#[test]
fn pulls_and_removals_at_once() {
    let registry = Registry::start(Guard::Open);
    let folder = registry.folder.path();
    registry.push(&layout(folder, &[host()], SIZE), "app:one");
    registry.push(&layout(folder, &[host(), "s390x"], SIZE), "app:two");
    let (home, store) = store();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let name = registry.name(["app:one", "app:two"][n % 2]);
            let home = home.path();
            scope.spawn(move || {
                let store = Store::open(home).unwrap();
                for _ in 0..4 {
                    let pulled = pull(&store, &name, &options()).unwrap();
                    assert_eq!(pulled.image.diff_ids.len(), 2);
                    match store.remove(&name, false, &|_| Ok(Vec::new())) {
                        Ok(_) | Err(Error::NoSuchImage { .. }) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
            });
        }
    });
    store.sweep().unwrap();
    assert_empty(&store);
}
