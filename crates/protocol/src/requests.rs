//! Requests that wait for an answer: who was asked, by which machine, until when.
//!
//! Owns request ids and the bounds on what is in flight. Does not know what an answer means.

use std::{collections::BTreeMap, time::Duration};

use perennial_manifest::{PublisherId, SignedEntry};

use crate::{
    effect::Effect,
    input::{CensusId, FetchId, LookupId, RequestId},
    message::Request,
    peer::PeerId,
    time::Time,
};

/// How long an answer may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests in flight to one peer.
pub const PER_PEER: usize = 32;
/// Requests in flight in all.
pub const IN_ALL: usize = 1024;
/// Batches that the store may be behind with before gossip is ignored.
pub const BATCHES: usize = 512;

/// Which machine asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Sync,
    Have(FetchId),
    Lookup(LookupId),
    Census(CensusId),
}

/// Whose entries the store is putting away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    Sync,
    Gossip(PublisherId),
}

/// A request in flight.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) peer: PeerId,
    pub(crate) purpose: Purpose,
    until: Time,
}

/// Every request in flight.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    next: u64,
    waiting: BTreeMap<RequestId, Waiting>,
    by_peer: BTreeMap<PeerId, usize>,
    next_batch: u64,
    batches: BTreeMap<u64, (PeerId, Batch)>,
}

/// What a machine writes to while it handles one input: effects, and requests with their ids.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    pub(crate) now: Time,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) requests: &'a mut Requests,
}

impl Out<'_> {
    /// Asks a peer, unless too much is in flight: then nothing happens and it says `false`.
    pub(crate) fn send(&mut self, peer: &PeerId, purpose: Purpose, request: Request) -> bool {
        let Some(id) = self.requests.begin(self.now, peer, purpose) else { return false };
        self.effects.push(Effect::Send { peer: peer.clone(), id, request });
        true
    }

    /// Gives entries to the store.
    pub(crate) fn store(&mut self, from: &PeerId, entries: Vec<SignedEntry>, what: Batch) {
        let batch = self.requests.next_batch;
        self.requests.next_batch += 1;
        self.requests.batches.insert(batch, (from.clone(), what));
        self.effects.push(Effect::Store { batch, entries, from: from.clone() });
    }
}

impl Requests {
    fn begin(&mut self, now: Time, peer: &PeerId, purpose: Purpose) -> Option<RequestId> {
        let count = self.by_peer.entry(peer.clone()).or_default();
        if *count >= PER_PEER || self.waiting.len() >= IN_ALL {
            return None;
        }
        *count += 1;
        let id = RequestId(self.next);
        self.next += 1;
        self.waiting
            .insert(id, Waiting { peer: peer.clone(), purpose, until: now + REQUEST_TIMEOUT });
        Some(id)
    }

    /// An answer came: the request it belongs to, if that peer was asked and has not answered.
    pub(crate) fn finish(&mut self, id: RequestId, from: &PeerId) -> Option<Waiting> {
        if self.waiting.get(&id).is_none_or(|found| found.peer != *from) {
            return None;
        }
        let found = self.waiting.remove(&id)?;
        if let Some(count) = self.by_peer.get_mut(from) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(from);
            }
        }
        Some(found)
    }

    /// Requests that had no answer in time, or whose peer is gone.
    pub(crate) fn lost(&mut self, now: Time, gone: Option<&PeerId>) -> Vec<Waiting> {
        let ids: Vec<(RequestId, PeerId)> = self
            .waiting
            .iter()
            .filter(|(_, found)| found.until <= now || gone == Some(&found.peer))
            .map(|(id, found)| (*id, found.peer.clone()))
            .collect();
        ids.iter().filter_map(|(id, peer)| self.finish(*id, peer)).collect()
    }

    pub(crate) fn next_timeout(&self) -> Time {
        // Ids are given in the order of time, and all wait equally long.
        self.waiting.values().next().map_or(Time::NEVER, |found| found.until)
    }

    /// The store is done with a batch.
    pub(crate) fn stored(&mut self, batch: u64) -> Option<(PeerId, Batch)> {
        self.batches.remove(&batch)
    }

    /// Has the store so much to do that nothing more is taken from gossip?
    pub(crate) fn store_is_busy(&self) -> bool {
        self.batches.len() >= BATCHES
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.batches.len()
    }
}
