//! Whom a registry has to be for its images to be taken: TLS, an administrator's authority, and those who insist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use soute_tests::{Mounted, World, output};

use super::registry::{Guard, Registry};
use super::stored;

/// An authority and the certificate of 127.0.0.1 that it signed.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(world: &World) -> Self {
        let folder = world.path("tls");
        fs::create_dir(&folder).unwrap();
        let authority = Self { folder };
        let key = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        fs::write(authority.file("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        authority.openssl(&format!(
            "{key} -x509 -days 2 -subj /CN=Authority -keyout ca.key -out ca.crt"
        ));
        authority.openssl(&format!(
            "{key} -subj /CN=Server -keyout server.key -out server.csr"
        ));
        authority.openssl(
            "x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out server.crt",
        );
        authority
    }

    fn openssl(&self, words: &str) {
        let mut openssl = Command::new("openssl");
        output(openssl.args(words.split(' ')).current_dir(&self.folder)).success();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn guard(&self) -> Guard {
        Guard::Tls(self.file("server.crt"), self.file("server.key"))
    }
}

/// Installs an authority for a registry, as an administrator does.
fn install(_etc: &Mounted, folder: &str, registry: &str, authority: &Path) {
    let folder = Path::new(folder).join(registry);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(authority, folder.join("ca.crt")).unwrap();
}

#[test]
fn an_authority_that_nobody_knows_is_refused() {
    let world = World::empty();
    let authority = Authority::new(&world);
    let registry = Registry::start(&world, authority.guard());
    registry.push(&world, "app:v1", "trusted");
    let name = registry.name("app:v1");
    let words = [registry.address.to_string(), "certificate".to_owned()];
    let words = words.each_ref().map(String::as_str);
    world.soute(["pull", &name]).fails(1, &words);
    world
        .soute(["pull", "--tls-verify", &name])
        .fails(1, &words);
    world.soute(["run", "--rm", &name]).fails(125, &words);
    assert_eq!(stored(&world), [""; 0]);
    // For those who insist.
    world.soute(["pull", "--tls-verify=false", &name]).success();
    world.soute(["run", "--rm", &name]).prints("trusted");
}

#[test]
fn an_authority_that_is_installed_for_the_registry_is_trusted() {
    for folder in ["/etc/docker/certs.d", "/etc/containers/certs.d"] {
        let world = World::empty();
        let authority = Authority::new(&world);
        let registry = Registry::start(&world, authority.guard());
        registry.push(&world, "app:v1", "trusted");
        let name = registry.name("app:v1");
        let etc = Mounted::changeable(&world, "/etc");
        world.soute(["pull", &name]).fails(1, &["certificate"]);
        let address = registry.address.to_string();
        install(&etc, folder, &address, &authority.file("ca.crt"));
        world.soute(["pull", &name]).success();
        world
            .soute(["run", "--rm", "--pull", "always", &name])
            .prints("trusted");
        drop(etc);
        world.soute(["rmi", &name]).success();
        world.soute(["pull", &name]).fails(1, &["certificate"]);
    }
}

/// One registry's authority is none for another.
#[test]
fn an_authority_is_trusted_for_its_registry_alone() {
    let world = World::empty();
    let authority = Authority::new(&world);
    let registry = Registry::start(&world, authority.guard());
    registry.push(&world, "app:v1", "x");
    let etc = Mounted::changeable(&world, "/etc");
    let certificates = "/etc/docker/certs.d";
    for other in ["127.0.0.1", "127.0.0.1:1", "registry.example"] {
        install(&etc, certificates, other, &authority.file("ca.crt"));
    }
    world
        .soute(["pull", &registry.name("app:v1")])
        .fails(1, &["certificate"]);
    assert_eq!(stored(&world), [""; 0]);
}

/// What goes over the network without TLS can be anybody's.
#[test]
fn a_registry_elsewhere_without_tls_is_for_those_who_insist() {
    let world = World::empty();
    let mut ip = Command::new("ip");
    output(ip.args(["address", "add", "192.0.2.1/32", "dev", "lo"])).success();
    let registry = Registry::start_at(&world, "192.0.2.1", Guard::Open);
    registry.push(&world, "app:v1", "works");
    let name = registry.name("app:v1");
    world
        .soute(["pull", &name])
        .fails(1, &[&registry.address.to_string()]);
    assert_eq!(stored(&world), [""; 0]);
    world.soute(["pull", "--tls-verify=false", &name]).success();
    world.soute(["run", "--rm", &name]).prints("works");
}
