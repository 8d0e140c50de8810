//! Requests that wait for a response: the peer, the requesting machine, the deadline.
//!
//! Owns request ids and the bounds on requests in flight. Does not interpret responses.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::{CensusId, FetchId, LookupId, RequestId};
use crate::peer::PeerId;
use crate::time::Time;

/// Time after which a request without a response has failed.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests in flight per peer, at most.
pub(crate) const PER_PEER: usize = 32;
/// Requests in flight, at most.
pub(crate) const IN_ALL: usize = 1024;

/// The machine that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Sync,
    Have(FetchId),
    Lookup(LookupId),
    Census(CensusId),
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
}

impl Requests {
    /// Registers a request about to be sent; `None` when too many are in flight.
    pub(crate) fn begin(
        &mut self,
        now: Time,
        peer: &PeerId,
        purpose: Purpose,
    ) -> Option<RequestId> {
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

    /// Removes and returns the request of a response, if it was sent to that peer and is
    /// unanswered.
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

    /// Removes the requests that are overdue, or whose peer has disconnected.
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
        // Ids ascend with time, and all requests wait equally long.
        self.waiting.values().next().map_or(Time::NEVER, |found| found.until)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
