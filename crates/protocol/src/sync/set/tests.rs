//! Rounds over sets of any shape, and how long a set stands.

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
