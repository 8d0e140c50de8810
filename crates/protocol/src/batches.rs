//! Batches of entries that the store is working on.
//!
//! Owns batch ids and maps each batch to its machine. Bounds the batches of gossip; a
//! reconciliation has one batch at a time.

use std::collections::BTreeMap;

use perennial_manifest::PublisherId;

use crate::peer::PeerId;

/// Batches in flight beyond which gossip is ignored.
pub(crate) const BATCHES: usize = 512;

/// The origin of a batch's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    Sync,
    Gossip(PublisherId),
}

/// Every batch in flight.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    next: u64,
    in_flight: BTreeMap<u64, (PeerId, Batch)>,
}

impl Batches {
    pub(crate) fn begin(&mut self, from: &PeerId, origin: Batch) -> u64 {
        let batch = self.next;
        self.next += 1;
        self.in_flight.insert(batch, (from.clone(), origin));
        batch
    }

    /// Removes a finished batch; returns the peer that sent it, and its origin.
    pub(crate) fn stored(&mut self, batch: u64) -> Option<(PeerId, Batch)> {
        self.in_flight.remove(&batch)
    }

    /// Returns whether the store is so far behind that gossip has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight.len() >= BATCHES
    }

    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }
}
