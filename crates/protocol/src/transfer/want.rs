//! Wants: for each blob, its missing ranges and the peers not to ask.

use std::collections::{BTreeMap, BTreeSet};

use super::ranges::Ranges;
use super::{AssignmentId, Reason, limits};
use crate::input::FetchId;
use crate::peer::PeerId;

/// A blob that is wanted and not complete: `missing` is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) size: u64,
    /// Arrival number: blobs are served in the order in which they were wanted.
    pub(super) order: u64,
    pub(super) fetches: BTreeSet<FetchId>,
    /// Ranges not verified yet, in whole groups.
    pub(super) missing: Ranges,
    /// Ranges missing and owed by no assignment.
    pub(super) free: Ranges,
    /// Assignments that owe some of the blob.
    pub(super) asked: BTreeSet<AssignmentId>,
    /// Fruitless attempts in a row per peer; at [`limits::TRIES`] the peer is not asked again.
    pub(super) failures: BTreeMap<PeerId, u8>,
    /// Set when this node could not store the blob: not requested until it is wanted again.
    pub(super) halted: bool,
    /// The reason last reported, so that it is not repeated.
    pub(super) told: Option<Reason>,
}

impl Want {
    pub(super) fn new(size: u64, missing: Option<&[(u64, u64)]>, order: u64) -> Self {
        let missing = match missing {
            None => Ranges::of(0, size),
            Some(list) => Ranges::from_untrusted(list, size)
                .grown(limits::GROUP, size)
                .coarse(limits::MISSING_RANGES),
        };
        Self {
            size,
            order,
            fetches: BTreeSet::new(),
            free: missing.clone(),
            missing,
            asked: BTreeSet::new(),
            failures: BTreeMap::new(),
            halted: false,
            told: None,
        }
    }

    /// Counts a fruitless attempt of a peer.
    pub(super) fn blame(&mut self, peer: &PeerId) {
        let count = self.failures.entry(peer.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// Excludes a peer until the blob is wanted anew.
    pub(super) fn rule_out(&mut self, peer: &PeerId) {
        self.failures.insert(peer.clone(), limits::TRIES);
    }

    pub(super) fn may_ask(&self, peer: &PeerId) -> bool {
        self.failures.get(peer).is_none_or(|count| *count < limits::TRIES)
    }

    pub(super) fn is_small(&self) -> bool {
        self.size <= limits::SMALL
    }
}
