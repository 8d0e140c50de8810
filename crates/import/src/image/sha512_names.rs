//! Candidate blobs for a digest: the store finds those of a SHA-256; for SHA-512, the lists of the
//! stored image releases are read.
//!
//! Promises bounded memory, but not the truth: a list may claim anything, so the caller verifies
//! the bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::BlobId;
use perennial_oci::Digest;
use perennial_store::{ReleaseFilter, Store, StoreError};

/// Most releases whose lists are read, the newest first.
const MAX_LISTS: usize = 1_000;
/// Most digests remembered.
const MAX_DIGESTS: usize = 100_000;
/// Most blobs tried for one digest.
const MAX_EACH: usize = 4;

type Blobs = BTreeMap<Digest, Vec<BlobId>>;

/// An index by SHA-512, built on first use, because few images have such digests.
#[derive(Debug, Clone, Default)]
pub(super) struct Sha512Names(Arc<Mutex<Option<Blobs>>>);

impl Sha512Names {
    /// The blobs that may have a digest. Blocking.
    pub(super) fn candidates(
        &self,
        digest: &Digest,
        store: &Store,
    ) -> Result<Vec<BlobId>, StoreError> {
        if let Some(sha256) = digest.sha256() {
            return Ok(store.blob_of_sha256(&sha256)?.into_iter().collect());
        }
        let mut blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs = match &mut *blobs {
            Some(blobs) => blobs,
            none => none.insert(listed(store)?),
        };
        Ok(blobs.get(digest).cloned().unwrap_or_default())
    }

    /// Records a blob whose bytes were found to have a digest. Blocking.
    pub(super) fn note(&self, digest: &Digest, blob: BlobId) {
        if digest.sha256().is_some() {
            return;
        }
        if let Some(blobs) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // A verified blob is tried before claimed ones.
            blobs.entry(*digest).or_default().insert(0, blob);
        }
    }
}

/// The SHA-512 digests that lists claim for blobs in the store.
fn listed(store: &Store) -> Result<Blobs, StoreError> {
    let mut releases = store.releases(&ReleaseFilter::default())?;
    releases.retain(|release| release.purl.ty() == "docker");
    releases.sort_by_key(|release| std::cmp::Reverse(release.issued_at));
    let mut found = Blobs::new();
    for release in releases.iter().take(MAX_LISTS) {
        // An unreadable list costs a download, not the import.
        let Ok(Some(list)) = store.read_list(&release.artifacts) else { continue };
        for artifact in list.iter() {
            let digest = Digest::of_path(artifact.path.as_str());
            let Some(digest) = digest.filter(|digest| digest.sha256().is_none()) else { continue };
            if found.len() >= MAX_DIGESTS {
                return Ok(found);
            }
            if store.blob_size(&artifact.blake3)?.is_none() {
                continue;
            }
            let blobs = found.entry(digest).or_default();
            if blobs.len() < MAX_EACH && !blobs.contains(&artifact.blake3) {
                blobs.push(artifact.blake3);
            }
        }
    }
    Ok(found)
}
