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
    pub(crate) fn as_if_of(self, entries: u64) -> Self {
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
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use negentropy::{Id, NegentropyStorageVector};
    use perennial_manifest::EntryId;
    use proptest::prelude::*;

    use super::{Sealed, Sets, answer, begin, listed, proceed};
    use crate::fake_catalog::FakeCatalog;
    use crate::message::Scope;
    use crate::sync::tests::feed;
    use crate::time::Time;

    fn seal(items: &BTreeMap<EntryId, u64>) -> super::Set {
        let mut vector = NegentropyStorageVector::new();
        for (id, time) in items {
            vector.insert(*time, Id::from_byte_array(*id.as_bytes())).unwrap();
        }
        vector.seal().unwrap();
        Arc::new(vector)
    }

    fn id(n: u64) -> EntryId {
        EntryId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes())
    }

    /// The entries of `there` that `here` lacks, and the bytes exchanged.
    fn difference(
        here: &BTreeMap<EntryId, u64>,
        there: &BTreeMap<EntryId, u64>,
    ) -> (Vec<EntryId>, usize) {
        let (here, there) = (seal(here), seal(there));
        let mut message = begin(&here).unwrap();
        let (mut all, mut bytes) = (Vec::new(), 0);
        loop {
            let answer = answer(&there, &message).unwrap();
            bytes += message.len() + answer.len();
            let (next, lacking) = proceed(&here, &answer).unwrap();
            all.extend(lacking);
            match next {
                Some(next) => message = next,
                None => {
                    all.sort_by_key(|(end, _)| *end);
                    return (all.into_iter().map(|(_, id)| id).collect(), bytes);
                }
            }
        }
    }

    #[test]
    fn cost_follows_the_difference_and_order_follows_time() {
        let there: BTreeMap<EntryId, u64> = (0..20_000).map(|n| (id(n), n)).collect();
        let here: BTreeMap<EntryId, u64> =
            there.iter().filter(|(_, t)| **t < 19_500).map(|(i, t)| (*i, *t)).collect();
        let (lacking, bytes) = difference(&here, &there);
        assert!(lacking == (19_500..20_000).map(id).collect::<Vec<_>>(), "all, and oldest first");
        assert!(bytes < 40_000, "{bytes} bytes for 500 of 20000");
        let (lacking, bytes) = difference(&there, &there);
        assert!(lacking.is_empty() && bytes < 1000, "{bytes} bytes for nothing");
        let (lacking, _) = difference(&BTreeMap::new(), &there);
        assert!(lacking == (0..20_000).map(id).collect::<Vec<_>>());
    }

    #[test]
    fn a_set_is_made_again_when_the_catalog_changes_and_a_large_one_after_a_while() {
        let all = feed(&perennial_manifest::Keypair::from_seed([1; 32]), 5001);
        for (known, stands) in [(100, 0), (5000, 500)] {
            let (mut sets, mut catalog) = (Sets::default(), FakeCatalog::default());
            catalog.entries = all[..known].to_vec();
            let of = |sets: &Sets, catalog: &FakeCatalog, millis: u64| {
                sets.get(Time::from_millis(millis), &Scope::All, catalog).is_some()
            };
            assert!(!of(&sets, &catalog, 0));
            let old = Sealed::new(Scope::All, &catalog);
            assert_eq!(old.entries(), known as u64);
            sets.keep(Time::from_millis(1000), old.clone());
            assert!(of(&sets, &catalog, 9000), "nothing has changed");
            catalog.entries = all[..known + 1].to_vec();
            assert_eq!(of(&sets, &catalog, 1000 + u64::max(stands, 1) - 1), stands > 0);
            assert!(!of(&sets, &catalog, 1000 + stands));
            sets.keep(Time::from_millis(9000), Sealed::new(Scope::All, &catalog));
            sets.keep(Time::from_millis(9001), old);
            assert!(of(&sets, &catalog, 1_000_000), "the older one came later");
            assert_eq!(sets.len(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_two_sets_are_reconciled(
            here in prop::collection::btree_map(0_u64..400, 0_u64..5, 0..200),
            there in prop::collection::btree_map(0_u64..400, 0_u64..5, 0..200),
        ) {
            // An entry has the same time in every set.
            let set = |items: &BTreeMap<u64, u64>| {
                items.keys().map(|n| (id(*n), n % 5)).collect::<BTreeMap<_, _>>()
            };
            let (here, there) = (set(&here), set(&there));
            let mut lacking = difference(&here, &there).0;
            lacking.sort_unstable();
            let expected: Vec<EntryId> = there.keys().filter(|id| !here.contains_key(id)).copied()
                .collect();
            prop_assert_eq!(lacking, expected);
        }

        #[test]
        fn hostile_messages_end_in_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..600),
            valid: bool) {
            let set = seal(&(0..100).map(|n| (id(n), n)).collect());
            if valid && !bytes.is_empty() { bytes[0] = 0x61; }
            let _ = answer(&set, &bytes);
            let _ = proceed(&set, &bytes);
            let _ = listed(&bytes);
        }

        #[test]
        fn mutated_messages_end_in_an_error(at in 0_usize..2000, to: u8) {
            let set = seal(&(0..1000).map(|n| (id(n), n)).collect());
            let mut message = begin(&set).unwrap();
            let at = at % message.len();
            message[at] = to;
            let _ = answer(&set, &message);
            let _ = proceed(&set, &message);
        }
    }
}
