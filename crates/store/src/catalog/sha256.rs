//! Large blobs by SHA-256. Small ones are found in their packs, which hash them when they are
//! stored.
//!
//! Separates what this node computed (`L`) from what a signed list claims (`C`): a claim must be
//! hashed before it is believed. A rebuild recovers both, from the outboards and from the lists
//! that are here.

use perennial_manifest::{Artifact, BlobId};

use super::Catalog;
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::large::SMALL;
use crate::rows;

impl Catalog<'_> {
    /// A large blob by the SHA-256 that was computed when it was added.
    pub(crate) fn large_of(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let value = self.index.get(&rows::large_sha256(sha256))?;
        Ok(value.and_then(|value| value.try_into().ok()).map(BlobId::from_bytes))
    }

    /// A held blob for which a signed list claims this SHA-256.
    pub(crate) fn claimed(&self, sha256: &[u8; 32]) -> Result<Option<BlobId>, StoreError> {
        let prefix = rows::claimed_sha256(sha256, &[]);
        let mut claimed = Vec::new();
        self.index.walk(&prefix, &prefix, &mut |key, _| {
            claimed.extend(
                key.get(33..65).and_then(|bytes| bytes.try_into().ok()).map(BlobId::from_bytes),
            );
            true
        })?;
        for blob in claimed {
            if self.blobs.has(&blob)? {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }

    /// Notes what a list claims of a held large blob, unless it is known already.
    pub(super) fn claim(
        &self,
        artifact: &Artifact,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let sha256 = artifact.sha256.as_bytes();
        if artifact.size <= SMALL || self.large_of(sha256)? == Some(artifact.blake3) {
            return Ok(());
        }
        let key = rows::claimed_sha256(sha256, artifact.blake3.as_bytes());
        if self.index.get(&key)?.is_none() {
            changes.push(Change::Put(key, Vec::new()));
        }
        Ok(())
    }

    pub(crate) fn note_large(&self, pairs: &[([u8; 32], BlobId)]) -> Result<(), StoreError> {
        let changes: Vec<Change> = pairs
            .iter()
            .map(|(sha256, blob)| Change::Put(rows::large_sha256(sha256), blob.as_bytes().to_vec()))
            .collect();
        if changes.is_empty() { Ok(()) } else { self.index.apply(&changes) }
    }
}
