//! `get` by digest: nobody's signature is needed, and nothing but the bytes is believed.
//!
//! What a peer says, that a SHA-256 names a blob or how long a blob is, is a claim: it costs nothing when it is a lie, and
//! does not stand in the way of a peer that says the truth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use perennial_control::{ErrorCode, Failure, Get, GetDone, Progress, Sink, Stage};
use perennial_manifest::{BlobId, Selector, Sha256Digest};
use perennial_protocol::peer::PeerId;
use perennial_store::{BlobState, MAX_BLOB, StoreError};

use super::{fetch_failure, forward};
use crate::archive::export::{check_sha256, export_blob};
use crate::archive::fetch::{FetchError, wanted};
use crate::blocking::blocking;
use crate::failure::failed;
use crate::frontends::control::Services;

/// So many claimed sizes of one blob are tried.
const CLAIMED_SIZES: usize = 8;
/// How long others may take to come after those who answered were of no use, and how often they are asked for.
const OTHERS_WAIT: Duration = Duration::from_secs(5);
const OTHERS_POLL: Duration = Duration::from_millis(250);

impl Services {
    pub(super) async fn blob_of(
        &self,
        digest: Sha256Digest,
        sink: &Sink,
    ) -> Result<BlobId, Failure> {
        let store = self.store.clone();
        if let Some(blob) = blocking(move || store.blob_of_sha256(&digest)).await.map_err(failed)? {
            return Ok(blob);
        }
        sink.progress(Progress::of(Stage::Finding));
        self.connected().await;
        let answer = self.core.lookup(Selector::Sha256(digest), None).await;
        // a claim: the bytes are hashed before they are given out
        let claim = answer.claims.first().map(|(_, claim)| claim.blob);
        claim.ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("nobody who can be reached holds {digest}"))
        })
    }

    /// Fetches a blob whose size nobody signed: the sizes that peers claim are tried, that of most peers first. Only the
    /// true one verifies.
    async fn fetch_blob(&self, blob: BlobId, sink: &Sink) -> Result<Vec<(PeerId, u64)>, Failure> {
        self.connected().await;
        let mut outcome = Err(Failure::new(
            ErrorCode::NotFound,
            format!("nobody who can be reached holds {blob}"),
        ));
        let (mut tried, begun) = (BTreeSet::new(), Instant::now());
        loop {
            let answer = self.core.lookup(Selector::Blob(blob), None).await;
            let claimed = !answer.claims.is_empty();
            let sizes = claimed_sizes(answer.claims.iter().map(|(_, claim)| claim.size));
            for size in
                sizes.into_iter().filter(|size| tried.len() < CLAIMED_SIZES && tried.insert(*size))
            {
                let mut ticket =
                    self.core.fetch(None).await.ok_or_else(|| failed("the node is going down"))?;
                forward(ticket.progress.clone(), sink.clone());
                let store = self.store.clone();
                // reads again what came before it was cut
                let missing = blocking(move || wanted(&store, blob, size)).await.map_err(failed)?;
                ticket.add(vec![missing], true).await;
                match ticket.done().await {
                    Ok(from) => return Ok(from),
                    Err(failure) => outcome = Err(fetch_failure(FetchError::Peers(failure))),
                }
            }
            // whoever answered lied or left: one who says the truth may still be connecting
            if !claimed || begun.elapsed() >= OTHERS_WAIT {
                return outcome;
            }
            tokio::time::sleep(OTHERS_POLL).await;
        }
    }

    pub(super) async fn get_blob(
        &self,
        request: &Get,
        blob: BlobId,
        sha256: Option<Sha256Digest>,
        started: Instant,
        sink: &Sink,
    ) -> Result<GetDone, Failure> {
        let _lease = self.store.lease(vec![blob]);
        let store = self.store.clone();
        let mut from = BTreeMap::new();
        match blocking(move || store.blob_state(&blob)).await.map_err(failed)? {
            BlobState::Held { .. } => {}
            BlobState::Denied => return Err(failed(StoreError::Denied(blob))),
            BlobState::Partial { .. } | BlobState::Missing => {
                let got = self.fetch_blob(blob, sink).await?;
                from.extend(got.into_iter().map(|(peer, bytes)| (peer.to_string(), bytes)));
            }
        }
        let store = self.store.clone();
        let bytes = blocking(move || store.blob_size(&blob)).await.map_err(failed)?.unwrap_or(0);
        let mut output = None;
        if let Some(target) = request.output.clone() {
            let (store, damage, force) =
                (self.store.clone(), self.core.damage.clone(), request.force);
            let written = tokio::task::spawn_blocking(move || {
                export_blob(&store, &damage, &blob, sha256.as_ref(), &target, force)
            })
            .await;
            output = Some(written.map_err(failed)??.display().to_string());
        } else if let Some(sha256) = sha256 {
            let (store, damage) = (self.store.clone(), self.core.damage.clone());
            let checked =
                tokio::task::spawn_blocking(move || check_sha256(&store, &damage, &blob, &sha256));
            checked.await.map_err(failed)??;
        }
        Ok(GetDone {
            release: None,
            blob: Some(blob.to_string()),
            purl: None,
            artifacts: 1,
            bytes,
            fetched_bytes: from.values().sum(),
            from,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            publishers: Vec::new(),
            output,
        })
    }
}

/// Sizes worth trying, in order: claimed by most, then the smallest. What no blob may have is left out.
fn claimed_sizes(claims: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut peers = BTreeMap::<u64, usize>::new();
    for size in claims.filter(|size| *size <= MAX_BLOB) {
        *peers.entry(size).or_default() += 1;
    }
    let mut sizes: Vec<_> = peers.into_iter().collect();
    sizes.sort_by_key(|(size, peers)| (Reverse(*peers), *size));
    sizes.into_iter().take(CLAIMED_SIZES).map(|(size, _)| size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_most_peers_is_tried_first_and_an_impossible_one_never() {
        assert_eq!(claimed_sizes([9, 1 << 63, 7, 9, 8, 1 << 63].into_iter()), [9, 7, 8]);
        assert_eq!(claimed_sizes(0..100).len(), CLAIMED_SIZES);
        assert!(claimed_sizes(std::iter::empty()).is_empty());
    }
}
