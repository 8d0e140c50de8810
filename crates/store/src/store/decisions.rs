//! The user's decisions: pins and follows. Each is durable once it is answered.
//!
//! Owns no file: [`crate::state`] does. Keeps the index in step where a decision changes what is
//! wanted.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::state::{Follows, Pin};
use crate::store::Store;

impl Store {
    /// The roots: everything that must not be collected.
    #[must_use]
    pub fn pins(&self) -> BTreeSet<Pin> {
        self.0.state.pins()
    }

    /// Pins or unpins, durably. Returns whether anything changed.
    ///
    /// # Errors
    /// Failures of the disk; nothing changed then.
    pub fn set_pin(&self, pin: Pin, pinned: bool) -> Result<bool, StoreError> {
        if !pinned && self.pins().contains(&pin) {
            self.0.state.let_go(&[pin], now())?;
        }
        self.0.state.set_pin(pin, pinned)
    }

    /// Whose releases are fetched and kept.
    #[must_use]
    pub fn follows(&self) -> Follows {
        self.0.state.follows()
    }

    /// Replaces the follows, durably, and recomputes which releases are wanted.
    ///
    /// # Errors
    /// Failures of the disk and the index. The follows may be replaced already; the next start then
    /// recomputes the rest.
    pub fn set_follows(&self, follows: &Follows) -> Result<(), StoreError> {
        let before = self.0.state.follows();
        let mut let_go = self.known_releases(&ReleaseFilter::default())?;
        let keeps =
            |follows: &Follows, row: &ReleaseRow| follows.keeps(&row.publisher, row.purl.as_str());
        let_go.retain(|row| keeps(&before, row) && !keeps(follows, row));
        let let_go: Vec<_> = let_go.into_iter().map(|row| Pin::Release(row.release)).collect();
        // To unfollow makes room, on a full disk too.
        self.0.blobs.space().make_way();
        self.0.state.let_go(&let_go, now())?;
        self.0.state.set_follows(follows.clone())?;
        self.0.entry_counts().decide(&self.0.state);
        self.0.write(|catalog| catalog.follow(Some(&before), follows))?;
        let newest =
            follows.publishers.keys().filter_map(|id| Some((*id, self.feed(id).ok()?.highest()?)));
        let newest: Vec<_> = newest.map(|(id, (seq, entry))| (id, seq, entry)).collect();
        self.0.state.see(&newest)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
