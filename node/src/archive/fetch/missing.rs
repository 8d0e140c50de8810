//! What is missing of a release: the blobs of its list that are not held, and their ranges.

use std::collections::BTreeMap;

use perennial_manifest::{Artifact, BlobId};
use perennial_protocol::WantedBlob;
use perennial_store::{BlobState, SMALL, Store, StoreError};

/// The blobs of a list that are not held, each once, with their missing ranges.
pub(super) fn missing<'a>(
    store: &Store,
    list: impl IntoIterator<Item = &'a Artifact>,
) -> Result<Vec<WantedBlob>, StoreError> {
    let mut found = BTreeMap::new();
    for artifact in list {
        if found.contains_key(&artifact.blake3) {
            continue;
        }
        if artifact.size == 0 {
            // An empty blob needs no peer.
            drop(store.add_small(vec![Vec::new()])?);
        }
        store.refuse_artifact(artifact)?;
        match store.blob_state(&artifact.blake3)? {
            BlobState::Held { size } if size == artifact.size => {}
            BlobState::Denied => store.refuse_denied(&artifact.blake3)?,
            _ => {
                found.insert(artifact.blake3, wanted(store, artifact.blake3, artifact.size)?);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The missing ranges of a blob. After an interrupted fetch of a large blob, the ranges that
/// arrived are not fetched again.
pub(super) fn wanted(store: &Store, blob: BlobId, size: u64) -> Result<WantedBlob, StoreError> {
    let missing = if size == 0 || store.blob_size(&blob)? == Some(size) {
        // Nothing is missing: another fetch may have brought it a moment ago.
        Vec::new()
    } else if size > SMALL && store.has_partial(&blob, size) {
        let partial = store.partial(blob, size)?;
        if partial.is_complete() {
            store.complete(&partial)?;
        }
        partial.missing().into_iter().map(|range| (range.start, range.end)).collect()
    } else {
        vec![(0, size)]
    };
    Ok(WantedBlob { blob, size, missing })
}
