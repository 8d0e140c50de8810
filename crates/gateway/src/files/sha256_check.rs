//! Selection blobs were seen to have the SHA-256 that they are named by.
//!
//! A signed list only claims it. Promises that a pair counts as true once these bytes were hashed here, and forgets the oldest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::{BlobId, Sha256Digest};
use perennial_store::{Store, StoreError};

use crate::content::run;

/// How many pairs are remembered.
const KEPT: usize = 4096;

/// Pairs, and whether they are true.
#[derive(Debug, Default)]
pub(super) struct Sha256Checks {
    pairs: Mutex<VecDeque<(Sha256Digest, BlobId, bool)>>,
    /// Held while bytes are hashed: many who ask for one blob cost one hashing, and all of them one core and one thread.
    hashing: Arc<tokio::sync::Mutex<()>>,
}

impl Sha256Checks {
    fn known(&self, sha256: &Sha256Digest, blob: &BlobId) -> Option<bool> {
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.iter().find(|(s, b, _)| s == sha256 && b == blob).map(|(_, _, holds)| *holds)
    }

    /// Whether a blob that is held has this SHA-256. Reads it unless it was read before.
    pub(super) async fn holds(
        self: &Arc<Self>,
        store: &Store,
        sha256: Sha256Digest,
        blob: BlobId,
    ) -> Result<bool, StoreError> {
        if let Some(holds) = self.known(&sha256, &blob) {
            return Ok(holds);
        }
        let turn = Arc::clone(&self.hashing).lock_owned().await;
        if let Some(holds) = self.known(&sha256, &blob) {
            return Ok(holds);
        }
        let (hashed, store) = (Arc::clone(self), store.clone());
        let work = run(move || {
            // goes with the work, which goes on when the client leaves
            let _turn = turn;
            let found = store.copy_out(&blob, &mut std::io::sink())?;
            store.note_sha256(&[(found, blob)])?;
            let holds = found == sha256;
            let mut pairs = hashed.pairs.lock().unwrap_or_else(PoisonError::into_inner);
            if pairs.len() == KEPT {
                pairs.pop_front();
            }
            pairs.push_back((sha256, blob, holds));
            Ok(holds)
        });
        work.await
    }
}
