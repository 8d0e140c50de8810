//! Slots for the blob streams that peers open: so many in all, for a peer, and for a network.
//!
//! A stream whose request has not come yet may lose its slot to another one; a stream that is being
//! served keeps it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perennial_protocol::{Entry, PeerId, Places, Prefix, Shares};
use tokio_util::sync::CancellationToken;

use super::Registry;

/// Streams of one peer, at most, however few there are in all.
const LEAST_PER_PEER: usize = 4;

/// The slots of the whole node; cheap to clone.
#[derive(Clone)]
pub(crate) struct Slots {
    registry: Registry,
    taken: Arc<Mutex<Taken>>,
}

struct Taken {
    places: Places<u64>,
    lost: HashMap<u64, CancellationToken>,
    last: u64,
}

impl Slots {
    pub(crate) fn new(registry: Registry, most: usize) -> Self {
        let shares = Shares::of(most, (most / 4).max(LEAST_PER_PEER));
        let taken = Taken { places: Places::new(shares), lost: HashMap::new(), last: 0 };
        Self { registry, taken: Arc::new(Mutex::new(taken)) }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a stream of a peer, if there is one.
    pub(crate) fn take(&self, peer: &PeerId, prefix: Prefix) -> Option<Slot> {
        let guest = self.registry.guest(peer, prefix);
        let mut taken = self.lock();
        taken.last += 1;
        let number = taken.last;
        match taken.places.enter(self.registry.now(), number, guest) {
            Entry::Free => {}
            Entry::InsteadOf(other) => {
                if let Some(lost) = taken.lost.remove(&other) {
                    lost.cancel();
                }
            }
            Entry::Full => return None,
        }
        let lost = CancellationToken::new();
        taken.lost.insert(number, lost.clone());
        drop(taken);
        Some(Slot { number, lost, slots: self.clone() })
    }
}

/// A slot for an inbound stream, free again when dropped.
pub(crate) struct Slot {
    number: u64,
    /// Cancelled once the slot belongs to another stream.
    lost: CancellationToken,
    slots: Slots,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot {}", self.number)
    }
}

impl Slot {
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Keeps the slot until it is dropped.
    pub(crate) fn keep(&self) {
        self.slots.lock().places.stays(&self.number);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.places.leave(&self.number);
        taken.lost.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    #[test]
    fn silent_streams_lose_their_slots_and_served_ones_do_not() {
        let slots = Slots::new(Registry::default(), 8);
        // Of eight, two are kept for those that earned them; a peer has four.
        let take = |name: &str| slots.take(&peer(name), Prefix::NONE);
        let mine: Vec<_> = (0..4).map(|_| take("a").unwrap()).collect();
        let fifth = take("a").unwrap();
        assert!(mine[0].lost().is_cancelled() && !mine[1].lost().is_cancelled());
        let others = [take("b").unwrap(), take("c").unwrap()];
        let late = take("d").unwrap();
        assert!(mine[1].lost().is_cancelled(), "the one that is silent for longest");
        for slot in [&mine[2], &mine[3], &fifth, &others[0], &others[1], &late] {
            assert!(!slot.lost().is_cancelled());
            slot.keep();
        }
        assert!(take("e").is_none(), "all are served");
        slots.registry.standings().earn(&peer("e"), perennial_protocol::Standing::Useful);
        assert!(take("e").is_some());
        drop(late);
        assert!(take("f").is_some());
        drop(mine);
        drop((fifth, others));
        let taken = slots.lock();
        assert!(taken.places.is_empty() && taken.lost.is_empty());
    }

    #[test]
    fn a_network_has_half_of_what_strangers_get() {
        let slots = Slots::new(Registry::default(), 16);
        let take = |n: usize| slots.take(&peer(&format!("p{n}")), Prefix(7));
        let held: Vec<_> = (0..6).map(|n| take(n).unwrap()).collect();
        held.iter().for_each(Slot::keep);
        assert!(take(6).is_none());
        assert!(slots.take(&peer("far"), Prefix(8)).is_some());
    }
}
