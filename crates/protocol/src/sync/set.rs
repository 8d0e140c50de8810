//! Sealed sets of `(issued_at, entry id)` and the two sides of a negentropy round over them.
//!
//! Owns the cache of sealed sets, one per scope, bounded in number. Sets are made by the caller,
//! because reading all entries of a scope takes time. A set is made again when the catalog has
//! changed, but a large one not before a while that grows with it: else a change and a question,
//! again and again, would take all time. What an old set lacks, gossip and the next exchange bring.
//! A hostile message costs at most one pass over the set and an error.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use perennial_manifest::EntryId;

use crate::catalog::Catalog;
use crate::message::{MAX_RECONCILE_REQUEST, MAX_RECONCILE_RESPONSE, Scope};
use crate::time::Time;

/// Sealed sets cached, at most.
pub(crate) const SETS: usize = 8;
/// Bytes that negentropy may write past its frame limit before it stops: one split range.
const SLACK: usize = 4096;

/// A sealed set.
pub(crate) type Set = Arc<NegentropyStorageVector>;

/// The message is not negentropy, or is for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadMessage;

/// The entries of a scope at one moment, to be compared with those of a peer.
#[derive(Clone)]
pub struct Sealed {
    scope: Scope,
    generation: u64,
    entries: u64,
    set: Set,
}

impl Sealed {
    /// Reads the entries of a scope. Takes about a millisecond for a thousand of them, and reads
    /// the disk.
    #[must_use]
    pub fn new(scope: Scope, catalog: &dyn Catalog) -> Self {
        // Read first: entries that arrive meanwhile belong to the next generation.
        let generation = catalog.generation();
        let mut vector = NegentropyStorageVector::new();
        let mut entries = 0;
        for (issued_at, id) in catalog.times(&scope) {
            // `u64::MAX` is negentropy's infinity: no range includes it.
            let time = issued_at.min(u64::MAX - 1);
            // Insertion fails only after sealing.
            let _ = vector.insert(time, Id::from_byte_array(*id.as_bytes()));
            entries += 1;
        }
        let _ = vector.seal();
        Self { scope, generation, entries, set: Arc::new(vector) }
    }

    /// The number of entries.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    pub(crate) const fn set(&self) -> &Set {
        &self.set
    }

    /// The same, as if so many had been read.
    #[cfg(test)]
    pub(crate) fn pretending(self, entries: u64) -> Self {
        Self { entries, ..self }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, generation, entries, .. } = self;
        write!(f, "Sealed({entries} entries of {scope:?} at {generation})")
    }
}

/// Sealed sets by scope, oldest first, and when they came.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    cached: Vec<(Time, Sealed)>,
}

/// How long a set of this many entries may be older than the catalog.
const fn stands(entries: u64) -> Duration {
    if entries < 4096 { Duration::ZERO } else { Duration::from_millis(entries / 10) }
}

impl Sets {
    /// The sealed set of a scope at the catalog's current generation, or at one shortly before.
    pub(crate) fn get(&self, now: Time, scope: &Scope, catalog: &dyn Catalog) -> Option<Set> {
        let generation = catalog.generation();
        let holds = |(at, sealed): &&(Time, Sealed)| {
            sealed.scope == *scope
                && (sealed.generation == generation || now.since(*at) < stands(sealed.entries))
        };
        self.cached.iter().find(holds).map(|(_, sealed)| Arc::clone(&sealed.set))
    }

    /// Keeps a set that was made.
    pub(crate) fn keep(&mut self, now: Time, sealed: Sealed) {
        let is_newer = |(_, other): &(Time, Sealed)| {
            other.scope == sealed.scope && other.generation > sealed.generation
        };
        if self.cached.iter().any(is_newer) {
            return;
        }
        self.cached.retain(|(_, other)| other.scope != sealed.scope);
        if self.cached.len() >= SETS {
            self.cached.remove(0);
        }
        self.cached.push((now, sealed));
    }

    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }
}

fn machine(set: &Set, limit: usize) -> Result<Negentropy<'_, NegentropyStorageVector>, BadMessage> {
    let limit = u64::try_from(limit - SLACK).map_err(|_| BadMessage)?;
    Negentropy::borrowed(set.as_ref(), limit).map_err(|_| BadMessage)
}

/// The initiator's first message.
pub(crate) fn begin(set: &Set) -> Result<Vec<u8>, BadMessage> {
    machine(set, MAX_RECONCILE_REQUEST)?.initiate().map_err(|_| BadMessage)
}

/// The responder's answer.
pub(crate) fn answer(set: &Set, message: &[u8]) -> Result<Vec<u8>, BadMessage> {
    machine(set, MAX_RECONCILE_RESPONSE)?.reconcile(message).map_err(|_| BadMessage)
}

/// An entry that only the other side has, and the end of the time range in which it was listed.
pub(crate) type Lacking = (u64, EntryId);

/// The initiator's next message (`None` when the rounds are over), and the entries that only the
/// other side has. Sorted stably by range end over all rounds, they are oldest first: entries come
/// before their successors.
pub(crate) fn proceed(
    set: &Set,
    message: &[u8],
) -> Result<(Option<Vec<u8>>, Vec<Lacking>), BadMessage> {
    let mut negentropy = machine(set, MAX_RECONCILE_REQUEST)?;
    negentropy.set_initiator();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let next =
        negentropy.reconcile_with_ids(message, &mut have, &mut need).map_err(|_| BadMessage)?;
    // negentropy returns them in random order. Restoring the message's order keeps effects a
    // deterministic function of inputs.
    let mut needed: BTreeSet<[u8; 32]> = need.iter().map(|id| id.to_bytes()).collect();
    let mut ordered = Vec::with_capacity(needed.len());
    for (end, id) in listed(message).unwrap_or_default() {
        if needed.remove(&id) {
            ordered.push((end, EntryId::from_bytes(id)));
        }
    }
    Ok((next, ordered))
}

/// Every id that a message lists, in order, each with the end of its range.
fn listed(message: &[u8]) -> Option<Vec<(u64, [u8; 32])>> {
    let mut rest = message.get(1..)?;
    let mut ids = Vec::new();
    let mut end = 0_u64;
    while !rest.is_empty() {
        end = match varint(&mut rest) {
            0 => u64::MAX,
            step => end.saturating_add(step - 1),
        };
        let prefix = usize::try_from(varint(&mut rest)).ok()?;
        rest = rest.get(prefix..)?;
        match varint(&mut rest) {
            0 => {}
            1 => rest = rest.get(16..)?,
            _ => {
                let count = usize::try_from(varint(&mut rest)).ok()?;
                for _ in 0..count {
                    ids.push((end, rest.get(..32)?.try_into().ok()?));
                    rest = &rest[32..];
                }
            }
        }
    }
    Some(ids)
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    while let Some((byte, tail)) = rest.split_first() {
        *rest = tail;
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests;
