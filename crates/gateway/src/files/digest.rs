//! Bytes by digest: `/b/blake3:…` and `/b/sha256:…`.
//!
//! Bytes are served under a SHA-256 only after this node has hashed them itself: a list merely
//! claims the digest.

mod checks;

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_manifest::{Artifact, BlobId, ReleaseId, Selector, Sha256Digest};
use perennial_store::{BlobState, ReleaseRow};

use super::{Files, attachment, cache_control};
use crate::backend::BlobRequest;
use crate::blocking::blocking;
use crate::content::Content;
use crate::http_error::HttpError;
use checks::Checked;
pub(super) use checks::Sha256Checks;

/// How long a request waits for bytes that can be served only once the whole blob is held.
const PATIENCE: Duration = Duration::from_secs(50);
/// Claimed blobs checked per requested SHA-256, at most.
const CLAIMS: usize = 8;

/// A digest of either function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlobDigest {
    Blake3(BlobId),
    Sha256(Sha256Digest),
}

impl BlobDigest {
    fn read(text: &str) -> Result<Self, HttpError> {
        let read = match text.split_once(':') {
            Some(("blake3", _)) => text.parse().map(Self::Blake3),
            Some(("sha256", _)) => text.parse().map(Self::Sha256),
            _ => return Err(HttpError::bad_request("a digest is blake3:HEX or sha256:HEX")),
        };
        read.map_err(|e| HttpError::bad_request(e.to_string()))
    }

    fn names(self, artifact: &Artifact) -> bool {
        match self {
            Self::Blake3(blob) => artifact.blake3 == blob,
            Self::Sha256(sha256) => artifact.sha256 == sha256,
        }
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blake3(blob) => blob.fmt(f),
            Self::Sha256(sha256) => sha256.fmt(f),
        }
    }
}

