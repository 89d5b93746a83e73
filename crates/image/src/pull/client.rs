//! Talking to one registry: by which scheme, as whom, and what its answers mean.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::{
    BlobResponse, Certificate, CertificateEncoding, ClientConfig, ClientProtocol,
};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};

use crate::manifest::{self, Blob, LARGEST_MANIFEST};
use crate::{Digest, Error, Reference, media_type};

/// To connect, TLS included.
const CONNECT: Duration = Duration::from_secs(20);
/// Between two pieces of an answer.
const READ: Duration = Duration::from_secs(60);
/// For a whole manifest or token, however it trickles in.
const SMALL: Duration = Duration::from_secs(120);

/// How far a registry is trusted to be who it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificates are verified, and plain HTTP is for this machine's own registries only.
    pub verify: bool,
    /// PEM files of authorities to trust besides the system's and those in
    /// `/etc/docker/certs.d/HOST:PORT` and `/etc/containers/certs.d/HOST:PORT`.
    pub authorities: Vec<PathBuf>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            verify: true,
            authorities: Vec::new(),
        }
    }
}

/// A registry, for one repository.
pub(super) struct Registry {
    client: Client,
    auth: RegistryAuth,
    /// Host and port, as users know it.
    pub(super) host: String,
    repository: String,
}

impl Registry {
    /// Finds out how to talk to the registry, and logs in.
    pub(super) async fn connect(
        reference: &Reference,
        auth: RegistryAuth,
        tls: &Tls,
    ) -> Result<Self, Error> {
        // Fails only if it was chosen before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = reference.registry().to_owned();
        let mut authorities = Vec::new();
        for path in tls.authorities.iter().chain(&installed(&host)) {
            let data = std::fs::read(path).map_err(|source| Error::Read {
                what: format!("certificates {}", path.display()),
                source,
            })?;
            authorities.push(Certificate {
                encoding: CertificateEncoding::Pem,
                data,
            });
        }
        let mut first_error = None;
        for protocol in schemes(&host, tls) {
            let config = ClientConfig {
                protocol,
                accept_invalid_certificates: !tls.verify,
                extra_root_certificates: authorities.clone(),
                connect_timeout: Some(CONNECT),
                read_timeout: Some(READ),
                user_agent: concat!("soute/", env!("CARGO_PKG_VERSION")),
                platform_resolver: None,
                ..ClientConfig::default()
            };
            let client =
                Client::try_from(config).map_err(|e| explain(&host, "preparing to connect", &e))?;
            let registry = Self {
                client,
                auth: auth.clone(),
                host: host.clone(),
                repository: reference.repository().to_owned(),
            };
            match registry.log_in().await {
                Ok(()) => return Ok(registry),
                // Of both schemes' errors, that of TLS tells more.
                Err(Attempt::Unreachable(e)) => first_error = first_error.or(Some(e)),
                Err(Attempt::Failed(e)) => return Err(e),
            }
        }
        Err(first_error.unwrap_or(Error::Registry {
            registry: host,
            what: "connecting".to_owned(),
            reason: "there is no way to".to_owned(),
        }))
    }

