//! Selection release is meant: by name, as this node's user decided; by a digest, any that lists it.
//!
//! Owns how names that mean nothing, or too much, are answered.

use std::fmt::Write as _;

use axum::http::StatusCode;
use perennial_manifest::{
    Artifact, BlobId, Candidate, PublisherId, ReleaseId, Resolution, Selector, Sha256Digest,
};
use perennial_store::ReleaseRow;

use crate::content::run;
use crate::gateway::Gateway;
use crate::http_error::HttpError;

/// How many releases an answer names at most.
const NAMED: usize = 50;

/// The release that a selector means.
pub(crate) async fn row_of(
    gateway: &Gateway,
    selector: Selector,
    only: Option<PublisherId>,
) -> Result<ReleaseRow, HttpError> {
    let (store, own, asked) =
        (gateway.backend.store().clone(), gateway.backend.publisher(), selector.clone());
    let resolution = run(move || store.resolve(&asked, &own, only.as_ref())).await;
    let candidates = match resolution.map_err(|e| HttpError::internal(&e))? {
        Resolution::Found(found) => found,
        Resolution::NotFound => return Err(HttpError::unknown(&format!("release {selector}"))),
        Resolution::Conflict(found) => {
            let message = format!(
                "publishers whom this node follows, or branches of a forked feed, disagree on the bytes of {selector}: \
                 ask with ?publisher=DID, or by the release's id below /r/"
            );
            return Err(HttpError::new(StatusCode::CONFLICT, listing(message, &found)));
        }
        Resolution::Ambiguous(found) => {
            let message =
                format!("{selector} may mean several releases: ask for one of them below /r/");
            return Err(HttpError::new(StatusCode::MULTIPLE_CHOICES, listing(message, &found)));
        }
        Resolution::Strangers(found) => {
            let message = match only {
                Some(only) => format!("{only} signed no {selector}; others did"),
                None => format!(
                    "{selector} was signed only by publishers whom this node does not follow: \
                     `perennial follow DID` on this node trusts one of them; ?publisher=DID or the release's id below /r/ asks for it as it is"
                ),
            };
            return Err(HttpError::new(StatusCode::NOT_FOUND, listing(message, &found)));
        }
    };
    let store = gateway.backend.store().clone();
    let found = run(move || {
        candidates.first().map_or(Ok(None), |candidate| store.release(&candidate.release))
    });
    found
        .await
        .map_err(|e| HttpError::internal(&e))?
        .ok_or_else(|| HttpError::unknown(&format!("release {selector}")))
}

fn listing(mut message: String, candidates: &[Candidate]) -> String {
    for candidate in candidates.iter().take(NAMED) {
        // a String takes any text
        let _ =
            write!(message, "\n{} {} {}", candidate.publisher, candidate.release, candidate.purl);
    }
    if candidates.len() > NAMED {
        let _ = write!(message, "\nand {} more", candidates.len() - NAMED);
    }
    message
}

/// A digest in either function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Blake3(BlobId),
    Sha256(Sha256Digest),
}

impl Digest {
    pub(super) fn read(text: &str) -> Result<Self, HttpError> {
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

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blake3(blob) => blob.fmt(f),
            Self::Sha256(sha256) => sha256.fmt(f),
        }
    }
}

impl super::Files {
    /// An artifact with this digest, of the release that is named, or of any whose list is here; none of `wrong`.
    pub(super) async fn listed(
        &self,
        digest: Digest,
        release: Option<ReleaseId>,
        wrong: &[BlobId],
    ) -> Result<Option<(ReleaseRow, Artifact)>, HttpError> {
        let store = self.gateway.backend.store();
        let Some(release) = release else {
            let found = self.digest_search.find(store, digest, wrong.to_vec()).await;
            return found.map_err(|e| HttpError::internal(&e));
        };
        let reader = store.clone();
        let row =
            run(move || reader.release(&release)).await.map_err(|e| HttpError::internal(&e))?;
        let Some(row) = row else { return Ok(None) };
        let Some(list) = self.gateway.list_here(row.artifacts).await? else { return Ok(None) };
        let artifact = list.iter().find(|a| digest.names(a) && !wrong.contains(&a.blake3)).cloned();
        Ok(artifact.map(|artifact| (row, artifact)))
    }
}
