//! What the user decided: pins, follows, the deny list. Each lasts once it was answered.
//!
//! Owns no file: [`crate::state`] does. Keeps the index in step where a decision changes what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::BlobId;

use crate::error::StoreError;
use crate::state::{Follows, Pin};
use crate::store::Store;

impl Store {
    /// What may not be collected.
    #[must_use]
    pub fn pins(&self) -> BTreeSet<Pin> {
        self.0.state.pins()
    }

    /// Pins or unpins; whether that changed anything. It lasts once this returned.
    pub fn set_pin(&self, pin: Pin, pinned: bool) -> Result<bool, StoreError> {
        self.0.state.set_pin(pin, pinned)
    }

    /// Whose releases are fetched and kept.
    #[must_use]
    pub fn follows(&self) -> Follows {
        self.0.state.follows()
    }

    /// Replaces the follows; the releases that are wanted then follow from them. It lasts once this returned.
    pub fn set_follows(&self, follows: &Follows) -> Result<(), StoreError> {
        let before = self.0.state.follows();
        self.0.state.set_follows(follows.clone())?;
        self.0.write(|catalog| catalog.follow(Some(&before), follows))?;
        let newest =
            follows.publishers.keys().filter_map(|id| Some((*id, self.feed(id).ok()?.highest()?)));
        let newest: Vec<_> = newest.map(|(id, (seq, entry))| (id, seq, entry)).collect();
        self.0.state.see(&newest)
    }

    /// What the user refuses, and why.
    #[must_use]
    pub fn denied(&self) -> BTreeMap<BlobId, String> {
        self.0.state.denied()
    }

    /// Refuses a blob with a reason, or allows it again. Its bytes go with the next collection, its name stays.
    pub fn set_denied(&self, blob: BlobId, reason: Option<String>) -> Result<(), StoreError> {
        self.0.state.set_denied(blob, reason)
    }
}
