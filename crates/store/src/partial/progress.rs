//! Progress of fetches, for readers that wait for the bytes.
//!
//! Owns a channel per blob that is being fetched or waited for. Reads no disk: the groups of a
//! fetch are known in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use perennial_manifest::BlobId;
use tokio::sync::watch;

/// The progress of a blob's fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Bytes that arrived and verified, in any order.
    pub verified: u64,
    /// The blob is whole and belongs to the store.
    pub complete: bool,
}

/// The channels, by blob. A channel lives as long as a fetch or a reader uses it.
#[derive(Debug, Default)]
pub(crate) struct ProgressChannels(Mutex<HashMap<BlobId, Weak<watch::Sender<FetchProgress>>>>);

impl ProgressChannels {
    /// The channel of a blob, shared by its fetches and readers.
    pub(crate) fn of(&self, blob: &BlobId) -> Arc<watch::Sender<FetchProgress>> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(blob).and_then(Weak::upgrade) {
            return channel;
        }
        channels.retain(|_, channel| channel.strong_count() > 0);
        let channel = Arc::new(watch::Sender::new(FetchProgress::default()));
        channels.insert(*blob, Arc::downgrade(&channel));
        channel
    }
}
