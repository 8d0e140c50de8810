//! The bytes of releases that are denied by name or by publisher: their files, and their lists.
//!
//! Made when the deny list changes and when the store is opened, from the lists that are here then:
//! nothing more of a denied release comes. Decides nothing, because a release that this node keeps
//! may have the same bytes.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perennial_manifest::{ArtifactListRef, BlobId, EntryId, Holding, ReleaseId};

use crate::catalog::ReleaseRow;
use crate::deny::Denial;
use crate::error::StoreError;
use crate::store::Store;

/// Files that are remembered, at most: about 50 bytes each.
const MOST: usize = 1 << 20;
/// Entries of denied publishers that are remembered, at most.
const MOST_REFUSED: usize = 1 << 16;

#[derive(Debug, Default)]
pub(crate) struct DeniedContent {
    denials: Vec<Denial>,
    files: HashMap<BlobId, usize>,
    lists: HashMap<BlobId, (usize, ArtifactListRef)>,
    large: Mutex<Large>,
    /// Entries that were offered and not taken in: peers need not be asked for them again.
    refused: Mutex<HashSet<EntryId>>,
}

/// The releases with more files than the index finds, as far as their lists are here.
#[derive(Debug, Default)]
struct Large {
    /// The generation of the store whose releases these are.
    generation: Option<u64>,
    releases: HashMap<ReleaseId, LargeRelease>,
}

#[derive(Debug)]
struct LargeRelease {
    row: ReleaseRow,
    /// The files that denied releases have as well.
    denied: HashSet<BlobId>,
}

impl DeniedContent {
    /// The content of these releases, each with its denial.
    pub(super) fn of(store: &Store, denied: Vec<(ReleaseRow, Denial)>) -> Self {
        let mut content = Self::default();
        for (row, denial) in denied {
            // A list that cannot be read is not handed out either.
            let list = match row.state {
                Holding::Known | Holding::Invalid => None,
                Holding::Partial | Holding::Held => store.read_list(&row.artifacts).ok().flatten(),
            };
            let at = content.denials.len();
            content.lists.insert(row.artifacts.blob, (at, row.artifacts));
            for artifact in list.iter().flatten() {
                if content.files.len() >= MOST && !content.files.contains_key(&artifact.blake3) {
                    tracing::warn!(release = %row.release, "too many files are denied: some are \
                        still handed out by their digests; run `perennial gc`");
                    break;
                }
                content.files.insert(artifact.blake3, at);
            }
            content.denials.push(denial);
        }
        content
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<EntryId>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an entry of a denied publisher that was offered.
    pub(super) fn refuse(&self, id: EntryId) {
        let mut refused = self.refused();
        if refused.len() < MOST_REFUSED {
            refused.insert(id);
        }
    }

    pub(super) fn has_refused(&self, id: &EntryId) -> bool {
        self.refused().contains(id)
    }

    /// The denial of a release that has a blob, or whose list it is.
    pub(super) fn denial(&self, blob: &BlobId) -> Option<&Denial> {
        let list = || self.lists.get(blob).map(|(at, _)| at);
        self.denials.get(*self.files.get(blob).or_else(list)?)
    }

    /// What a release says of this blob, if it is the list of a denied one.
    pub(super) fn list(&self, blob: &BlobId) -> Option<&ArtifactListRef> {
        self.lists.get(blob).map(|(_, list)| list)
    }

    /// Whether one of the releases that `keeps` selects has a denied blob among more files than the
    /// index finds.
    pub(super) fn is_in_large(
        &self,
        store: &Store,
        blob: &BlobId,
        keeps: impl Fn(&ReleaseRow) -> bool,
    ) -> Result<bool, StoreError> {
        let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        // Read first: what comes meanwhile belongs to the next generation.
        let generation = store.generation();
        if large.generation != Some(generation) {
            for row in store.large_releases()? {
                if large.releases.contains_key(&row.release) {
                    continue;
                }
                let Ok(Some(list)) = store.read_list(&row.artifacts) else { continue };
                let files = list.iter().map(|artifact| artifact.blake3);
                let denied = files.filter(|file| self.files.contains_key(file)).collect();
                large.releases.insert(row.release, LargeRelease { row, denied });
            }
            large.generation = Some(generation);
        }
        Ok(large.releases.values().any(|of| of.denied.contains(blob) && keeps(&of.row)))
    }
}
