//! A repository of a registry: authorized requests, retried where that helps.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use perennial_oci::{ACCEPT as MANIFESTS, Digest, MAX_MANIFEST, Reference, Version};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::answer::{Short, is_gone, read, refusal};
use super::auth::Auth;
use crate::client::{Client, Failure, Tried};
use crate::error::shown;
use crate::retry::{RetryPolicy, is_later, wish};
use crate::{ImportError, Options};

/// A repository of a registry.
pub(super) struct Repository {
    client: Client,
    base: Url,
    auth: Auth,
    /// Whether the registry was asked for its challenge.
    pinged: AtomicBool,
    /// Whether the registry was found to have no referrers API.
    no_referrers: AtomicBool,
}

/// Whether a request is for something that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Needed,
    Optional,
}

/// Whether a response to an optional request means that there is no such thing. Registries answer
/// 403, 401, 400, 405 or 501 for a tag or an API that they do not have.
pub(super) fn is_absent(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::NOT_IMPLEMENTED
        || (status.is_client_error() && !is_later(status, headers))
}

/// The manifest that a tag or digest currently names.
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) status: u16,
}

/// A response, read in full.
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Repository {
    pub(super) fn new(
        client: Client,
        options: &Options,
        reference: &Reference,
        auth_file: Option<PathBuf>,
    ) -> Result<Self, ImportError> {
        let host = match reference.repository().registry() {
            // Docker Hub's registry is not on the host of its website.
            "docker.io" => "registry-1.docker.io",
            registry => registry,
        };
        let scheme = if options.plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{host}/v2/{}/", reference.repository().path());
        let base =
            Url::parse(&base).map_err(|e| ImportError::Usage(format!("{reference}: {e}")))?;
        let auth = Auth::new(reference, options, auth_file);
        Ok(Self {
            client,
            base,
            auth,
            pinged: AtomicBool::new(false),
            no_referrers: AtomicBool::new(false),
        })
    }

    /// The address at which a registry says how to be authorized.
    fn ping(&self) -> Url {
        let mut ping = self.base.clone();
        ping.set_path("/v2/");
        ping
    }

    /// Obtains the authorization that a registry refuses without asking for; `false` if there is
    /// none to show. Tried once.
    async fn asks_elsewhere(&self) -> bool {
        !self.pinged.swap(true, Ordering::Relaxed)
            && self.auth.has_unused().await
            && self.auth.answer(&self.client, &HeaderMap::new(), &self.ping()).await.is_ok()
    }

    /// Waits until a request may be made again; `false`, at once, if it may not.
    pub(super) async fn again(&self, tried: Tried<'_>) -> bool {
        self.client.again(RetryPolicy::MIDDLE, tried).await
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, ImportError> {
        self.base.join(path).map_err(|e| ImportError::Usage(format!("{path}: {e}")))
    }

    /// Whether a URL belongs to the registry.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    pub(super) fn has_referrers(&self) -> bool {
        !self.no_referrers.load(Ordering::Relaxed)
    }

    pub(super) fn note_no_referrers(&self) {
        self.no_referrers.store(true, Ordering::Relaxed);
    }

    /// Resolves a reference to a digest. A tag takes only a request for its headers: content that
    /// is held needs no more, and registries do not count that as a pull.
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Found, ImportError> {
        let tag = match reference.version() {
            Version::Digest(digest) => return Ok(Found { digest: *digest, status: 200 }),
            Version::Tag(tag) => tag,
        };
        self.tag(tag).await?.ok_or_else(|| ImportError::Gone {
            what: format!("docker://{reference}"),
            reason: format!("{} has no such tag", self.base.host_str().unwrap_or_default()),
        })
    }

    /// The digest of a tag; `None` if the tag does not exist.
    async fn tag(&self, tag: &str) -> Result<Option<Found>, ImportError> {
        self.find(tag, Asked::Needed).await
    }

    /// The digest of a tag that need not exist. Some registries refuse such a tag instead of saying
    /// that it is not there.
    pub(super) async fn statement_tag(&self, tag: &str) -> Result<Option<Found>, ImportError> {
        self.find(tag, Asked::Optional).await
    }

    async fn find(&self, tag: &str, asked: Asked) -> Result<Option<Found>, ImportError> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let head = self.send_as(asked, Method::HEAD, &url, MANIFESTS, None).await?;
        let digest =
            head.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        let status = head.status();
        if status.is_success()
            && let Some(Ok(digest)) = digest.map(str::parse)
        {
            return Ok(Some(Found { digest, status: status.as_u16() }));
        }
        if is_gone(status) {
            return Ok(None);
        }
        let got = self.ask_as(asked, &url, MANIFESTS, MAX_MANIFEST).await?;
        if got.status.is_success() {
            let digest = Digest::sha256_of(&got.bytes);
            return Ok(Some(Found { digest, status: got.status.as_u16() }));
        }
        let is_absent = match asked {
            Asked::Needed => is_gone(got.status),
            Asked::Optional => is_absent(got.status, &got.headers),
        };
        if is_absent {
            return Ok(None);
        }
        Err(refusal(&url, got.status, &got.headers, &got.bytes))
    }

    /// Fetches a manifest by digest.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImportError> {
        let url = self.url(&format!("manifests/{digest}"))?;
        Ok(self.get(&url, MANIFESTS, MAX_MANIFEST).await?.bytes)
    }

    /// Fetches a successful response of at most `most` bytes in full.
    pub(super) async fn get(&self, url: &Url, accept: &str, most: u64) -> Result<Got, ImportError> {
        let got = self.ask_as(Asked::Needed, url, accept, most).await?;
        if got.status.is_success() {
            Ok(got)
        } else {
            Err(refusal(url, got.status, &got.headers, &got.bytes))
        }
    }

    /// Asks for something that need not be there; a refusal is an answer like any other.
    pub(super) async fn probe(&self, url: &Url, accept: &str) -> Result<Got, ImportError> {
        self.ask_as(Asked::Optional, url, accept, MAX_MANIFEST).await
    }

    /// Fetches a short response of any status in full; retried after a broken connection.
    async fn ask_as(
        &self,
        asked: Asked,
        url: &Url,
        accept: &str,
        most: u64,
    ) -> Result<Got, ImportError> {
        let mut tried = 0;
        loop {
            let answer = self.send_as(asked, Method::GET, url, accept, None).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            tried += 1;
            match read(answer, most).await {
                Ok(bytes) => return Ok(Got { status, headers, bytes }),
                // What a refusal says may be lost; that it is one is not.
                Err(Short::TooLong | Short::Packed(_)) if !status.is_success() => {
                    return Ok(Got { status, headers, bytes: Vec::new() });
                }
                Err(Short::TooLong) => {
                    let reason = format!("the answer is longer than {most} bytes");
                    return Err(ImportError::Upstream { what: shown(url), reason });
                }
                Err(Short::Packed(how)) => {
                    let reason = format!("the answer is packed with {how}");
                    return Err(ImportError::Upstream { what: shown(url), reason });
                }
                Err(Short::Broken(reason)) => {
                    let error = ImportError::Upstream { what: shown(url), reason };
                    let times = tried;
                    let failed = Tried { times, error: &error, wish: None, refused: false };
                    if !self.again(failed).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Sends a request, retrying while the registry is busy or the connection breaks. Returns any
    /// other response.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        accept: &str,
        from: Option<u64>,
    ) -> Result<Response, ImportError> {
        self.send_as(Asked::Needed, method, url, accept, from).await
    }

    async fn send_as(
        &self,
        need: Asked,
        method: Method,
        url: &Url,
        accept: &str,
        from: Option<u64>,
    ) -> Result<Response, ImportError> {
        let mut asked = 0;
        let mut tried = 0;
        loop {
            // A packed blob would have another digest, and could not be resumed.
            let request = self.client.request(method.clone(), url);
            let mut request = request.header(ACCEPT, accept).header(ACCEPT_ENCODING, "identity");
            if let Some(from) = from {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            // The registry supplies the URLs of pages; credentials are for the registry alone.
            if self.is_ours(url) {
                request = self.auth.show(request);
            }
            tried += 1;
            let answer = match self.client.send(request).await {
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Transient(error)) => Err((error, false)),
                Err(Failure::Refused(error)) => Err((error, true)),
                // Credentials go to the registry itself, not to a host that it redirects to.
                Ok(answer)
                    if answer.status() == StatusCode::UNAUTHORIZED
                        && asked < 2
                        && self.is_ours(answer.url()) =>
                {
                    asked += 1;
                    let ping = self.ping();
                    match (self.auth.answer(&self.client, answer.headers(), &ping).await, need) {
                        (Ok(()), _) => {}
                        (Err(error), Asked::Needed) => return Err(error),
                        (Err(_), Asked::Optional) => return Ok(answer),
                    }
                    tried -= 1;
                    continue;
                }
                Ok(answer)
                    if matches!(answer.status(), StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
                        && self.is_ours(answer.url())
                        && self.asks_elsewhere().await =>
                {
                    tried -= 1;
                    continue;
                }
                Ok(answer) if is_later(answer.status(), answer.headers()) => Ok(answer),
                Ok(answer) => return Ok(answer),
            };
            // A retry before the wait that the registry asks for is useless, and so is a very long
            // wait: a rerun resumes from here.
            let wish = answer.as_ref().ok().and_then(|answer| wish(answer.headers()));
            let (error, refused) = match &answer {
                Ok(answer) => (&refusal(url, answer.status(), &HeaderMap::new(), &[]), false),
                Err((error, refused)) => (error, *refused),
            };
            if !self.again(Tried { times: tried, error, wish, refused }).await {
                return answer.map_err(|(error, _)| error);
            }
        }
    }
}
