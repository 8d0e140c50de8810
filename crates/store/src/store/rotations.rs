//! Following goes on to the next key of a publisher that hands its feed over.

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_manifest::{Admit, Body, PublisherId, SignedEntry};

use crate::catalog::PutOutcome;
use crate::error::StoreError;
use crate::state::{Follows, Succession};
use crate::store::Store;

/// Whether an entry may hand the feed of a followed publisher over, or show that nothing did.
pub(super) fn may_hand_over(follows: &Follows, signed: &SignedEntry, put: &PutOutcome) -> bool {
    follows.names(&signed.entry().publisher)
        && match put.admit {
            Some(Admit::New) => matches!(signed.entry().body, Body::Rotate(_)),
            Some(Admit::Fork(_)) => true,
            _ => false,
        }
}

impl Store {
    /// Follows the next keys of followed publishers that handed their feeds over.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn follow_rotations(&self) -> Result<(), StoreError> {
        let before = self.follows();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let after =
            before.after_rotations(now, &|publisher| self.next_key(&before, publisher, now));
        if after == before {
            return Ok(());
        }
        for (next, Succession { after: publisher, .. }) in &after.successors {
            if !before.successors.contains_key(next) {
                tracing::warn!(%publisher, %next, "a followed publisher handed its feed over: its \
                    next key is followed from now on");
            }
        }
        for (next, Succession { after: publisher, .. }) in &before.successors {
            if !after.successors.contains_key(next) {
                tracing::warn!(%publisher, %next, "a hand-over is disputed by another history of \
                    the same key, and decides nothing: its next key is no longer followed");
            }
        }
        self.set_follows(&after)
    }

    /// The key to which a publisher handed its feed over. A hand-over that stood for long stays.
    fn next_key(&self, follows: &Follows, key: &PublisherId, now: u64) -> Option<PublisherId> {
        let known = follows.successor_of(key).copied();
        let is_settled = |next: &PublisherId| {
            follows.successors.get(next).is_some_and(|came| came.is_settled(now))
        };
        // An index that cannot be read undoes nothing.
        let Ok(feed) = self.feed(key) else { return known };
        let settled = known.filter(|next| is_settled(next) && feed.names_successor(next));
        settled.or_else(|| feed.rotated.map(|(_, next)| next))
    }
}
