//! The sizes of a node's machines, and their bounds.

use super::{Node, PEERS};
use crate::{batches, find, gossip, keep, questions, reputation, requests, sync};

/// The sizes of a node's machines. Every number is bounded, whatever peers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named for the machines")]
pub struct Load {
    pub peers: usize,
    pub requests: usize,
    pub gossip: usize,
    pub sync: usize,
    pub fetches: usize,
    pub lookups: usize,
    pub censuses: usize,
    pub keep: usize,
    pub keeping: usize,
    pub questions: usize,
    pub limits: usize,
    pub reputation: usize,
}

impl Load {
    /// The first number beyond its bound. `Some` indicates a bug in this crate.
    #[must_use]
    pub fn excess(&self) -> Option<&'static str> {
        let bounds = [
            ("peers", self.peers, PEERS),
            ("requests", self.requests, requests::IN_ALL + batches::BATCHES),
            ("gossip", self.gossip, gossip::RECENT + 4 * gossip::BUCKETS),
            ("sync", self.sync, sync::bound(self.peers)),
            ("fetches", self.fetches, find::BOUND),
            ("keep", self.keep, keep::CONCURRENT + keep::RESTING),
            ("keeping", self.keeping, keep::CONCURRENT),
            ("questions", self.questions, questions::WAITING + questions::AT_ONCE),
            ("reputation", self.reputation, reputation::PEERS),
        ];
        bounds.into_iter().find(|(_, is, most)| is > most).map(|(name, ..)| name)
    }
}

impl Node {
    /// The sizes of the node's machines.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            peers: self.peers.len(),
            requests: self.requests.len() + self.batches.len(),
            gossip: self.gossip.len(),
            sync: self.sync.len(),
            fetches: self.fetches.len(),
            lookups: self.lookups.len(),
            censuses: self.censuses.len(),
            keep: self.keep.len(),
            keeping: self.keep.active(),
            questions: self.questions.len(),
            limits: self.limits.len(),
            reputation: self.reputation.len(),
        }
    }
}
