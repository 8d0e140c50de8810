//! What a machine writes to while it handles one input: effects, and the requests and store batches
//! among them with their ids.

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

    /// Sends a request, unless too many are in flight: then nothing happens and it returns `false`.
    pub(crate) fn send(&mut self, peer: &PeerId, purpose: Purpose, request: Request) -> bool {
        let Some(id) = self.requests.begin(self.now, peer, purpose) else { return false };
        self.push(Effect::Send { peer: peer.clone(), id, request });
        true
    }

    /// Gives entries to the store.
    pub(crate) fn store(&mut self, from: &PeerId, entries: Vec<SignedEntry>, origin: Batch) {
        let batch = self.batches.begin(from, origin);
        self.push(Effect::Store { batch, entries, from: from.clone() });
    }
}