impl Files {
    pub(super) async fn digest(
        &self,
        text: &str,
        release: Option<ReleaseId>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, HttpError> {
        let digest = BlobDigest::read(text)?;
        let owner = self.is_owner(request);
        let mut content = match digest {
            BlobDigest::Blake3(blob) => match self.content(digest, release, &[]).await {
                Err(error) if error.is_unknown() => {
                    match self.bring_from_any_holder(blob, error, owner).await? {
                        Ok(content) => content,
                        Err(later) => return Ok(later),
                    }
                }
                content => content?,
            },
            BlobDigest::Sha256(sha256) => {
                let mut content = self.true_content(sha256, release, owner).await;
                if content.as_ref().is_err_and(HttpError::is_unknown)
                    && self.gateway.learn_of(sha256, owner).await
                {
                    content = self.true_content(sha256, release, owner).await;
                }
                match content? {
                    Ok(content) => content,
                    Err(later) => return Ok(later),
                }
            }
        };
        content.headers.push(cache_control(true));
        self.gateway.answer(method, request, &content, owner).await
    }

    /// A blob that no release lists here, fetched whole from a peer that says it has it: how long
    /// it is, only its bytes prove. Or a response that tells the client to retry.
    async fn bring_from_any_holder(
        &self,
        blob: BlobId,
        unknown: HttpError,
        owner: bool,
    ) -> Result<Result<Content, Response>, HttpError> {
        let told = self.gateway.ask(Selector::Blob(blob), None).await;
        let size = told.size.ok_or_else(|| unknown.clone())?;
        let request = BlobRequest { release: None, blob, size };
        if let Some(later) = self.bring(request, &blob.to_string(), owner).await? {
            return Ok(Err(later));
        }
        self.content(BlobDigest::Blake3(blob), None, &[]).await.map(Ok)
    }

    /// The content that truly has a SHA-256, which is held unless it is denied; or a response that
    /// tells the client to retry.
    async fn true_content(
        &self,
        sha256: Sha256Digest,
        release: Option<ReleaseId>,
        owner: bool,
    ) -> Result<Result<Content, Response>, HttpError> {
        let mut wrong = Vec::new();
        while wrong.len() < CLAIMS {
            let content = self.content(BlobDigest::Sha256(sha256), release, &wrong).await?;
            let state = self.state(content.blob).await?;
            if !matches!(state, BlobState::Held { .. } | BlobState::Denied)
                && let Some(request) = content.request()
                && let Some(later) = self.bring(request, &content.digest, owner).await?
            {
                return Ok(Err(later));
            }
            if self.is_true(&sha256, &content.blob).await? {
                return Ok(Ok(content));
            }
            wrong.push(content.blob);
        }
        Err(HttpError::unknown(&format!(
            "bytes with the digest {sha256}: {CLAIMS} lists name it, and all are wrong"
        )))
    }

    /// The content that a digest names, either held or listed by a release; skips the blobs in
    /// `wrong`.
    async fn content(
        &self,
        digest: BlobDigest,
        release: Option<ReleaseId>,
        wrong: &[BlobId],
    ) -> Result<Content, HttpError> {
        let text = digest.to_string();
        let name = text.split_once(':').map_or(text.as_str(), |(_, hex)| hex).to_owned();
        let content = |blob, size, release| Content {
            blob,
            size,
            media_type: "application/octet-stream".into(),
            digest: digest.to_string(),
            release,
            headers: vec![attachment(&name)],
        };
        let store = self.gateway.backend.store().clone();
        let here = blocking(move || {
            if let BlobDigest::Sha256(sha256) = digest {
                store.refuse_target(&sha256.into())?;
            }
            let blob = match digest {
                BlobDigest::Blake3(blob) => Some(blob),
                BlobDigest::Sha256(sha256) => store.blob_of_sha256(&sha256)?,
            };
            Ok::<_, HttpError>(match blob {
                None => None,
                Some(blob) => Some((blob, store.blob_state(&blob)?)),
            })
        });
        match here.await? {
            // Reported as denied, whatever its size.
            Some((blob, BlobState::Denied)) => return Ok(content(blob, 0, None)),
            Some((blob, BlobState::Held { size })) if !wrong.contains(&blob) => {
                return Ok(content(blob, size, None));
            }
            _ => {}
        }
        match self.listed(digest, release, wrong).await? {
            Some((row, artifact)) => {
                self.gateway.backend.store().refuse_artifact(&artifact)?;
                Ok(content(artifact.blake3, artifact.size, Some(row.release)))
            }
            None => {
                if let BlobDigest::Sha256(sha256) = digest {
                    let store = self.gateway.backend.store().clone();
                    blocking(move || Ok::<_, HttpError>(store.refuse_listed(&sha256)?)).await?;
                }
                Err(HttpError::unknown(&format!("bytes with the digest {digest}")))
            }
        }
    }

    /// An artifact with this digest from the given release, or from any release whose list is held;
    /// skips the blobs in `wrong`.
    async fn listed(
        &self,
        digest: BlobDigest,
        release: Option<ReleaseId>,
        wrong: &[BlobId],
    ) -> Result<Option<(ReleaseRow, Artifact)>, HttpError> {
        let store = self.gateway.backend.store();
        let Some(release) = release else {
            return self.digest_search.find(store, digest, wrong.to_vec()).await;
        };
        let reader = store.clone();
        let row = blocking(move || Ok::<_, HttpError>(reader.release(&release)?)).await?;
        let Some(row) = row else { return Ok(None) };
        let Some(list) = self.gateway.list_here(row.artifacts).await? else { return Ok(None) };
        let artifact = list.iter().find(|a| digest.names(a) && !wrong.contains(&a.blake3)).cloned();
        Ok(artifact.map(|artifact| (row, artifact)))
    }

    async fn state(&self, blob: BlobId) -> Result<BlobState, HttpError> {
        let store = self.gateway.backend.store().clone();
        blocking(move || Ok(store.blob_state(&blob)?)).await
    }

    /// Fetches a whole blob. If that takes too long, returns a response that tells the client to
    /// retry; the bytes that arrived are kept.
    async fn bring(
        &self,
        request: BlobRequest,
        digest: &str,
        owner: bool,
    ) -> Result<Option<Response>, HttpError> {
        let fetch = self.gateway.fetch(Some(request), digest, owner).await?;
        match tokio::time::timeout(PATIENCE, fetch.outcome).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(error)) => Err(HttpError::fetch(&error, digest)),
            Err(_) => {
                let error = HttpError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!(
                        "{digest} is still being fetched: try again in a few seconds; its blake3 \
                         digest is served while it arrives"
                    ),
                );
                Ok(Some(([(header::RETRY_AFTER, "5")], error).into_response()))
            }
        }
    }

    async fn is_true(&self, sha256: &Sha256Digest, blob: &BlobId) -> Result<bool, HttpError> {
        match self.sha256_checks.has(self.gateway.backend.store(), *sha256, *blob).await? {
            Checked::Has(has) => Ok(has),
            // The response looks the blob up again and reports it as denied.
            Checked::Denied => Ok(true),
            Checked::Damaged => Err(HttpError::no_holder(&sha256.to_string())),
        }
    }
}
