//! Which blob a digest may name: by the store for SHA-256; for SHA-512, which the store does not know, by the lists of the
//! image releases that are here.
//!
//! Promises bounded memory and nothing about truth: anyone may list what they like, so whoever asks reads the bytes through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::image::{Digest, DigestAlgorithm};
use perennial_manifest::{BlobId, Sha256Digest};
use perennial_store::{ReleaseFilter, Store, StoreError};

use super::path_of;

/// Releases whose lists are read, the newest first.
const MAX_LISTS: usize = 1_000;
/// Digests that are remembered.
const MAX_DIGESTS: usize = 100_000;
/// Blobs that are tried for one digest.
const MAX_EACH: usize = 4;

/// Blobs by the path that an image layout has for them.
type Paths = BTreeMap<String, Vec<BlobId>>;

/// What goes by SHA-512, once something is asked for that does: few images do.
#[derive(Debug, Clone, Default)]
pub(super) struct Named(Arc<Mutex<Option<Paths>>>);

impl Named {
    /// What may be what a digest names. Blocking.
    pub(super) fn by(&self, digest: &Digest, store: &Store) -> Result<Vec<BlobId>, StoreError> {
        if let Ok(sha256) = digest.to_string().parse::<Sha256Digest>() {
            return Ok(store.blob_of_sha256(&sha256)?.into_iter().collect());
        }
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = match &mut *paths {
            Some(paths) => paths,
            none => none.insert(listed(store)?),
        };
        Ok(paths.get(&path_of(digest)).cloned().unwrap_or_default())
    }

    /// Remembers what this import found to be what a digest names. Blocking.
    pub(super) fn note(&self, digest: &Digest, blob: BlobId) {
        if *digest.algorithm() == DigestAlgorithm::Sha256 {
            return;
        }
        if let Some(paths) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // what was read through is tried first
            paths.entry(path_of(digest)).or_default().insert(0, blob);
        }
    }
}

/// What the lists say of blobs that are here.
fn listed(store: &Store) -> Result<Paths, StoreError> {
    let mut releases = store.releases(&ReleaseFilter::default())?;
    releases.retain(|release| release.purl.ty() == "docker");
    releases.sort_by_key(|release| std::cmp::Reverse(release.issued_at));
    let mut paths = Paths::new();
    for release in releases.iter().take(MAX_LISTS) {
        // one that cannot be read costs a download, not the import
        let Ok(Some(list)) = store.read_list(&release.artifacts) else { continue };
        for artifact in
            list.iter().filter(|artifact| artifact.path.as_str().starts_with("blobs/sha512/"))
        {
            if paths.len() >= MAX_DIGESTS {
                return Ok(paths);
            }
            if store.blob_size(&artifact.blake3)?.is_none() {
                continue;
            }
            let blobs = paths.entry(artifact.path.to_string()).or_default();
            if blobs.len() < MAX_EACH && !blobs.contains(&artifact.blake3) {
                blobs.push(artifact.blake3);
            }
        }
    }
    Ok(paths)
}
