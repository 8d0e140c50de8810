//! Blobs by digest: no signature is needed, and only the bytes are believed.
//!
//! A peer's statement that a SHA-256 names a blob, or how long a blob is, is a claim. A false claim
//! costs a bounded number of attempts and does not block a peer that tells the truth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use perennial_manifest::{BlobId, Selector, Sha256Digest};
use perennial_operation::{Progress, Stage};
use perennial_protocol::{FetchFailure, PeerId};
use perennial_store::{BlobState, Lease, MAX_BLOB};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::archive::fetch::{FetchError, fetch_wanted};
use crate::archive::{Archive, ArchiveError, Observer};
use crate::network::fetch_handle::FetchProgress;

/// Claimed sizes tried per blob, at most.
const CLAIMED_SIZES: usize = 8;
/// Releases whose lists are looked at for a digest, at most.
const LISTS: usize = 64;
/// Held blobs that are hashed to find one digest, at most.
const HASHED: usize = 4;
/// How long to wait for further peers once those that answered have proved useless.
const OTHERS_WAIT: Duration = Duration::from_secs(5);

/// A blob that is held.
#[derive(Debug)]
pub struct FetchedBlob {
    /// Its BLAKE3 id.
    pub blob: BlobId,
    /// Its length in bytes.
    pub size: u64,
    /// Verified bytes by peer; empty if the blob was already held.
    pub from: BTreeMap<PeerId, u64>,
    /// Protects the blob from collection while the value lives.
    _lease: Lease,
}

impl Archive {
    /// The held blob with this SHA-256, by this node's own hashing. Blobs that earlier versions
    /// fetched are hashed now if a list claims the digest for one of them: trusted lists first.
    pub(super) async fn held_with(
        &self,
        digest: Sha256Digest,
    ) -> Result<Option<BlobId>, ArchiveError> {
        self.blocking(move |archive| {
            let (store, own) = (&archive.store, archive.publisher());
            store.refuse_target(&digest.into())?;
            if let Some(blob) = store.blob_of_sha256(&digest)? {
                return Ok(Some(blob));
            }
            let mut rows = store.releases_with(&digest, LISTS)?;
            rows.sort_by_key(|row| !store.trusts(&own, &row.publisher));
            let mut tried = BTreeSet::new();
            for row in rows {
                let Ok(Some(list)) = store.read_list(&row.artifacts) else { continue };
                for file in list.iter().filter(|file| file.sha256 == digest) {
                    if tried.len() < HASHED
                        && tried.insert(file.blake3)
                        && store.blob_size(&file.blake3)?.is_some()
                        && store.hash(&file.blake3).is_ok_and(|hashed| hashed == digest)
                    {
                        return Ok(Some(file.blake3));
                    }
                }
            }
            Ok::<_, ArchiveError>(None)
        })
        .await
    }

    /// The blob with this SHA-256, according to this node's own hashing, or to a claim of a peer.
    /// Check the bytes ([`Archive::check_sha256`]) before relying on it.
    ///
    /// # Errors
    /// [`ArchiveError::NoClaim`], or the store's error.
    pub async fn blob_of(
        &self,
        digest: Sha256Digest,
        observer: &dyn Observer,
    ) -> Result<BlobId, ArchiveError> {
        if let Some(blob) = self.held_with(digest).await? {
            return Ok(blob);
        }
        observer.progress(Progress::of(Stage::Finding));
        let unreached = self.network.connected().await;
        let answer = self.network.lookup(Selector::Sha256(digest), None).await;
        match answer.claims.first() {
            Some((_, claim)) => Ok(claim.blob),
            None if answer.answered == 0 && !unreached.is_empty() => {
                Err(ArchiveError::Unreached(unreached))
            }
            None => Err(ArchiveError::NoClaim(digest)),
        }
    }

