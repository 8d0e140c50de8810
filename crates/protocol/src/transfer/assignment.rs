//! Assignments: one request to one peer, and the ranges that it still owes.

use std::collections::BTreeMap;

use perennial_manifest::BlobId;

use super::ranges::Ranges;
use super::{Key, limits};
use crate::effect::DownloadItem;
use crate::message::{BlobRange, Bounded};
use crate::peer::PeerId;
use crate::time::Time;

/// Identifies an assignment: one download from one peer. Never reused by one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignmentId(pub u64);

/// An assignment in flight. Every range it owes is still missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) peer: PeerId,
    /// The order in which the peer serves the blobs. A failure is blamed on the first blob still
    /// owed.
    pub(super) order: Vec<Key>,
    pub(super) owed: BTreeMap<Key, Ranges>,
    /// Bytes requested and not reported as not held.
    pub(super) asked: u64,
    /// Verified bytes delivered by this assignment.
    pub(super) brought: u64,
    /// Items reported as not held.
    pub(super) not_held: usize,
    pub(super) last_progress: Time,
    window_start: Time,
    window_floor: u64,
}

impl Assignment {
    pub(super) fn new(peer: PeerId, items: Vec<(Key, Ranges)>, now: Time) -> Self {
        let mut assignment = Self {
            peer,
            order: items.iter().map(|(key, _)| *key).collect(),
            owed: items.into_iter().collect(),
            asked: 0,
            brought: 0,
            not_held: 0,
            last_progress: now,
            window_start: now,
            window_floor: 0,
        };
        assignment.asked = assignment.owed_bytes();
        assignment.restart_window(now);
        assignment
    }

    /// The items to request.
    pub(super) fn items(&self) -> Vec<DownloadItem> {
        self.order
            .iter()
            .filter_map(|key| {
                let (blob, size) = *key;
                let ranges = self.owed.get(key)?.as_slice().to_vec();
                let range = BlobRange { blob, ranges: Bounded::first_of(ranges) };
                Some(DownloadItem { range, size })
            })
            .collect()
    }

    /// The want that a report of this assignment means by a blob.
    pub(super) fn key_of(&self, blob: &BlobId) -> Option<Key> {
        self.order.iter().copied().find(|(asked, _)| asked == blob)
    }

    pub(super) fn owed_bytes(&self) -> u64 {
        self.owed.values().map(Ranges::bytes).fold(0, u64::saturating_add)
    }

    /// The blob being served: the first still owed.
    pub(super) fn current(&self) -> Option<Key> {
        self.order.iter().copied().find(|key| self.owed.contains_key(key))
    }

    /// Restarts the timer: the assignment became its peer's oldest, or met the minimum rate over a
    /// window.
    pub(super) fn restart_window(&mut self, now: Time) {
        let must = (limits::MIN_RATE * limits::WINDOW.as_secs()).min(self.owed_bytes());
        self.window_start = now;
        self.window_floor = self.brought.saturating_add(must);
    }

    /// When too little progress counts as a stall.
    pub(super) fn deadline(&self) -> Time {
        self.window_start + limits::WINDOW
    }

    /// Called with each progress and tick: advances the window, or returns true if the minimum was
    /// missed.
    pub(super) fn stalled(&mut self, now: Time) -> bool {
        if self.brought >= self.window_floor {
            self.restart_window(now);
            return false;
        }
        now >= self.deadline()
    }
}
