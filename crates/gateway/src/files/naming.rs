//! Which release is meant: by name, as this node's user decided; by a digest, any that lists it.
//!
//! Owns how names that mean nothing, or too much, are answered.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use perennial_manifest::{
    Artifact, BlobId, Candidate, PublisherId, ReleaseId, Resolution, Selector, Sha256Digest,
};
use perennial_store::{ReleaseFilter, ReleaseRow, StoreError};

use crate::Faces;
use crate::content::run;
use crate::problem::Problem;

/// How many releases an answer names at most.
const NAMED: usize = 50;
/// How many lists are looked through for a digest that is not here.
const LISTS: usize = 5_000;
/// How long a digest that no list has is not looked for again, and how many are remembered.
const MISSED: (Duration, usize) = (Duration::from_secs(30), 1_000);

/// The release that a selector means.
pub(crate) async fn row_of(
    faces: &Faces,
    selector: Selector,
    only: Option<PublisherId>,
) -> Result<ReleaseRow, Problem> {
    let (store, own, asked) = (faces.backend.store().clone(), faces.backend.publisher(), selector.clone());
    let resolution = run(move || store.resolve(&asked, &own, only.as_ref())).await;
    let candidates = match resolution.map_err(|e| Problem::internal(&e))? {
        Resolution::Found(found) => found,
        Resolution::NotFound => return Err(Problem::unknown(&format!("release {selector}"))),
        Resolution::Conflict(found) => {
            let message = format!(
                "publishers whom this node follows, or branches of a forked feed, disagree on the bytes of {selector}: \
                 ask with ?publisher=DID, or by the release's id below /r/"
            );
            return Err(Problem::new(StatusCode::CONFLICT, listing(message, &found)));
        }
        Resolution::Ambiguous(found) => {
            let message = format!("{selector} may mean several releases: ask for one of them below /r/");
            return Err(Problem::new(StatusCode::MULTIPLE_CHOICES, listing(message, &found)));
        }
        Resolution::Strangers(found) => {
            let message = match only {
                Some(only) => format!("{only} signed no {selector}; others did"),
                None => format!(
                    "{selector} was signed only by publishers whom this node does not follow: \
                     `perennial follow DID` on this node trusts one of them; ?publisher=DID or the release's id below /r/ asks for it as it is"
                ),
            };
            return Err(Problem::new(StatusCode::NOT_FOUND, listing(message, &found)));
        }
    };
    let store = faces.backend.store().clone();
    let found =
        run(move || candidates.first().map_or(Ok(None), |candidate| store.release(&candidate.release)));
    found
        .await
        .map_err(|e| Problem::internal(&e))?
        .ok_or_else(|| Problem::unknown(&format!("release {selector}")))
}

fn listing(mut message: String, candidates: &[Candidate]) -> String {
    for candidate in candidates.iter().take(NAMED) {
        // a String takes any text
        let _ = write!(message, "\n{} {} {}", candidate.publisher, candidate.release, candidate.purl);
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
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let read = match text.split_once(':') {
            Some(("blake3", _)) => text.parse().map(Self::Blake3),
            Some(("sha256", _)) => text.parse().map(Self::Sha256),
            _ => return Err(Problem::bad_request("a digest is blake3:HEX or sha256:HEX")),
        };
        read.map_err(|e| Problem::bad_request(e.to_string()))
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

/// Digests that no list had, with the store's generation and the time; and the turn to look for one.
#[derive(Debug, Default)]
pub(super) struct Misses {
    missed: Mutex<VecDeque<(Digest, u64, Instant)>>,
    turn: tokio::sync::Mutex<()>,
}

impl Misses {
    fn missed(&self) -> MutexGuard<'_, VecDeque<(Digest, u64, Instant)>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl super::Files {
    /// An artifact with this digest, of the release that is named, or of one among the first [`LISTS`]; none of `wrong`.
    pub(super) async fn listed(
        &self,
        digest: Digest,
        release: Option<ReleaseId>,
        wrong: &[BlobId],
    ) -> Result<Option<(ReleaseRow, Artifact)>, Problem> {
        // one at a time: anybody may ask, and it reads many lists
        let _turn = self.misses.turn.lock().await;
        let generation = self.faces.backend.store().generation();
        {
            let mut missed = self.misses.missed();
            missed.retain(|(_, made, at)| *made == generation && at.elapsed() < MISSED.0);
            if release.is_none() && missed.iter().any(|(missed, ..)| *missed == digest) {
                return Ok(None);
            }
        }
        let wrong = wrong.to_vec();
        let (store, lists) = (self.faces.backend.store().clone(), std::sync::Arc::clone(&self.faces.lists));
        let found = run(move || {
            let selector = release.map(Selector::Release);
            let filter = ReleaseFilter { selector, limit: LISTS, ..ReleaseFilter::default() };
            for row in store.releases(&filter)? {
                let list = match lists.read(&store, &row.artifacts) {
                    Ok(Some(list)) => list,
                    // a list that is not here or damaged names nothing; the others may
                    Ok(None) | Err(StoreError::Corrupt { .. } | StoreError::Format { .. }) => continue,
                    Err(error) => return Err(error),
                };
                if let Some(artifact) = list.iter().find(|a| digest.names(a) && !wrong.contains(&a.blake3)) {
                    return Ok(Some((row, artifact.clone())));
                }
            }
            Ok(None)
        });
        let found = found.await.map_err(|e| Problem::internal(&e))?;
        if found.is_none() && release.is_none() {
            let mut missed = self.misses.missed();
            if missed.len() == MISSED.1 {
                missed.pop_front();
            }
            missed.push_back((digest, generation, Instant::now()));
        }
        Ok(found)
    }
}
