//! Pulling: manifests by tag or digest, blobs by digest.
//!
//! Serving a held manifest takes one trip to a blocking thread: the snapshot resolves the digest in
//! memory, and the bytes found are checked, parsed and sent from memory.

mod lookup;
mod tag;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use perennial_oci::{Digest, MAX_MANIFEST, Manifest};
use perennial_store::{Store, StoreError};

use super::Registry;
use super::accept::{Taken, default_of, taken};
use super::digest_index::ContentRef;
use super::error::OciError;
use super::name::Named;
use crate::blocking::blocking;
use crate::content::Content;
use crate::document::Document;
use crate::http_error::HttpError;
pub(crate) use tag::only;

/// How long a manifest may take to arrive from the swarm.
const PATIENCE: Duration = Duration::from_secs(15);
/// Strangers' claims about a digest that are tried for one request, at most.
const CLAIMS: usize = 3;
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Lets caches keep a blob, which never changes, for a year.
const FOR_A_YEAR: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"));

/// A client's request and its rights.
pub(crate) struct RegistryRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// Set if the client sent the node's token.
    pub(crate) owner: bool,
    /// The repository, as spelled in the path.
    pub(crate) name: &'a str,
    /// The registry that the client mirrors, if it names one.
    pub(crate) ns: Option<&'a str>,
}

impl RegistryRequest<'_> {
    /// A path below the repository, with the name as the client spells it.
    pub(crate) fn location(&self, tail: &str) -> String {
        let ns = self.ns.map(|ns| format!("?ns={ns}")).unwrap_or_default();
        format!("/v2/{}{tail}{ns}", self.name)
    }
}

impl Registry {
    /// `GET /v2/<name>/manifests/<reference>`.
    pub(crate) async fn manifest(
        &self,
        asked: &RegistryRequest<'_>,
        name: &Named,
        reference: &str,
    ) -> Result<Response, OciError> {
        let (mut digest, releases, by_tag) = match reference.contains(':') {
            true => {
                let digest = reference.parse::<Digest>().map_err(|_| OciError::digest())?;
                if self.is_deleted(name, &digest).await? {
                    let what = format!("manifest {digest}: it was deleted from {name}");
                    return Err(OciError::manifest(HttpError::unknown(&what)));
                }
                (digest, Vec::new(), false)
            }
            false => {
                let (digest, releases) = self.meaning(asked.owner, name, reference).await?;
                (digest, releases, true)
            }
        };
        let mut one_of_list = false;
        loop {
            let found = self.find_or_learn(asked.owner, name, &digest, &releases, read_manifest);
            let found = found.await;
            let (found, bytes) = found.map_err(OciError::manifest)?;
            let bytes = self.checked(asked.owner, &found, bytes).await?;
            let unknown = |why: String| {
                OciError::manifest(HttpError::unknown(&format!("manifest {digest}: it is {why}")))
            };
            let manifest = Manifest::parse(&bytes).map_err(|error| {
                OciError::manifest(HttpError::unknown(&format!("manifest {digest}: it {error}")))
            })?;
            let media_type = manifest.media_type().to_owned();
            match taken(asked.headers, &media_type, by_tag && !one_of_list) {
                Taken::Yes => return Ok(answer(asked, &digest, &media_type, bytes)),
                Taken::No(why) => return Err(unknown(why.to_owned())),
                Taken::OneOfList => {
                    let why = "a list without an image for linux on amd64, and the Accept header \
                               does not allow lists";
                    digest = default_of(&manifest).ok_or_else(|| unknown(why.to_owned()))?;
                    one_of_list = true;
                }
            }
        }
    }

    /// `GET /v2/<name>/blobs/<digest>`.
    pub(crate) async fn blob(
        &self,
        asked: &RegistryRequest<'_>,
        name: &Named,
        digest: &str,
    ) -> Result<Response, OciError> {
        let digest = digest.parse::<Digest>().map_err(|_| OciError::digest())?;
        let (found, is_held) = self.vouched(asked, name, &digest).await.map_err(OciError::blob)?;
        if asked.owner && *asked.method == Method::HEAD && !is_held {
            // The client has to push blobs that are not held, because only held content is signed.
            return Err(OciError::blob(HttpError::no_holder(&digest.to_string())));
        }
        let content_digest = HeaderValue::try_from(digest.to_string()).ok();
        let content = Content {
            blob: found.blob,
            size: found.size,
            // As registries do, instead of the type in the list: no browser executes this type.
            media_type: "application/octet-stream".into(),
            digest: digest.to_string(),
            release: found.release,
            headers: content_digest
                .map(|value| (CONTENT_DIGEST, value))
                .into_iter()
                .chain([FOR_A_YEAR])
                .collect(),
        };
        let answer = self.gateway.answer(asked.method, asked.headers, &content, asked.owner);
        answer.await.map_err(OciError::blob)
    }

