//! What to do with a gossip message: pass it on, drop it, or drop it and blame the peer.
//!
//! Owns the memory of recent messages and the rates per peer and per publisher. Promises to be quick (no entry is
//! fetched here), to check a signature only of what was not seen and within its peer's rate, and to keep bounded
//! state whatever is sent. Does not store: it hands out the entry that is worth storing.

use std::collections::{BTreeSet, VecDeque};

use perennial_manifest::{MAX_ENCODED, PublisherId, SignedEntry};

use crate::catalog::Catalog;
use crate::effect::Acceptance;
use crate::input::Follows;
use crate::limits::{Bucket, Buckets};
use crate::peer::PeerId;
use crate::time::Time;

/// Recent messages remembered, so that one is judged once.
pub(crate) const RECENT: usize = 16 * 1024;
/// Messages that one peer may pass on at once, and per second, before they are ignored.
pub(crate) const PEER_BURST: u64 = 2048;
/// See [`PEER_BURST`].
pub(crate) const PEER_RATE: u64 = 64;
/// Malformed messages from one peer at once, and per second, before they are not even looked at.
pub(crate) const GARBAGE_BURST: u64 = 8;
/// See [`GARBAGE_BURST`].
pub(crate) const GARBAGE_RATE: u64 = 1;
/// Entries of one followed publisher at once, and per second.
pub(crate) const FOLLOWED_BURST: u64 = 4096;
/// See [`FOLLOWED_BURST`].
pub(crate) const FOLLOWED_RATE: u64 = 32;
/// Entries of one publisher that is not followed at once, and per second.
pub(crate) const STRANGER_BURST: u64 = 32;
/// See [`STRANGER_BURST`].
pub(crate) const STRANGER_RATE: u64 = 1;
/// Entries of all publishers that are not followed at once, and per second.
pub(crate) const STRANGERS_BURST: u64 = 512;
/// See [`STRANGERS_BURST`].
pub(crate) const STRANGERS_RATE: u64 = 8;
/// Entries kept of publishers that are not followed.
pub(crate) const STRANGER_ENTRIES: u64 = 100_000;
/// Peers and publishers whose rates are kept.
pub(crate) const BUCKETS: usize = 4096;

/// The gossip machine.
#[derive(Debug)]
pub(crate) struct Gossip {
    recent: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
    peers: Buckets<PeerId>,
    garbage: Buckets<PeerId>,
    followed: Buckets<PublisherId>,
    stranger: Buckets<PublisherId>,
    strangers: Bucket,
}

/// What came of a message.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What to tell the network layer.
    pub(crate) acceptance: Acceptance,
    /// The entry, when it is new and worth storing.
    pub(crate) entry: Option<SignedEntry>,
}

impl Checked {
    const fn ignore() -> Self {
        Self { acceptance: Acceptance::Ignore, entry: None }
    }
    const fn reject() -> Self {
        Self { acceptance: Acceptance::Reject, entry: None }
    }
}

impl Default for Gossip {
    fn default() -> Self {
        Self {
            recent: BTreeSet::new(),
            order: VecDeque::new(),
            peers: Buckets::new(PEER_BURST, PEER_RATE, BUCKETS),
            garbage: Buckets::new(GARBAGE_BURST, GARBAGE_RATE, BUCKETS),
            followed: Buckets::new(FOLLOWED_BURST, FOLLOWED_RATE, BUCKETS),
            stranger: Buckets::new(STRANGER_BURST, STRANGER_RATE, BUCKETS),
            strangers: Bucket::full(STRANGERS_BURST, STRANGERS_RATE, Time::ZERO),
        }
    }
}

impl Gossip {
    /// Judges a message.
    pub(crate) fn check(
        &mut self,
        now: Time,
        from: &PeerId,
        bytes: &[u8],
        follows: &Follows,
        catalog: &dyn Catalog,
    ) -> Checked {
        if bytes.len() > MAX_ENCODED {
            return Checked::reject();
        }
        let key = *blake3::hash(bytes).as_bytes();
        if self.recent.contains(&key) || !self.peers.take(now, from, 1) {
            return Checked::ignore();
        }
        let Ok(entry) = SignedEntry::decode(bytes) else {
            // Blamed each time up to a rate; beyond it the peer is soon gone, and nothing is remembered for it.
            if self.garbage.take(now, from, 1) {
                self.remember(key);
            }
            return Checked::reject();
        };
        if catalog.has_entry(&entry.id()) {
            self.remember(key);
            return Checked::ignore();
        }
        let publisher = &entry.entry().publisher;
        let within = if follows.covers(publisher) {
            self.followed.take(now, publisher, 1)
        } else {
            self.stranger.take(now, publisher, 1)
                && self.strangers.take(now, 1)
                && catalog.strangers(follows) < STRANGER_ENTRIES
        };
        self.remember(key);
        if !within {
            return Checked::ignore();
        }
        Checked { acceptance: Acceptance::Accept, entry: Some(entry) }
    }

    /// Notes an own message, so that its echo is not judged.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.remember(*blake3::hash(bytes).as_bytes());
    }

    /// Forgets what no longer limits anything.
    pub(crate) fn sweep(&mut self, now: Time) {
        self.peers.sweep(now);
        self.garbage.sweep(now);
        self.followed.sweep(now);
        self.stranger.sweep(now);
    }

    fn remember(&mut self, key: [u8; 32]) {
        if self.recent.insert(key) {
            self.order.push_back(key);
        }
        while self.order.len() > RECENT {
            if let Some(old) = self.order.pop_front() {
                self.recent.remove(&old);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
            + self.peers.len()
            + self.garbage.len()
            + self.followed.len()
            + self.stranger.len()
    }
}

#[cfg(test)]
mod tests;
