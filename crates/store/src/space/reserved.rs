//! Room for a file that is being written under a temporary name, which may yet be removed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use perennial_manifest::BlobId;

use super::{BLOCK, Space};
use crate::error::StoreError;

/// Room that is taken, by one writer. What is dropped before [`Reserved::keep`] is room again: remove the file
/// first.
#[derive(Debug)]
pub(crate) struct Reserved {
    space: Arc<Space>,
    /// Bytes taken and not yet written.
    left: AtomicU64,
    /// Bytes written.
    written: AtomicU64,
}

impl Space {
    /// Takes room for a file; `path` is what is to be written.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        bytes: u64,
        path: &Path,
    ) -> Result<Reserved, StoreError> {
        self.admit(bytes, path, |ledger| ledger.reserved += bytes)?;
        Ok(self.reserved(bytes))
    }

    /// As [`Space::reserve`], for bytes of a blob.
    pub(crate) fn reserve_for(
        self: &Arc<Self>,
        blob: &BlobId,
        bytes: u64,
        path: &Path,
    ) -> Result<Reserved, StoreError> {
        self.admit_for(Some(blob), bytes, path, |ledger| ledger.reserved += bytes)?;
        Ok(self.reserved(bytes))
    }

    fn reserved(self: &Arc<Self>, bytes: u64) -> Reserved {
        let (left, written) = (AtomicU64::new(bytes), AtomicU64::new(0));
        Reserved { space: Arc::clone(self), left, written }
    }
}

impl Reserved {
    /// Notes bytes that are about to be written, and takes more room if they are more than was
    /// taken.
    pub(crate) fn write(&self, bytes: u64, path: &Path) -> Result<(), StoreError> {
        let left = self.left.load(Ordering::Relaxed);
        let more = bytes.saturating_sub(left);
        if more > 0 {
            self.space.admit(more, path, |ledger| ledger.reserved += more)?;
        }
        let mut ledger = self.space.ledger();
        ledger.reserved -= bytes;
        ledger.unfinished += bytes;
        self.left.store(left + more - bytes, Ordering::Relaxed);
        self.written.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// As [`Reserved::write`], of a whole file: its last block is allocated in full.
    pub(crate) fn write_file(&self, bytes: u64, path: &Path) -> Result<(), StoreError> {
        self.write(bytes.next_multiple_of(BLOCK), path)
    }

    /// Gives back room, down to `bytes` that are not yet written.
    pub(crate) fn shrink(&self, bytes: u64) {
        let left = self.left.load(Ordering::Relaxed);
        let less = left.saturating_sub(bytes);
        self.space.ledger().reserved -= less;
        self.left.store(left - less, Ordering::Relaxed);
    }

    /// The files that were written stay.
    pub(crate) fn keep(self) {
        self.space.count(self.written.load(Ordering::Relaxed));
        // Last blocks were rounded up.
        self.space.shrunk();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut ledger = self.space.ledger();
        ledger.reserved -= self.left.load(Ordering::Relaxed);
        ledger.unfinished -= self.written.load(Ordering::Relaxed);
    }
}
