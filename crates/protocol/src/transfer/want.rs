//! One wanted blob: what is missing of it, and who is not to be asked.

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
    /// Not verified yet, in whole groups.
    pub(super) missing: Ranges,
    /// Missing and asked of nobody.
    pub(super) free: Ranges,
    /// Who is being asked for some of it.
    pub(super) asked: BTreeSet<AssignmentId>,
    /// Fruitless attempts in a row, per peer; [`limits::TRIES`] or more is "not again".
    pub(super) failures: BTreeMap<PeerId, u8>,
    /// This side could not store it: rests until it is wanted again.
    pub(super) halted: bool,
    /// The reason that was last reported, not to repeat it.
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

    /// A fruitless attempt.
    pub(super) fn blame(&mut self, peer: &PeerId) {
        let count = self.failures.entry(peer.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// Never again from this peer, until the blob is wanted anew.
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
