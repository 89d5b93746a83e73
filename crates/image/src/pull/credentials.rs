//! Credentials for a registry, from the files that `docker login` and `podman login` write.
//!
//! Looked for, in this order (containers-auth.json(5), and Docker's
//! `config.json`): `$REGISTRY_AUTH_FILE` and then no other; the `containers/auth.json` of the
//! run-time and the configuration folder; `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::{DEFAULT_REGISTRY, Error, Reference};

/// What Docker calls its default registry in `config.json`.
const DEFAULT_REGISTRY_KEY: &str = "index.docker.io/v1";

/// Who pulls.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Whoever logged in by Docker or Podman; nobody in particular if none did.
    #[default]
    Stored,
    /// Nobody in particular.
    Anonymous,
    /// This user.
    Basic {
        /// Name.
        username: String,
        /// Password or access token.
        password: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stored => "Stored",
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic",
        })
    }
}

/// Either kind of file.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Credentials {
    pub(super) fn find(&self, reference: &Reference) -> Result<RegistryAuth, Error> {
        match self {
            Self::Stored => stored(&places(&|name| env::var_os(name)), reference),
            Self::Anonymous => Ok(RegistryAuth::Anonymous),
            Self::Basic { username, password } => {
                Ok(RegistryAuth::Basic(username.clone(), password.clone()))
            }
        }
    }
}

