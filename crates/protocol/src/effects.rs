//! Collects the effects of one input, and assigns the ids of the requests and store batches among
//! them.

use perennial_manifest::SignedEntry;

use crate::batches::{Batch, Batches};
use crate::effect::Effect;
use crate::message::Request;
use crate::peer::PeerId;
use crate::requests::{Purpose, Requests};
use crate::time::Time;

/// The effects of one input.
#[derive(Debug)]
pub(crate) struct Effects<'a> {
    pub(crate) now: Time,
    pub(crate) list: &'a mut Vec<Effect>,
    pub(crate) requests: &'a mut Requests,
    pub(crate) batches: &'a mut Batches,
}

impl Effects<'_> {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Sends a request; returns `false`, without an effect, if too many are in flight.
    pub(crate) fn send(&mut self, peer: &PeerId, purpose: Purpose, request: Request) -> bool {
        let Some(id) = self.requests.begin(self.now, peer, purpose) else { return false };
        self.push(Effect::Send { peer: peer.clone(), id, request });
        true
    }

    /// Sends entries to the store.
    pub(crate) fn store(&mut self, from: &PeerId, entries: Vec<SignedEntry>, origin: Batch) {
        let batch = self.batches.begin(from, origin);
        self.push(Effect::Store { batch, entries, from: from.clone() });
    }
}
