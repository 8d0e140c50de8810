//! Room promised to fetches of trusted publishers before their bytes come.
//!
//! Without it, fetches that begin together would each take a part of the last room, and none could
//! end. What strangers claim is promised nothing: their fetches take room as bytes come.

use std::path::Path;
use std::sync::Arc;

use perennial_manifest::BlobId;

use super::{BLOCK, Ledger, OF_TREE, Space};
use crate::error::StoreError;
use crate::large::SMALL;

/// Room that is kept for blobs until it is dropped.
#[derive(Debug)]
pub struct Promise {
    space: Arc<Space>,
    blobs: Vec<(BlobId, u64)>,
}

/// Streams of one blob that a promise has room for at one time.
const STREAMS: u64 = 8;

/// What is left of the room of a blob, and how many promises it is for.
#[derive(Debug, Default)]
pub(super) struct Promised {
    left: u64,
    promises: u64,
}

/// Room that a blob takes of which this many bytes are missing: its tree, and the last blocks of
/// its files.
fn of_blob(bytes: u64) -> u64 {
    match bytes {
        0..=SMALL => bytes + BLOCK,
        _ => bytes.saturating_add(bytes / 256).saturating_add(STREAMS * OF_TREE),
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
                let promised = ledger.promised.entry(*blob).or_default();
                promised.left += bytes;
                promised.promises += 1;
            }
            ledger.promised_bytes += sum;
        })?;
        Ok(Promise { space: Arc::clone(self), blobs })
    }
}

impl Ledger {
    /// The room that is left of what a blob was promised.
    pub(super) fn promised_to(&self, blob: &BlobId) -> u64 {
        self.promised.get(blob).map_or(0, |promised| promised.left)
    }

    /// Takes bytes of the room that a blob was promised.
    pub(super) fn keep_promise(&mut self, blob: &BlobId, bytes: u64) {
        let Some(promised) = self.promised.get_mut(blob) else { return };
        let bytes = bytes.min(promised.left);
        promised.left -= bytes;
        self.promised_bytes -= bytes;
    }

    /// Gives bytes back that were taken of a promise and not needed.
    pub(super) fn renew_promise(&mut self, blob: &BlobId, bytes: u64) {
        let Some(promised) = self.promised.get_mut(blob) else { return };
        promised.left += bytes;
        self.promised_bytes += bytes;
    }

    /// Ends one of the promises of a blob.
    fn end_promise(&mut self, blob: &BlobId, bytes: u64) {
        self.keep_promise(blob, bytes);
        let Some(promised) = self.promised.get_mut(blob) else { return };
        promised.promises -= 1;
        if promised.promises == 0 {
            self.promised_bytes -= promised.left;
            self.promised.remove(blob);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut ledger = self.space.ledger();
        for (blob, bytes) in &self.blobs {
            ledger.end_promise(blob, *bytes);
        }
    }
}