    /// Fetches a blob from any peer that has it, unless it is already held.
    ///
    /// # Errors
    /// [`ArchiveError::NoHolder`], [`FetchError`], or the store's error.
    pub async fn get_blob(
        &self,
        blob: BlobId,
        observer: &dyn Observer,
    ) -> Result<Arc<FetchedBlob>, ArchiveError> {
        let archive = self.clone();
        let fetch = move |progress| async move { get_blob(&archive, blob, &progress).await };
        match self.fetches.digests.join(blob, fetch).observed_by(observer).await {
            Ok(fetched) => Ok(fetched),
            Err(FetchError::Peers(FetchFailure::NoHolder) | FetchError::Alone) => {
                Err(ArchiveError::NoHolder(blob))
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn get_blob(
    archive: &Archive,
    blob: BlobId,
    progress: &watch::Sender<FetchProgress>,
) -> Result<Arc<FetchedBlob>, FetchError> {
    let lease = archive.store.lease(vec![blob]);
    let mut from = BTreeMap::new();
    match archive.in_store(move |store| store.blob_state(&blob)).await? {
        BlobState::Held { .. } => {}
        BlobState::Denied => archive.in_store(move |store| store.refuse_denied(&blob)).await?,
        BlobState::Partial { .. } | BlobState::Missing => {
            from.extend(fetch_of_any_size(archive, blob, progress).await?);
        }
    }
    let size = archive.in_store(move |store| {
        // Its SHA-256 was computed on the way: it is found by it from here on.
        if store.known_sha256(&blob)?.is_some() {
            store.hash(&blob)?;
        }
        store.blob_size(&blob)
    });
    let size = size.await?.unwrap_or(0);
    Ok(Arc::new(FetchedBlob { blob, size, from, _lease: lease }))
}

/// Fetches a blob whose size no signature covers: tries the sizes that peers claim, most frequent
/// first. Only the true size verifies.
async fn fetch_of_any_size(
    archive: &Archive,
    blob: BlobId,
    progress: &watch::Sender<FetchProgress>,
) -> Result<Vec<(PeerId, u64)>, FetchError> {
    let unreached = archive.network.connected().await;
    if !unreached.is_empty() {
        return Err(FetchError::Unreached(unreached));
    }
    let mut failure = FetchError::Peers(FetchFailure::NoHolder);
    let mut tried = BTreeSet::new();
    let give_up = Instant::now() + OTHERS_WAIT;
    loop {
        let mut overview = archive.network.overview();
        let asked: BTreeSet<_> = overview.borrow_and_update().peers.keys().cloned().collect();
        let answer = archive.network.lookup(Selector::Blob(blob), None).await;
        let tried_before = tried.len();
        for size in claimed_sizes(answer.claims.iter().map(|(_, claim)| claim.size)) {
            if tried.len() >= CLAIMED_SIZES || !tried.insert(size) {
                continue;
            }
            match fetch_wanted(archive, None, blob, size, progress).await {
                Ok(from) => return Ok(from),
                Err(error @ (FetchError::Peers(_) | FetchError::Alone)) => failure = error,
                Err(error) => return Err(error),
            }
        }
        if answer.claims.is_empty() || Instant::now() >= give_up {
            return Err(failure);
        }
        if tried.len() > tried_before {
            // A claim was refuted, and its peer perhaps banned: the other peers' claims may have
            // changed.
            continue;
        }
        // A truthful peer may still be connecting. Peers are asked again once the set of connected
        // peers changes.
        let changed = overview.wait_for(|now| !now.peers.keys().eq(asked.iter()));
        if !matches!(timeout_at(give_up, changed).await, Ok(Ok(_))) {
            return Err(failure);
        }
    }
}

/// Sizes worth trying, in order: claimed by most peers first, then the smallest. Excludes sizes
/// that no blob may have.
fn claimed_sizes(claims: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut peers = BTreeMap::<u64, usize>::new();
    for size in claims.filter(|size| *size <= MAX_BLOB) {
        *peers.entry(size).or_default() += 1;
    }
    let mut sizes: Vec<_> = peers.into_iter().collect();
    sizes.sort_by_key(|(size, peers)| (Reverse(*peers), *size));
    sizes.into_iter().take(CLAIMED_SIZES).map(|(size, _)| size).collect()
}

/// The size that most peers claim, if it is one that a blob may have.
pub(in crate::archive) fn likely_size(claims: impl Iterator<Item = u64>) -> Option<u64> {
    claimed_sizes(claims).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_most_peers_claim_is_tried_first() {
        assert_eq!(claimed_sizes([9, 1 << 63, 7, 9, 8, 1 << 63].into_iter()), [9, 7, 8]);
        assert_eq!(claimed_sizes(0..100).len(), CLAIMED_SIZES);
        assert!(claimed_sizes(std::iter::empty()).is_empty());
    }
}