/// The files to look at, whether they are there or not. A file that was named must be there.
fn places(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Vec<(PathBuf, bool)> {
    let folder = |name| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(file) = folder("REGISTRY_AUTH_FILE") {
        return vec![(file, true)];
    }
    let home = folder("HOME");
    let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let run = folder("XDG_RUNTIME_DIR")
        .map(|run| run.join("containers"))
        .or_else(|| Some(format!("/run/containers/{}", rustix::process::getuid().as_raw()).into()));
    let config = folder("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    let docker = folder("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    [
        run.map(|run| run.join("auth.json")),
        config.map(|config| config.join("containers/auth.json")),
        docker.map(|docker| docker.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .map(|path| (path, false))
    .collect()
}

fn stored(places: &[(PathBuf, bool)], reference: &Reference) -> Result<RegistryAuth, Error> {
    for (path, must_exist) in places {
        let bad = |reason: String| Error::Credentials {
            registry: reference.registry().to_owned(),
            path: path.display().to_string(),
            reason,
        };
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(e) if !must_exist && is_absent(&e) => continue,
            Err(e) => return Err(bad(e.to_string())),
        };
        let file: File = serde_json::from_slice(&content).map_err(|e| bad(e.to_string()))?;
        if let Some(auth) = in_file(&file, reference).map_err(bad)? {
            return Ok(auth);
        }
    }
    Ok(RegistryAuth::Anonymous)
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    // `/root/.docker` under sudo without root's rights is as good as absent.
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

/// `None`: the file does not speak of this registry.
fn in_file(file: &File, reference: &Reference) -> Result<Option<RegistryAuth>, String> {
    let keys = keys(reference);
    let helper = |name: &str| {
        format!(
            "they are kept by the program docker-credential-{name}, which is not run; \
             use a login whose credentials are kept in the file"
        )
    };
    for key in &keys {
        let same = |(written, _): &(&String, &String)| normal(written) == *key;
        if let Some((_, name)) = file.cred_helpers.iter().find(same) {
            return Err(helper(name));
        }
        let same = |(written, _): &(&String, &Entry)| normal(written) == *key;
        let Some((_, entry)) = file.auths.iter().find(same) else {
            continue;
        };
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if filled(&entry.identitytoken).is_some() {
            return Err(
                "an identity token is not understood; use a name and an access token".to_owned(),
            );
        }
        if let Some(token) = filled(&entry.registrytoken) {
            return Ok(Some(RegistryAuth::Bearer(token)));
        }
        if let Some(auth) = filled(&entry.auth) {
            return decode(&auth).map(Some);
        }
        // An empty entry is how Docker notes that its store has the secret.
        if let Some(name) = &file.creds_store {
            return Err(helper(name));
        }
    }
    Ok(None)
}

/// What a file may call the registry, the most specific name first: Podman's entries may be for one repository.
fn keys(reference: &Reference) -> Vec<String> {
    let mut keys = Vec::new();
    let mut name = reference.name();
    loop {
        keys.push(name.clone());
        match name.rsplit_once('/') {
            Some((shorter, _)) => name.truncate(shorter.len()),
            None => break,
        }
    }
    if reference.registry() == DEFAULT_REGISTRY {
        keys.push(DEFAULT_REGISTRY_KEY.to_owned());
        keys.push("index.docker.io".to_owned());
    }
    keys
}

/// Docker's keys may be URLs.
fn normal(key: &str) -> &str {
    let key = key.strip_prefix("https://").unwrap_or(key);
    let key = key
        .strip_prefix("http://")
        .unwrap_or(key)
        .trim_end_matches('/');
    match key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")) {
        Some(host) if key != DEFAULT_REGISTRY_KEY => host,
        _ => key,
    }
}

/// Base64 of `name:password`.
fn decode(auth: &str) -> Result<RegistryAuth, String> {
    let bytes = BASE64_STANDARD
        .decode(auth.trim())
        .map_err(|_| "\"auth\" is not base64".to_owned())?;
    let text = String::from_utf8(bytes).map_err(|_| "\"auth\" is not UTF-8".to_owned())?;
    let (name, password) = text
        .split_once(':')
        .ok_or("\"auth\" is not a name and a password")?;
    Ok(RegistryAuth::Basic(
        name.to_owned(),
        password.trim_end_matches('\0').to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_text(text: &str, reference: &str) -> Result<Option<RegistryAuth>, String> {
        let file: File = serde_json::from_str(text).unwrap();
        in_file(&file, &Reference::parse(reference).unwrap())
    }

    fn basic(name: &str, password: &str) -> Option<RegistryAuth> {
        Some(RegistryAuth::Basic(name.to_owned(), password.to_owned()))
    }

    #[test]
    fn registries_by_all_their_names() {
        // "me:se:cret"
        for (key, reference) in [
            ("https://index.docker.io/v1/", "python"),
            ("docker.io", "python"),
            ("docker.io/library/python", "python:3"),
            ("host:5000", "host:5000/a/b"),
            ("https://host:5000/v2/", "host:5000/a/b"),
            ("host:5000/a", "host:5000/a/b"),
        ] {
            let text = format!(r#"{{"auths":{{"{key}":{{"auth":"bWU6c2U6Y3JldA=="}}}}}}"#);
            assert_eq!(
                in_text(&text, reference).unwrap(),
                basic("me", "se:cret"),
                "{key}"
            );
        }
        let text =
            r#"{"auths":{"host:5000/other":{"auth":"bWU6eA=="},"host":{"auth":"bWU6eA=="}}}"#;
        assert_eq!(in_text(text, "host:5000/a").unwrap(), None);
        assert_eq!(in_text("{}", "python").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (text, reason) in [
            (
                r#"{"auths":{"h.x":{}},"credsStore":"pass"}"#,
                "docker-credential-pass",
            ),
            (
                r#"{"credHelpers":{"h.x":"gcloud"}}"#,
                "docker-credential-gcloud",
            ),
            (
                r#"{"auths":{"h.x":{"identitytoken":"t","auth":"bWU6eA=="}}}"#,
                "identity token",
            ),
            (r#"{"auths":{"h.x":{"auth":"%%%"}}}"#, "base64"),
            (
                r#"{"auths":{"h.x":{"auth":"bWU="}}}"#,
                "name and a password",
            ),
        ] {
            let message = in_text(text, "h.x/a").unwrap_err();
            assert!(message.contains(reason), "{message}");
            // Another registry is not concerned.
            assert_eq!(in_text(text, "other.x/a").unwrap(), None);
        }
    }

    #[test]
    fn files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, password: &str| {
            let path = folder.path().join(name);
            let auth = BASE64_STANDARD.encode(format!("me:{password}"));
            std::fs::write(
                &path,
                format!(r#"{{"auths":{{"h.x":{{"auth":"{auth}"}}}}}}"#),
            )
            .unwrap();
            path
        };
        let reference = Reference::parse("h.x/a").unwrap();
        let (first, second) = (file("1", "one"), file("2", "two"));
        let missing = folder.path().join("missing");
        let found = stored(
            &[(missing.clone(), false), (first, false), (second, false)],
            &reference,
        );
        assert_eq!(Some(found.unwrap()), basic("me", "one"));
        assert!(stored(&[(missing.clone(), true)], &reference).is_err());
        assert_eq!(
            stored(&[(missing, false)], &reference).unwrap(),
            RegistryAuth::Anonymous
        );
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "{").unwrap();
        let message = stored(&[(broken, false)], &reference)
            .unwrap_err()
            .to_string();
        assert!(message.contains("broken"), "{message}");

        let named = |name: &str| (name == "REGISTRY_AUTH_FILE").then(|| "/f".into());
        assert_eq!(places(&named), [(PathBuf::from("/f"), true)]);
        let home = |name: &str| (name == "HOME").then(|| "/h".into());
        let paths: Vec<_> = places(&home).into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths[1..],
            ["/h/.config/containers/auth.json", "/h/.docker/config.json"].map(PathBuf::from)
        );
    }
}
