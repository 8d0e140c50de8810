//! Bytes by digest: `/b/blake3:…` and `/b/sha256:…`.
//!
//! Promises that what is given out as a SHA-256 was hashed here first: a list only claims it.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use perennial_manifest::{BlobId, ReleaseId, Sha256Digest};
use perennial_store::BlobState;

use super::naming::Digest;
use super::{Files, attachment, cache_control};
use crate::backend::FetchError;
use crate::content::{Content, run};
use crate::http_error::HttpError;

/// How long a request waits for bytes that can only be given out once all of them are here.
const PATIENCE: Duration = Duration::from_secs(50);
/// How many claims of one SHA-256 are looked into.
const CLAIMS: usize = 8;

impl Files {
    pub(super) async fn digest(
        &self,
        text: &str,
        release: Option<ReleaseId>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, HttpError> {
        let digest = Digest::read(text)?;
        let owner = self.is_owner(request);
        let mut content = match digest {
            Digest::Blake3(_) => self.content(digest, release, &[]).await?,
            Digest::Sha256(sha256) => match self.true_content(sha256, release, owner).await? {
                Ok(content) => content,
                Err(later) => return Ok(later),
            },
        };
        content.headers.push(cache_control(true));
        self.gateway.answer(method, request, &content, owner).await
    }

    /// What has a SHA-256 in truth, and is here now unless it is denied; or an answer that says to come again.
    async fn true_content(
        &self,
        sha256: Sha256Digest,
        release: Option<ReleaseId>,
        owner: bool,
    ) -> Result<Result<Content, Response>, HttpError> {
        let mut wrong = Vec::new();
        while wrong.len() < CLAIMS {
            let content = self.content(Digest::Sha256(sha256), release, &wrong).await?;
            if let Some(later) = self.bring(&content, owner).await? {
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

    /// What a digest names here, or by some list.
    async fn content(
        &self,
        digest: Digest,
        release: Option<ReleaseId>,
        wrong: &[BlobId],
    ) -> Result<Content, HttpError> {
        let hex = digest.to_string();
        let name = hex.split_once(':').map_or(hex.as_str(), |(_, hex)| hex).to_owned();
        let content = |blob, size, release| Content {
            blob,
            size,
            media_type: "application/octet-stream".into(),
            digest: digest.to_string(),
            release,
            headers: vec![attachment(&name)],
        };
        let store = self.gateway.backend.store().clone();
        let here = run(move || {
            let blob = match digest {
                Digest::Blake3(blob) => Some(blob),
                Digest::Sha256(sha256) => store.blob_of_sha256(&sha256)?,
            };
            Ok(match blob {
                None => None,
                Some(blob) => Some((blob, store.blob_state(&blob)?)),
            })
        });
        let here = here.await.map_err(|e| HttpError::internal(&e))?;
        // answered as denied, whatever its size
        if let Some((blob, BlobState::Denied)) = here {
            return Ok(content(blob, 0, None));
        }
        if let Some((blob, BlobState::Held { size })) = here
            && !wrong.contains(&blob)
        {
            return Ok(content(blob, size, None));
        }
        match self.listed(digest, release, wrong).await? {
            Some((row, artifact)) => Ok(content(artifact.blake3, artifact.size, Some(row.release))),
            None => Err(HttpError::unknown(&format!("bytes with the digest {digest}"))),
        }
    }

    /// Has all of it brought here; an answer that says to come again if that takes long. What came stays.
    async fn bring(&self, content: &Content, owner: bool) -> Result<Option<Response>, HttpError> {
        let (store, blob) = (self.gateway.backend.store().clone(), content.blob);
        let state =
            run(move || store.blob_state(&blob)).await.map_err(|e| HttpError::internal(&e))?;
        if matches!(state, BlobState::Held { .. } | BlobState::Denied) {
            return Ok(None);
        }
        let fetch = self.gateway.fetch(content, owner)?;
        match tokio::time::timeout(PATIENCE, fetch.outcome).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(FetchError::NoHolder)) => Err(HttpError::no_holder(&content.digest)),
            Ok(Err(FetchError::Failed(error))) => Err(HttpError::internal(&error)),
            Err(_) => {
                let problem = HttpError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!(
                        "{} is on its way here: ask again; by its blake3 digest it can be had meanwhile",
                        content.digest
                    ),
                );
                let retry = [(axum::http::header::RETRY_AFTER, "5")];
                Ok(Some((retry, problem).into_response()))
            }
        }
    }

    async fn is_true(&self, sha256: &Sha256Digest, blob: &BlobId) -> Result<bool, HttpError> {
        match self.sha256_checks.holds(self.gateway.backend.store(), *sha256, *blob).await {
            Ok(holds) => Ok(holds),
            // said by the answer, which looks again
            Err(perennial_store::StoreError::Denied(_)) => Ok(true),
            Err(perennial_store::StoreError::Corrupt { blob }) => {
                self.gateway.backend.damaged(blob);
                Err(HttpError::no_holder(&sha256.to_string()))
            }
            Err(error) => Err(HttpError::internal(&error)),
        }
    }
}
