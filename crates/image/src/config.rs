//! An image's configuration: OCI image-spec, config.md, with Docker's additions.
//!
//! Read and written by types of our own because `oci-spec`'s leave out the
//! health check and write sets in random order, which would give the same
//! image a new id each time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;
use crate::digest::{DiffId, Digest};

/// What an image says about how it wants to be run; the default is silence.
///
/// The JSON form is Docker's (`Env`, `Cmd`, …).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `name|uid[:group|gid]`; empty: root.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// `port[/protocol]`, each.
    #[serde(with = "set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=VALUE`, each.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What the command is appended to; empty: nothing.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The default command, or the entrypoint's default arguments.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Paths in the container that become anonymous volumes.
    #[serde(with = "set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the command starts; empty: `/`.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Names and values that mean nothing to the engine.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// A signal's name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How to see whether the container is well (Docker's addition).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The shell that the shell form of commands uses (Docker's addition).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// Docker's `Healthcheck`; times in nanoseconds, 0: Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `[]`: inherited, `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    #[serde(deserialize_with = "nullable")]
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: u64,
    /// Until a check counts as failed.
    pub timeout: u64,
    /// During which failures do not count.
    pub start_period: u64,
    /// Between two checks during the start period.
    pub start_interval: u64,
    /// Failures in a row until the container counts as unhealthy.
    pub retries: u32,
}

/// The configuration file of an image; its digest is the image's id.
///
/// Fields that the engine has no use for are kept in the blob, not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Go's name of the processor, `amd64`.
    pub architecture: String,
    /// Its variant, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Go's name of the operating system, `linux`.
    pub os: String,
    /// How to run it.
    #[serde(default, deserialize_with = "nullable")]
    pub config: ImageConfig,
    /// What it is made of.
    pub rootfs: RootFs,
    /// How it came to be; one entry per layer and per empty step.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<History>,
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<DiffId>,
}

/// One step of how an image came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// What its author said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// It made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ConfigFile {
    /// The configuration of an image for this machine, made now, of the given layers.
    pub fn of_layers(config: ImageConfig, diff_ids: Vec<DiffId>) -> Self {
        let host = crate::Platform::host();
        Self {
            created: None,
            architecture: host.architecture,
            variant: None,
            os: host.os,
            config,
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids,
            },
            history: Vec::new(),
        }
    }

    /// Parses `content`, and checks what can be checked without the layers.
    ///
    /// # Errors
    /// [`Error::Json`], or [`Error::BadConfig`] naming the field.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        let file: Self = serde_json::from_slice(content).map_err(|source| Error::Json {
            what: format!("image configuration {}", Digest::of(content)),
            source,
        })?;
        file.check(content)?;
        Ok(file)
    }

    fn check(&self, content: &[u8]) -> Result<(), Error> {
        let bad = |field, reason: String| Error::BadConfig {
            image: Digest::of(content),
            field,
            reason,
        };
        if self.rootfs.kind != "layers" {
            return Err(bad(
                "rootfs.type",
                format!("{:?} is not \"layers\"", self.rootfs.kind),
            ));
        }
        if self.os != "linux" {
            return Err(bad(
                "os",
                format!("{:?}: only linux images can be used", self.os),
            ));
        }
        if let Some(created) = &self.created {
            created
                .parse::<jiff::Timestamp>()
                .map_err(|e| bad("created", e.to_string()))?;
        }
        let config = &self.config;
        // These end up as C strings or as lines of files; NUL would cut them short.
        let lists = [
            ("config.Env", &config.env),
            ("config.Cmd", &config.cmd),
            ("config.Entrypoint", &config.entrypoint),
        ];
        for (field, list) in lists {
            if let Some(text) = list.iter().find(|text| text.contains('\0')) {
                return Err(bad(field, format!("{text:?} has a NUL")));
            }
        }
        if let Some(text) = config
            .env
            .iter()
            .find(|text| text.is_empty() || text.starts_with('='))
        {
            return Err(bad("config.Env", format!("{text:?} has no name")));
        }
        for (field, text) in [
            ("config.User", &config.user),
            ("config.WorkingDir", &config.working_dir),
        ] {
            if text.contains('\0') {
                return Err(bad(field, format!("{text:?} has a NUL")));
            }
        }
        if let Some(path) = config
            .volumes
            .iter()
            .find(|path| !path.starts_with('/') || path.contains('\0'))
        {
            return Err(bad(
                "config.Volumes",
                format!("{path:?} is not an absolute path"),
            ));
        }
        Ok(())
    }
}

/// Go writes an empty list, map or string as `null` here and there.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's way of writing a set: an object whose values are `{}`.
mod set {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Nothing {}

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|key| (key, Nothing {})))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map: Option<BTreeMap<String, Option<Nothing>>> = Option::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOTFS: &str =
        r#""architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}"#;

    fn parse(config: &str) -> Result<ImageConfig, Error> {
        ConfigFile::parse(format!(r#"{{{ROOTFS},"config":{config}}}"#).as_bytes())
            .map(|file| file.config)
    }

    #[test]
    fn nulls_and_gaps_are_empty() {
        assert_eq!(parse("null").unwrap(), ImageConfig::default());
        let config = parse(
            r#"{"Cmd":null,"Entrypoint":null,"Labels":null,"Volumes":null,"User":null,"Healthcheck":null,
                "Hostname":"x","OnBuild":null,"ArgsEscaped":true}"#,
        );
        assert_eq!(config.unwrap(), ImageConfig::default());
    }

    #[test]
    fn what_dockers_images_say_is_kept() {
        let config = parse(
            r#"{"Env":["A=b"],"ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"StopSignal":"SIGINT",
                "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":3}}"#,
        )
        .unwrap();
        assert!(config.exposed_ports.contains("80/tcp") && config.volumes.contains("/data"));
        let health = config.healthcheck.as_ref().unwrap();
        assert_eq!((health.interval, health.retries), (5_000_000_000, 3));
        let again: ImageConfig =
            serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn hostile_configurations_are_refused_by_field() {
        for (config, field) in [
            (r#"{"Env":["=x"]}"#, "config.Env"),
            ("{\"Env\":[\"A=\\u0000\"]}", "config.Env"),
            ("{\"Cmd\":[\"\\u0000\"]}", "config.Cmd"),
            (r#"{"Volumes":{"data":{}}}"#, "config.Volumes"),
            (r#"{"Env":"A=b"}"#, "image configuration"),
        ] {
            let message = parse(config).unwrap_err().to_string();
            assert!(message.contains(field), "{config}: {message}");
        }
        let windows =
            r#"{"architecture":"amd64","os":"windows","rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert!(ConfigFile::parse(windows.as_bytes()).is_err());
        let traversal = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"#;
        assert!(ConfigFile::parse(traversal.as_bytes()).is_err());
    }
}
