//! A repository of a registry: requests to it, repeated where that helps, with what it asks for to let us in.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use oci_spec::image::Digest;
use reqwest::header::{ACCEPT, HeaderMap, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::auth::Auth;
use crate::client::{Client, Unanswered, why};
use crate::image::{MAX_MANIFEST, Manifest, Reference, sha256_of};
use crate::patience::{Patience, is_busy, wish};
use crate::{ImportError, Options};

/// How often one thing is asked for.
const PATIENCE: Patience = Patience::MIDDLE;
/// Longest answer to a request that failed that is read for its text.
const MAX_ERROR: u64 = 16 << 10;

/// One repository.
pub(super) struct Repository {
    client: Client,
    base: Url,
    auth: Auth,
    /// Whether the registry said that it has no referrers API.
    no_referrers: AtomicBool,
}

/// What a tag or digest means now.
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) status: u16,
}

/// An answer.
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

/// Why a body was not read to its end.
pub(super) enum Short {
    TooLong,
    Broken(String),
}

impl Repository {
    pub(super) fn new(
        client: Client,
        options: &Options,
        reference: &Reference,
        auth_file: Option<PathBuf>,
    ) -> Result<Self, ImportError> {
        let host = match reference.registry() {
            // its website and its registry are two hosts
            "docker.io" => "registry-1.docker.io",
            registry => registry,
        };
        let scheme = if options.plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{host}/v2/{}/", reference.repository());
        let base =
            Url::parse(&base).map_err(|e| ImportError::Usage(format!("{reference}: {e}")))?;
        let auth = Auth::new(reference, options.plain_http, auth_file);
        Ok(Self { client, base, auth, no_referrers: AtomicBool::new(false) })
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, ImportError> {
        self.base.join(path).map_err(|e| ImportError::Usage(format!("{path}: {e}")))
    }

    /// Whether a URL is the registry's own.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    pub(super) fn has_referrers(&self) -> bool {
        !self.no_referrers.load(Ordering::Relaxed)
    }

    pub(super) fn note_no_referrers(&self) {
        self.no_referrers.store(true, Ordering::Relaxed);
    }

    /// The digest behind a reference. Asks for headers first: what is held needs no more, and it is not counted as a pull.
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Found, ImportError> {
        let name = reference.digest().or(reference.tag()).unwrap_or("latest");
        let what = format!("docker://{reference}");
        if let Some(digest) = reference.digest() {
            let reason = |e: oci_spec::OciSpecError| ImportError::Usage(format!("{what}: {e}"));
            return Ok(Found { digest: Digest::try_from(digest).map_err(reason)?, status: 200 });
        }
        self.tag(name).await?.ok_or_else(|| ImportError::Gone {
            what,
            reason: format!("{} has no such tag", self.base.host_str().unwrap_or_default()),
        })
    }

