//! The bytes of releases that are denied by name or by publisher: their files, and their lists.
//!
//! Made when the deny list changes and when the store is opened, from the lists that are here then:
//! nothing more of a denied release comes. Decides nothing, because a release that this node keeps
//! may have the same bytes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::{ArtifactListRef, BlobId, Holding, ReleaseId};

use crate::catalog::ReleaseRow;
use crate::deny::Denial;
use crate::error::StoreError;
use crate::store::Store;

/// Files that are remembered, at most: about 50 bytes each.
const MOST: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct DeniedContent {
    denials: Vec<Denial>,
    files: HashMap<BlobId, usize>,
    lists: HashMap<BlobId, (usize, ArtifactListRef)>,
    large: Mutex<Large>,
}

/// The releases with more files than the index finds, as far as their lists are here.
#[derive(Debug, Default)]
struct Large {
    /// The generation of the store whose releases these are.
    generation: Option<u64>,
    /// With the files of theirs that denied releases have as well.
    releases: HashMap<ReleaseId, Arc<(ReleaseRow, HashSet<BlobId>)>>,
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

    /// The denial of a release that has a blob, or whose list it is.
    pub(super) fn denial(&self, blob: &BlobId) -> Option<&Denial> {
        let list = || self.lists.get(blob).map(|(at, _)| at);
        self.denials.get(*self.files.get(blob).or_else(list)?)
    }

    /// What a release says of this blob, if it is the list of a denied one.
    pub(super) fn list(&self, blob: &BlobId) -> Option<&ArtifactListRef> {
        self.lists.get(blob).map(|(_, list)| list)
    }

    /// The releases that have a denied blob among more files than the index finds.
    pub(super) fn large_with(
        &self,
        store: &Store,
        blob: &BlobId,
    ) -> Result<Vec<Arc<(ReleaseRow, HashSet<BlobId>)>>, StoreError> {
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
                let both = files.filter(|file| self.files.contains_key(file)).collect();
                large.releases.insert(row.release, Arc::new((row, both)));
            }
            large.generation = Some(generation);
        }
        Ok(large.releases.values().filter(|of| of.1.contains(blob)).cloned().collect())
    }
}
