//! Whether held blobs have the SHA-256 that a list claims, by this node's own hashing.

use std::sync::Arc;
use std::time::Instant;

use perennial_manifest::{BlobId, Sha256Digest};
use perennial_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::blocking::blocking;
use crate::bounded::Bounded;
use crate::http_error::HttpError;

/// Check outcomes remembered, at most.
const CHECKS: usize = 4096;

/// Blobs hashed by this node, each with whether it has the SHA-256 that a list claims.
#[derive(Debug)]
pub(in crate::files) struct Sha256Checks {
    outcomes: Arc<Bounded<(Sha256Digest, BlobId), bool>>,
    /// One permit: concurrent requests for one blob cost one hashing, and all requests together one
    /// core.
    hashing: Arc<Semaphore>,
}

/// The outcome of a check.
pub(super) enum Checked {
    Has(bool),
    Denied,
    Damaged,
}

impl Default for Sha256Checks {
    fn default() -> Self {
        let (outcomes, hashing) = (Bounded::new(CHECKS), Semaphore::new(1));
        Self { outcomes: Arc::new(outcomes), hashing: Arc::new(hashing) }
    }
}

impl Sha256Checks {
    /// Returns whether a held blob has this SHA-256. Reads the blob unless the outcome is
    /// remembered.
    pub(super) async fn has(
        &self,
        store: &Store,
        sha256: Sha256Digest,
        blob: BlobId,
    ) -> Result<Checked, HttpError> {
        if let Some(has) = self.outcomes.get(&(sha256, blob)) {
            return Ok(Checked::Has(has));
        }
        // The semaphore is never closed. The permit moves into the task, which continues when the
        // client disconnects.
        let permit = Arc::clone(&self.hashing).acquire_owned().await;
        if let Some(has) = self.outcomes.get(&(sha256, blob)) {
            return Ok(Checked::Has(has));
        }
        let (outcomes, store) = (Arc::clone(&self.outcomes), store.clone());
        blocking(move || {
            let _permit = permit;
            let found = match store.copy_out(&blob, &mut std::io::sink()) {
                Ok(found) => found,
                Err(StoreError::Denied(_)) => return Ok(Checked::Denied),
                Err(StoreError::Corrupt { .. }) => return Ok(Checked::Damaged),
                Err(error) => return Err(error.into()),
            };
            store.note_sha256(&[(found, blob)])?;
            let has = found == sha256;
            outcomes.insert((sha256, blob), has, 1, Instant::now());
            Ok(Checked::Has(has))
        })
        .await
    }
}
