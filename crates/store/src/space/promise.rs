//! Room promised to fetches of trusted publishers before their bytes come.
//!
//! Without it, fetches that begin together would each take a part of the last room, and none could
//! end. What strangers claim is promised nothing: their fetches take room as bytes come.

use std::path::Path;
use std::sync::Arc;

use perennial_manifest::BlobId;

use super::{BLOCK, Ledger, Space};
use crate::error::StoreError;
use crate::large::SMALL;

/// Room that is kept for blobs until it is dropped.
#[derive(Debug)]
pub struct Promise {
    space: Arc<Space>,
    blobs: Vec<(BlobId, u64)>,
}

/// Room that a blob takes of which this many bytes are missing: its tree, and the last blocks of
/// its files.
fn of_blob(bytes: u64) -> u64 {
    match bytes {
        0..=SMALL => bytes + BLOCK,
        _ => bytes.saturating_add(bytes / 256).saturating_add(super::OF_TREE),
    }
}

impl Space {
    /// Promises room for the missing bytes of blobs.
    pub(crate) fn promise(
        self: &Arc<Self>,
        missing: &[(BlobId, u64)],
        path: &Path,
    ) -> Result<Promise, StoreError> {
        let blobs: Vec<_> = missing.iter().map(|(blob, bytes)| (*blob, of_blob(*bytes))).collect();
        let sum = blobs.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        self.admit(sum, path, |ledger| {
            for (blob, bytes) in &blobs {
                *ledger.promised.entry(*blob).or_default() += bytes;
            }
            ledger.promised_bytes += sum;
        })?;
        Ok(Promise { space: Arc::clone(self), blobs })
    }
}

impl Ledger {
    /// Takes bytes of the room that a blob was promised.
    pub(super) fn keep_promise(&mut self, blob: &BlobId, bytes: u64) {
        let Some(promised) = self.promised.get_mut(blob) else { return };
        let bytes = bytes.min(*promised);
        *promised -= bytes;
        if *promised == 0 {
            self.promised.remove(blob);
        }
        self.promised_bytes -= bytes;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut ledger = self.space.ledger();
        for (blob, bytes) in &self.blobs {
            ledger.keep_promise(blob, *bytes);
        }
    }
}
