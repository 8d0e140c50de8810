//! Judges gossip messages: relay, drop, or drop and blame the peer.
//!
//! Owns the memory of recent messages and the rates per peer and per publisher. A judgement is
//! quick (it fetches no entries), verifies signatures only of messages that are new and within
//! their peer's rate, and keeps bounded state whatever is sent. Does not store: it returns the
//! entry worth storing.

use std::collections::{BTreeSet, VecDeque};

use perennial_manifest::{MAX_ENCODED, PublisherId, SignedEntry};

use crate::catalog::Catalog;
use crate::effect::Acceptance;
use crate::input::Follows;
use crate::limits::{Bucket, Buckets};
use crate::peer::PeerId;
use crate::time::Time;

/// Recent messages remembered, so that each is judged once.
pub(crate) const RECENT: usize = 16 * 1024;
/// Messages of one peer accepted in a burst; further ones are ignored.
pub(crate) const PEER_BURST: u64 = 2048;
/// Messages of one peer per second, sustained.
pub(crate) const PEER_RATE: u64 = 64;
/// Malformed messages of one peer remembered in a burst; further ones are not remembered.
pub(crate) const GARBAGE_BURST: u64 = 8;
/// Malformed messages of one peer remembered per second, sustained.
pub(crate) const GARBAGE_RATE: u64 = 1;
/// Entries of one followed publisher in a burst.
pub(crate) const FOLLOWED_BURST: u64 = 4096;
/// Entries of one followed publisher per second, sustained.
pub(crate) const FOLLOWED_RATE: u64 = 32;
/// Entries in a burst of one publisher that is not followed, a stranger.
pub(crate) const STRANGER_BURST: u64 = 32;
/// Entries of one stranger per second, sustained.
pub(crate) const STRANGER_RATE: u64 = 1;
/// Entries of all strangers together in a burst.
pub(crate) const STRANGERS_BURST: u64 = 512;
/// Entries of all strangers together per second, sustained.
pub(crate) const STRANGERS_RATE: u64 = 8;
/// Entries of a stranger's history that one message may bring, at most. They count against the rate
/// of all strangers.
pub(crate) const HISTORY: u64 = 256;
/// Peers, and publishers of each kind, whose rates are tracked, at most.
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

/// The verdict on a message.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The verdict for the network layer.
    pub(crate) acceptance: Acceptance,
    /// The entry, if it is new and worth storing.
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
            // Within its rate, a message is remembered and blamed once. Beyond it, each repetition
            // is blamed, so that the peer is soon banned and no memory is spent on it.
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
        if catalog.denies(publisher) {
            self.remember(key);
            return Checked::ignore();
        }
        let within = if follows.covers(publisher) {
            self.followed.take(now, publisher, 1)
        } else {
            catalog.takes(publisher)
                && self.stranger.take(now, publisher, 1)
                && self.strangers.take(now, 1)
        };
        self.remember(key);
        if !within {
            return Checked::ignore();
        }
        Checked { acceptance: Acceptance::Accept, entry: Some(entry) }
    }

    /// How many earlier entries of a publisher may be requested, because a message of it names
    /// them.
    pub(crate) fn history(
        &mut self,
        now: Time,
        publisher: &PublisherId,
        follows: &Follows,
        catalog: &dyn Catalog,
    ) -> u64 {
        if follows.covers(publisher) {
            u64::MAX
        } else if catalog.takes(publisher) {
            self.strangers.take_up_to(now, HISTORY)
        } else {
            0
        }
    }

    /// Remembers a message of this node, so that its echo is ignored.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.remember(*blake3::hash(bytes).as_bytes());
    }

    /// Forgets rates that no longer limit anything.
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
