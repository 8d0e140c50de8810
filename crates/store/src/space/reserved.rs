//! Room for a file that is being written under a temporary name, which may yet be removed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perennial_manifest::BlobId;

use super::{BLOCK, Ledger, Space};
use crate::error::StoreError;

/// Room that is taken, by one writer. What is dropped before [`Reserved::keep`] is room again:
/// remove the file first.
#[derive(Debug)]
pub(crate) struct Reserved {
    space: Arc<Space>,
    /// Bytes taken and not yet written.
    left: AtomicU64,
    /// Bytes written.
    written: AtomicU64,
    /// Bytes of `left` that come from a promise.
    promised: Option<(BlobId, AtomicU64)>,
}

impl Space {
    /// Takes room for a file; `path` is what is to be written.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        bytes: u64,
        path: &Path,
    ) -> Result<Reserved, StoreError> {
        self.admit(bytes, path, |ledger| ledger.reserved += bytes)?;
        Ok(self.reserved(bytes, None))
    }

    /// As [`Space::reserve`], for bytes of a blob. What is given back goes to the promise that it
    /// was taken from.
    pub(crate) fn reserve_for(
        self: &Arc<Self>,
        blob: BlobId,
        bytes: u64,
        path: &Path,
    ) -> Result<Reserved, StoreError> {
        let promised = self.admit_for(Some(&blob), bytes, path, |ledger, promised| {
            ledger.reserved += bytes;
            promised
        })?;
        Ok(self.reserved(bytes, Some((blob, AtomicU64::new(promised)))))
    }

    fn reserved(self: &Arc<Self>, bytes: u64, promised: Option<(BlobId, AtomicU64)>) -> Reserved {
        let (left, written) = (AtomicU64::new(bytes), AtomicU64::new(0));
        Reserved { space: Arc::clone(self), left, written, promised }
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

    /// Notes bytes that are in the file now, where they are counted.
    pub(crate) fn settled(&self, bytes: u64) {
        let left = self.left.load(Ordering::Relaxed);
        let settled = left.min(bytes);
        self.left.store(left - settled, Ordering::Relaxed);
        self.space.ledger().reserved -= settled;
        if let Some((_, promised)) = &self.promised {
            let of_promise = promised.load(Ordering::Relaxed);
            promised.store(of_promise.saturating_sub(settled), Ordering::Relaxed);
        }
    }

    fn give_back(&self, ledger: &mut Ledger, bytes: u64) {
        ledger.reserved -= bytes;
        if let Some((blob, promised)) = &self.promised {
            let of_promise = promised.load(Ordering::Relaxed).min(bytes);
            promised.fetch_sub(of_promise, Ordering::Relaxed);
            ledger.renew_promise(blob, of_promise);
        }
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
        self.give_back(&mut ledger, self.left.load(Ordering::Relaxed));
        ledger.unfinished -= self.written.load(Ordering::Relaxed);
    }
}
