//! A statement whose record is damaged: lists continue without reading it, the rest of its feed
//! stays, and it is repaired when it comes again.

use crate::fixtures::{bytes, flip, id, key, open, release};
use perennial_manifest::{Admit, SignedEntry};
use perennial_store::{GcOptions, ReleaseFilter, Store, StoreError};

fn listed(store: &Store) -> usize {
    let filter = ReleaseFilter { publisher: Some(key(1).id()), ..ReleaseFilter::default() };
    store.releases(&filter).unwrap().len()
}

/// Three releases; the statement of the second is damaged.
fn hurt(dir: &std::path::Path) -> Vec<SignedEntry> {
    let store = open(dir);
    let names = ["kubekey", "ks-console", "ks-apiserver"];
    let feed: Vec<_> = (1u64..)
        .zip(names)
        .map(|(seed, name)| release(&store, &key(1), name, &[bytes(500, seed)]).0)
        .collect();
    flip(&dir.join("packs/0000000001.pack"), feed[1].payload());
    feed
}

#[test]
fn lists_read_no_entries() {
    let dir = tempfile::tempdir().unwrap();
    let feed = hurt(dir.path());
    for round in 0..2 {
        let store = open(dir.path());
        assert_eq!(
            store.rebuilt(),
            None,
            "round {round}: one damaged entry is no doubt about the index"
        );
        assert_eq!(listed(&store), 3);
        assert_eq!(store.search("ks console", 10).unwrap().len(), 1);
        assert!(matches!(store.entry(&feed[1].id()), Err(StoreError::DamagedEntry(_))));
    }
}

#[test]
fn a_collection_that_rewrites_packs_drops_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let feed = hurt(dir.path());
    flip(&dir.path().join("packs/0000000001.pack"), feed[2].payload());
    let store = open(dir.path());
    let report = store.gc(GcOptions { grace: std::time::Duration::ZERO, dry_run: false }).unwrap();
    assert!(
        report.removed > 0 && !dir.path().join("packs/0000000001.pack").exists(),
        "it was written again"
    );
    drop(store);
    for _ in 0..2 {
        let store = open(dir.path());
        assert_eq!((store.rebuilt(), listed(&store)), (None, 3));
        for lost in &feed[1..] {
            assert!(matches!(store.entry(&lost.id()), Err(StoreError::DamagedEntry(_))));
        }
    }
}

#[test]
fn a_damaged_entry_is_repaired_when_it_arrives_again() {
    let dir = tempfile::tempdir().unwrap();
    let feed = hurt(dir.path());
    let store = open(dir.path());
    assert_eq!(store.put_entries(&feed[1..2]).unwrap()[0].admit, Some(Admit::Known));
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.rebuilt(), None);
    assert_eq!(store.entry(&feed[1].id()).unwrap().as_ref(), Some(&feed[1]));
    let mended = store.feed(&key(1).id()).unwrap();
    assert!(mended.forks.is_empty() && !mended.is_forked());
}

#[test]
fn a_rebuild_keeps_what_stands_on_a_lost_entry_and_the_gap_closes() {
    let dir = tempfile::tempdir().unwrap();
    let feed = hurt(dir.path());
    let store = open(dir.path());
    store.rebuild_index().unwrap();
    assert_eq!(listed(&store), 2, "the third release is listed though the second is lost");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.rebuilt(), None, "it is not made again at every start");
    // Reconciliation compares these, so that the lost entry is requested.
    let times = store.times(None).unwrap();
    assert!(times.iter().all(|(_, id)| *id != feed[1].id()));
    assert_eq!(store.put_entries(&feed[1..2]).unwrap()[0].admit, Some(Admit::New));
    assert_eq!(listed(&store), 3);
    let state = store.feed(&key(1).id()).unwrap();
    assert!(state.forks.is_empty() && !state.is_forked(), "a closed gap is no fork");
    assert_eq!(state.highest(), Some((2, feed[2].id())));
    drop(store);
    let store = open(dir.path());
    assert_eq!((store.rebuilt(), listed(&store)), (None, 3));
    assert!(store.release(&id(&feed[1])).unwrap().is_some());
}

#[test]
fn verify_names_a_damaged_entry_which_is_requested_again() {
    let dir = tempfile::tempdir().unwrap();
    let feed = hurt(dir.path());
    let lost = feed[1].id();
    let store = open(dir.path());
    let known =
        |store: &Store| store.times(None).unwrap().iter().filter(|(_, id)| *id == lost).count();
    assert_eq!(known(&store), 1, "no read has found it yet");
    assert_eq!(store.verify(&|_, _| {}).damaged_entries, [lost]);
    assert!(
        known(&store) == 0 && !store.has_entry(&lost).unwrap(),
        "reconciliation would not ask for it"
    );
    store.put_entries(&feed[1..2]).unwrap();
    assert!(known(&store) == 1 && store.has_entry(&lost).unwrap());
    assert!(store.verify(&|_, _| {}).damaged_entries.is_empty());
}
