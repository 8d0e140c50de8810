//! Reading a blob while it arrives.
//!
//! Promises that a reader is told when bytes verified or the blob is whole, so that it need not
//! poll. Starts no fetch.

use std::ops::Range;
use std::sync::Arc;

use perennial_manifest::BlobId;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::partial::FetchProgress;
use crate::store::Store;

/// A blob that is being fetched, or about to be.
#[derive(Debug)]
pub struct Arriving {
    store: Store,
    blob: BlobId,
    progress: watch::Receiver<FetchProgress>,
    /// Keeps the channel open between two fetches of the blob.
    _channel: Arc<watch::Sender<FetchProgress>>,
}

impl Store {
    /// Follows the arrival of a blob, whether or not a fetch of it has begun.
    #[must_use]
    pub fn arriving(&self, blob: &BlobId) -> Arriving {
        let channel = self.0.blobs.progress(blob);
        Arriving {
            store: self.clone(),
            blob: *blob,
            progress: channel.subscribe(),
            _channel: channel,
        }
    }
}

impl Arriving {
    /// The progress of the fetch.
    #[must_use]
    pub fn progress(&self) -> FetchProgress {
        *self.progress.borrow()
    }

    /// Bytes from the start of a range that [`Arriving::read`] can return now. Reads no disk. 0
    /// once the blob is complete; use [`Store::open_blob`] then.
    #[must_use]
    pub fn readable(&self, range: Range<u64>) -> u64 {
        self.store.0.blobs.fetching(&self.blob).map_or(0, |partial| partial.readable(range))
    }

    /// Waits for the next change of [`Arriving::progress`].
    pub async fn changed(&mut self) {
        // It fails only when the channel is closed, and `_channel` keeps it open.
        let _ = self.progress.changed().await;
    }

    /// The bytes of a range, verified by groups of 16 KiB; `None` while some are missing, and once
    /// the blob is complete.
    ///
    /// # Errors
    /// [`StoreError::Denied`], and failures of the disk, including the loss of verified bytes.
    pub fn read(&self, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.read_arriving(&self.blob, range)
    }
}