    /// The content that a digest names, and whether it is held. What only strangers call so is
    /// fetched and hashed first; the next of their claims is tried if one is false.
    async fn vouched(
        &self,
        asked: &RegistryRequest<'_>,
        name: &Named,
        digest: &Digest,
    ) -> Result<(ContentRef, bool), HttpError> {
        let owner = asked.owner;
        let held: fn(&Store, &ContentRef) -> Result<bool, StoreError> =
            |store, found| Ok(store.blob_size(&found.blob)?.is_some());
        // A client that pushes asks for blobs that it is about to send.
        let pushes = owner && *asked.method == Method::HEAD;
        for _ in 0..CLAIMS {
            let found = match pushes {
                true => self.find(owner, name, digest, &[], held).await,
                false => self.find_or_learn(owner, name, digest, &[], held).await,
            };
            let (found, is_held) = found?;
            if found.vouched {
                return Ok((found, is_held));
            }
            if !is_held && *asked.method == Method::HEAD {
                // Nothing is fetched to be told of: the client may push it, or ask for the bytes.
                return Err(HttpError::no_holder(&digest.to_string()));
            }
            if !is_held {
                self.bring(owner, &found).await?;
            }
            if self.is_true(&found).await? {
                return Ok((ContentRef { vouched: true, ..found }, true));
            }
        }
        Err(HttpError::unknown(&format!("{digest}; the lists that name it state other bytes")))
    }

    /// Whether held content has its digest, by this node's own hashing, one at a time.
    pub(crate) async fn is_true(&self, found: &ContentRef) -> Result<bool, HttpError> {
        // The semaphore is never closed. The permit moves into the task, which continues when the
        // client disconnects.
        let permit = Arc::clone(&self.searching).acquire_owned().await;
        let (store, blob, digest) =
            (self.gateway.backend.store().clone(), found.blob, found.digest);
        let hashed = blocking(move || {
            let _permit = permit;
            Ok::<_, HttpError>(store.hash(&blob)?)
        });
        Ok(Digest::from(hashed.await?) == digest)
    }

    /// All bytes of a manifest, checked against its digest; fetched first if they are not held.
    pub(crate) async fn whole(&self, owner: bool, found: &ContentRef) -> Result<Vec<u8>, OciError> {
        let (store, wanted) = (self.gateway.backend.store().clone(), found.clone());
        let bytes = blocking(move || Ok::<_, OciError>(read_manifest(&store, &wanted)?)).await?;
        self.checked(owner, found, bytes).await
    }

    /// Checks the bytes of a manifest against its digest, or fetches them if it is not held.
    async fn checked(
        &self,
        owner: bool,
        found: &ContentRef,
        bytes: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, OciError> {
        let what = found.digest.to_string();
        let unknown = |why: String| {
            OciError::manifest(HttpError::unknown(&format!("manifest {what}: {why}")))
        };
        if found.size > MAX_MANIFEST {
            return Err(unknown(format!("it is longer than {MAX_MANIFEST} bytes")));
        }
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                self.bring(owner, found).await.map_err(OciError::manifest)?;
                let (store, blob) = (self.gateway.backend.store().clone(), found.blob);
                let read = blocking(move || {
                    let mut bytes = Vec::new();
                    store.copy_out(&blob, &mut bytes)?;
                    Ok::<_, OciError>(bytes)
                });
                read.await?
            }
        };
        match found.digest.matches(&bytes) {
            true => Ok(bytes),
            false => Err(unknown("a release lists other bytes under this digest".into())),
        }
    }

    async fn bring(&self, owner: bool, found: &ContentRef) -> Result<(), HttpError> {
        let what = found.digest.to_string();
        let fetch = self.gateway.fetch(found.request(), &what, owner).await?;
        match tokio::time::timeout(PATIENCE, fetch.outcome).await {
            Ok(outcome) => outcome.map_err(|error| HttpError::fetch(&error, &what)),
            Err(_) => Err(HttpError::no_holder(&what)),
        }
    }
}

/// Reads a manifest; `None` if it is not held undamaged or exceeds the size limit.
fn read_manifest(store: &Store, found: &ContentRef) -> Result<Option<Vec<u8>>, StoreError> {
    if found.size > MAX_MANIFEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    match store.copy_out(&found.blob, &mut bytes) {
        Ok(_) => Ok(Some(bytes)),
        Err(StoreError::NotHeld(_) | StoreError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Responds with a manifest, always whole, as the reference registry does: clients do not resume
/// manifests.
fn answer(
    asked: &RegistryRequest<'_>,
    digest: &Digest,
    media_type: &str,
    bytes: Vec<u8>,
) -> Response {
    let mut headers = asked.headers.clone();
    headers.remove(header::RANGE);
    let digest = digest.to_string();
    let document =
        Document::named(&digest, media_type, bytes).with(CONTENT_DIGEST, digest.as_str());
    let mut answer = document.answer(asked.method, &headers);
    answer.headers_mut().remove(header::ACCEPT_RANGES);
    if answer.status() == StatusCode::NOT_MODIFIED {
        answer.headers_mut().remove(CONTENT_DIGEST);
    }
    answer
}