    /// The digest behind a tag, if there is such a tag.
    pub(super) async fn tag(&self, tag: &str) -> Result<Option<Found>, ImportError> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let head = self.send(Method::HEAD, &url, Manifest::ACCEPT, None).await?;
        let digest =
            head.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        let status = head.status();
        if status.is_success()
            && let Some(Ok(digest)) = digest.map(Digest::try_from)
        {
            return Ok(Some(Found { digest, status: status.as_u16() }));
        }
        if is_gone(status) {
            return Ok(None);
        }
        match self.get(&url, Manifest::ACCEPT).await {
            Ok(got) => {
                Ok(Some(Found { digest: sha256_of(&got.bytes)?, status: got.status.as_u16() }))
            }
            Err(ImportError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A manifest by digest.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImportError> {
        let url = self.url(&format!("manifests/{digest}"))?;
        Ok(self.get(&url, Manifest::ACCEPT).await?.bytes)
    }

    /// A short answer that is a success, whole.
    pub(super) async fn get(&self, url: &Url, accept: &str) -> Result<Got, ImportError> {
        let got = self.ask(url, accept).await?;
        if got.status.is_success() {
            Ok(got)
        } else {
            Err(refusal(url, got.status, &got.headers, &got.bytes))
        }
    }

    /// A short answer of any kind, whole: asked for again where the line broke.
    pub(super) async fn ask(&self, url: &Url, accept: &str) -> Result<Got, ImportError> {
        let mut tried = 0;
        loop {
            let answer = self.send(Method::GET, url, accept, None).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            tried += 1;
            match read(answer, MAX_MANIFEST).await {
                Ok(bytes) => return Ok(Got { status, headers, bytes }),
                Err(Short::TooLong) => {
                    let reason = format!("the answer is longer than {MAX_MANIFEST} bytes");
                    return Err(ImportError::Upstream { what: url.to_string(), reason });
                }
                Err(Short::Broken(reason)) => match PATIENCE.before_next(tried, None) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(ImportError::Upstream { what: url.to_string(), reason }),
                },
            }
        }
    }

    /// Asks, and asks again where the registry is busy or the line broke. Gives whatever else it answers.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        accept: &str,
        from: Option<u64>,
    ) -> Result<Response, ImportError> {
        let mut asked = 0;
        let mut tried = 0;
        loop {
            let mut request = self.client.request(method.clone(), url).header(ACCEPT, accept);
            if let Some(from) = from {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            // a page's address comes from the registry: what lets us in is for itself alone
            if self.is_ours(url) {
                request = self.auth.show(request);
            }
            tried += 1;
            let wait = match self.client.send(request).await {
                Err(Unanswered::Settled(error)) => return Err(error),
                Err(Unanswered::Again(error)) => PATIENCE.before_next(tried, None).ok_or(error)?,
                // only the registry itself is told who we are, not where it sends us
                Ok(answer)
                    if answer.status() == StatusCode::UNAUTHORIZED
                        && asked < 2
                        && self.is_ours(answer.url()) =>
                {
                    asked += 1;
                    self.auth.answer(&self.client, answer.headers()).await?;
                    tried -= 1;
                    continue;
                }
                Ok(answer) if is_busy(answer.status()) => {
                    // to ask sooner than it wishes would be no use, and to wait too long neither: a rerun goes on from here
                    match PATIENCE.before_next(tried, wish(answer.headers())) {
                        Some(wait) => wait,
                        None => return Ok(answer),
                    }
                }
                Ok(answer) => return Ok(answer),
            };
            tokio::time::sleep(wait).await;
        }
    }
}

pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// Makes an answer that is no success an error, with what the registry says.
pub(super) async fn accepted(answer: Response) -> Result<Response, ImportError> {
    let (status, mut url, headers) =
        (answer.status(), answer.url().clone(), answer.headers().clone());
    if status.is_success() {
        return Ok(answer);
    }
    let body = read(answer, MAX_ERROR).await.unwrap_or_default();
    // where blobs lie elsewhere, it is a key to them
    url.set_query(None);
    Err(refusal(&url, status, &headers, &body))
}

/// What a registry that refuses says.
pub(super) fn refusal(
    url: &Url,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> ImportError {
    let said = said_in(body).map(|said| format!(": {said}")).unwrap_or_default();
    let later = wish(headers).map(|wait| format!("; it wants {} seconds of rest", wait.as_secs()));
    let reason = format!("the registry answers {status}{said}{}", later.unwrap_or_default());
    let what = url.to_string();
    if is_gone(status) {
        ImportError::Gone { what, reason }
    } else {
        ImportError::Upstream { what, reason }
    }
}

/// The text of a registry's error (`{"errors": [{"code": …, "message": …}]}`).
fn said_in(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        message: String,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    let message = errors.errors.into_iter().next()?.message;
    Some(message.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// A short body, whole.
pub(super) async fn read(mut answer: Response, most: u64) -> Result<Vec<u8>, Short> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) if (bytes.len() + chunk.len()) as u64 <= most => {
                bytes.extend_from_slice(&chunk)
            }
            Ok(Some(_)) => return Err(Short::TooLong),
            Err(error) => return Err(Short::Broken(why(error))),
        }
    }
}