    async fn log_in(&self) -> Result<(), Attempt> {
        let target = self.target("latest");
        let login = self
            .client
            .auth(&target, &self.auth, RegistryOperation::Pull);
        let what = "logging in";
        match tokio::time::timeout(SMALL, login).await {
            Err(_) => Err(Attempt::Unreachable(self.slow(what))),
            Ok(Err(e)) if is_connect(&e) && !is_distrust(&e) => {
                Err(Attempt::Unreachable(explain(&self.host, "connecting", &e)))
            }
            Ok(Err(e)) => Err(Attempt::Failed(explain(&self.host, what, &e))),
            // The client would put it in a header as it is, and panic.
            Ok(Ok(Some(token))) if !token.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
                Err(Attempt::Failed(Error::Registry {
                    registry: self.host.clone(),
                    what: what.to_owned(),
                    reason: "the token it gives has characters that no token has".to_owned(),
                }))
            }
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Asks `what` of the registry. A token may end before the pull does, whatever was said of it when it was given:
    /// told that soute is not logged in, it logs in again and asks once more.
    async fn ask<T, F: Future<Output = Result<T, OciDistributionError>>>(
        &self,
        what: &str,
        reference: &str,
        request: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut answer = request().await;
        if answer.as_ref().is_err_and(is_unauthorized)
            && !matches!(self.auth, RegistryAuth::Bearer(_))
        {
            self.log_in().await.map_err(Attempt::into_error)?;
            answer = request().await;
        }
        answer.map_err(|e| match is_missing(&e) {
            true => Error::NotInRegistry {
                registry: self.host.clone(),
                reference: reference.to_owned(),
                reason: brief(&e),
            },
            false => explain(&self.host, what, &e),
        })
    }

    fn target(&self, tag: &str) -> oci_client::Reference {
        oci_client::Reference::with_tag(self.host.clone(), self.repository.clone(), tag.to_owned())
    }

    fn slow(&self, what: &str) -> Error {
        Error::Registry {
            registry: self.host.clone(),
            what: what.to_owned(),
            reason: format!("no answer within {} seconds", SMALL.as_secs()),
        }
    }

    /// The manifest or index that `reference` names, and its digest.
    pub(super) async fn manifest(&self, reference: &Reference) -> Result<(Vec<u8>, Digest), Error> {
        let what = format!("manifest of {}", reference.familiar());
        let target = match reference.digest() {
            Some(digest) => oci_client::Reference::with_digest(
                self.host.clone(),
                self.repository.clone(),
                digest.to_string(),
            ),
            None => self.target(reference.tag().unwrap_or("latest")),
        };
        let accepted = [
            media_type::MANIFEST,
            media_type::INDEX,
            media_type::DOCKER_MANIFEST,
            media_type::DOCKER_INDEX,
        ];
        let familiar = reference.familiar();
        let fetch = self.ask(&what, &familiar, || {
            self.client
                .pull_manifest_raw(&target, &self.auth, &accepted)
        });
        let (content, _) = tokio::time::timeout(SMALL, fetch)
            .await
            .map_err(|_| self.slow(&what))??;
        if content.len() as u64 > LARGEST_MANIFEST {
            return Err(Error::Registry {
                registry: self.host.clone(),
                what,
                reason: format!("it has {} bytes, more than any manifest", content.len()),
            });
        }
        let actual = Digest::of(&content);
        if let Some(&expected) = reference.digest().filter(|&&digest| digest != actual) {
            return Err(Error::WrongDigest {
                what: "manifest",
                expected,
                actual,
            });
        }
        Ok((content.to_vec(), actual))
    }

    /// A blob of at most `most` bytes, verified.
    pub(super) async fn small_blob(
        &self,
        what: &'static str,
        blob: &Blob,
        most: u64,
    ) -> Result<Vec<u8>, Error> {
        let too_large = |reason: String| Error::Registry {
            registry: self.host.clone(),
            what: format!("{what} {}", blob.digest),
            reason,
        };
        if blob.size > most {
            return Err(too_large(format!(
                "it has {} bytes, more than {most}",
                blob.size
            )));
        }
        let fetch = async {
            let mut stream = self.blob(blob, 0).await?.stream;
            let mut content = Vec::new();
            while let Some(piece) = stream.next().await {
                let piece = piece.map_err(|e| too_large(chain(&e)))?;
                content.extend_from_slice(&piece);
                if content.len() as u64 > blob.size {
                    break;
                }
            }
            Ok::<_, Error>(content)
        };
        let content = tokio::time::timeout(SMALL, fetch)
            .await
            .map_err(|_| self.slow(what))??;
        manifest::verify(what, &content, blob)?;
        Ok(content)
    }

    /// A blob's bytes from `offset` on, not verified.
    pub(super) async fn blob(&self, blob: &Blob, offset: u64) -> Result<BlobStream, Error> {
        let digest = blob.digest.to_string();
        let target = self.target("latest");
        let what = format!("blob {digest}");
        if offset == 0 {
            let whole = || self.client.pull_blob_stream(&target, digest.as_str());
            let stream = self.ask(&what, &what, whole).await?.stream;
            return Ok(BlobStream { stream, skip: 0 });
        }
        let rest = || {
            self.client
                .pull_blob_stream_partial(&target, digest.as_str(), offset, None)
        };
        let response = self.ask(&what, &what, rest).await?;
        Ok(match response {
            BlobResponse::Partial(sized) => BlobStream {
                stream: sized.stream,
                skip: 0,
            },
            // It knows no ranges: all comes again.
            BlobResponse::Full(sized) => BlobStream {
                stream: sized.stream,
                skip: offset,
            },
        })
    }
}

/// The authorities that an administrator installed for this registry, in Docker's and Podman's
/// folders: `HOST:PORT/*.crt` (containers-certs.d(5)).
fn installed(host: &str) -> Vec<PathBuf> {
    ["/etc/docker/certs.d", "/etc/containers/certs.d"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(Path::new(folder).join(host)).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .collect()
}

/// A blob on its way.
pub(super) struct BlobStream {
    pub(super) stream:
        futures_util::stream::BoxStream<'static, Result<bytes::Bytes, std::io::Error>>,
    /// Bytes at its beginning that were had before.
    pub(super) skip: u64,
}

/// How an attempt to connect ended.
enum Attempt {
    /// Nobody there, or nobody who speaks the protocol.
    Unreachable(Error),
    /// Somebody there who says no.
    Failed(Error),
}

impl Attempt {
    fn into_error(self) -> Error {
        match self {
            Self::Unreachable(error) | Self::Failed(error) => error,
        }
    }
}

/// The schemes to try, in order: as Docker does, registries on this machine
/// may speak plain HTTP, others only where the user gave up on TLS.
fn schemes(host: &str, tls: &Tls) -> Vec<ClientProtocol> {
    match !tls.verify || is_loopback(host) {
        true => vec![ClientProtocol::Https, ClientProtocol::Http],
        false => vec![ClientProtocol::Https],
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_connect(error: &OciDistributionError) -> bool {
    matches!(error, OciDistributionError::RequestError(e) if e.is_connect() || e.is_timeout() || e.is_request())
}

/// Whether the registry speaks TLS, but as somebody who is not trusted: no reason to try without.
fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An `io::Error` gives what it wraps by another way than as its source.
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    wrapped.is_some_and(|error| is_distrust(error)) || error.source().is_some_and(is_distrust)
}

fn is_unauthorized(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::UnauthorizedError { .. } => true,
        OciDistributionError::ServerError { code, .. } => *code == 401,
        _ => false,
    }
}

fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_)
        | OciDistributionError::UnauthorizedError { .. } => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403 | 404),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| {
                matches!(
                    error.code,
                    OciErrorCode::ManifestUnknown
                        | OciErrorCode::BlobUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                        | OciErrorCode::Denied
                        | OciErrorCode::Unauthorized
                )
            })
        }
        _ => false,
    }
}

fn explain(host: &str, what: &str, error: &OciDistributionError) -> Error {
    Error::Registry {
        registry: host.to_owned(),
        what: what.to_owned(),
        reason: brief(error),
    }
}

/// A registry's text may be a whole web page.
fn brief(error: &OciDistributionError) -> String {
    const LONGEST: usize = 500;
    let text: String = chain(error)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    text
}

/// An error with its causes, which `reqwest` keeps to itself.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_for_those_who_insist() {
        let plain = |host: &str, verify: bool| {
            let tls = Tls {
                verify,
                ..Tls::default()
            };
            schemes(host, &tls).len() == 2
        };
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(plain(host, true), "{host}");
        }
        for host in [
            "docker.io",
            "10.0.0.1:5000",
            "localhost.example.com",
            "128.0.0.1",
            "[::2]",
        ] {
            assert!(!plain(host, true), "{host}");
            assert!(plain(host, false), "{host}");
        }
    }
}
