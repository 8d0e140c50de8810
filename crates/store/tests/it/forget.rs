//! What a store keeps of publishers that are not followed: their share, and nothing that the user
//! wants forgotten.

use std::time::Duration;

use crate::fixtures::{bytes, follow, id, key, open, release, statement, throughout};
use perennial_manifest::{
    Admit, ArtifactListRef, BlobId, Entry, EntryId, Holding, Keypair, SignedEntry,
};
use perennial_store::{Forgotten, GcOptions, OpenOptions, OwnFeed, Pin, Share, Store};

/// Statements about bytes that nobody has.
fn feed(key: &Keypair, count: u64) -> Vec<SignedEntry> {
    let artifacts = ArtifactListRef { blob: BlobId::of(b"list"), count: 1, bytes: 1, size: 1 };
    let mut feed: Vec<SignedEntry> = Vec::new();
    for seq in 0..count {
        feed.push(statement(key, seq, feed.last(), &format!("tool-{seq}"), artifacts));
    }
    feed
}

/// How many of these entries were taken in from peers.
fn taken(store: &Store, entries: &[SignedEntry]) -> usize {
    let puts = store.put_from_peers(entries).unwrap();
    puts.iter().filter(|put| put.admit == Some(Admit::New)).count()
}

fn small(all: u64, each: u64) -> OpenOptions {
    OpenOptions { strangers: Share { all, each }, ..OpenOptions::default() }
}

fn entries_of(store: &Store, key: &Keypair) -> u64 {
    store.feed(&key.id()).unwrap().entries
}

#[test]
fn a_publisher_is_forgotten_after_its_last_pinned_release() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (ours, theirs) = (key(1), key(2));
    let (kept, _) = release(&store, &ours, "ours", &[bytes(10, 1)]);
    let signed: Vec<SignedEntry> = (0..4)
        .map(|n| release(&store, &theirs, &format!("theirs-{n}"), &[bytes(20, 10 + n)]).0)
        .collect();
    store.set_pin(Pin::Release(id(&signed[1])), true).unwrap();
    let forgotten = store.forget(&theirs.id()).unwrap();
    assert_eq!(forgotten, Forgotten { entries: 2, kept: 2 });
    let store = throughout(store, dir.path(), |store| {
        assert_eq!(entries_of(store, &theirs), 2);
        assert_eq!(store.feed(&theirs.id()).unwrap().highest(), Some((1, signed[1].id())));
        for (at, signed) in signed.iter().enumerate() {
            let stays = at < 2;
            assert_eq!(store.has_entry(&signed.id()).unwrap(), stays, "{at}");
            assert_eq!(store.release(&id(signed)).unwrap().is_some(), stays, "{at}");
            let found = store.search(&format!("theirs-{at}"), 10).unwrap();
            assert_eq!(found.iter().any(|row| row.release == id(signed)), stays, "{at}");
        }
        assert_eq!(store.entry_count().unwrap(), 3);
        let stats = store.stats().unwrap();
        assert_eq!((stats.entries, stats.releases, stats.held), (3, 3, 3));
        assert_eq!(store.release(&id(&kept)).unwrap().unwrap().state, Holding::Held);
    });
    // Its bytes go with a collection, those of the pinned release and the one before it do not all.
    let collected = store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert!(collected.removed > 0);
    // What it signs next continues what is left.
    let again = signed[2].clone();
    assert_eq!(taken(&store, &[again]), 1);
    store.set_pin(Pin::Release(id(&signed[1])), false).unwrap();
    assert_eq!(store.forget(&theirs.id()).unwrap(), Forgotten { entries: 3, kept: 0 });
    assert_eq!(store.forget(&theirs.id()).unwrap(), Forgotten::default());
    assert!(!store.publishers().unwrap().contains_key(&theirs.id()));
    // A new publisher is not taken for the one that went.
    let (new, _) = release(&store, &key(3), "new", &[bytes(10, 3)]);
    throughout(store, dir.path(), |store| {
        assert!(store.rebuilt().is_none_or(|why| why == "asked for"), "{:?}", store.rebuilt());
        assert_eq!(store.publishers().unwrap().len(), 2);
        assert!(store.release(&id(&new)).unwrap().is_some());
        assert!(store.release(&id(&kept)).unwrap().is_some());
    });
}

/// A merge goes, and the two branches that it joined are there again.
#[test]
fn a_feed_is_left_as_it_was_before_the_entries_that_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let theirs = key(2);
    let trunk = feed(&theirs, 4);
    let artifacts = ArtifactListRef { blob: BlobId::of(b"other"), count: 1, bytes: 1, size: 1 };
    let branch = statement(&theirs, 1, Some(&trunk[0]), "branch", artifacts);
    store.put_entries(&trunk).unwrap();
    store.put_entries(std::slice::from_ref(&branch)).unwrap();
    let mut prevs: Vec<EntryId> = vec![trunk[3].id(), branch.id()];
    prevs.sort_unstable();
    let body = trunk[0].entry().body.clone();
    let merge = Entry { publisher: theirs.id(), seq: 4, prevs, issued_at: 9, body };
    store.put_entries(&[merge.sign(&theirs).unwrap()]).unwrap();
    assert_eq!(store.feed(&theirs.id()).unwrap().heads.len(), 1);
    store.set_pin(Pin::Release(id(&trunk[3])), true).unwrap();
    assert_eq!(store.forget(&theirs.id()).unwrap(), Forgotten { entries: 1, kept: 5 });
    let mut heads = vec![(trunk[3].id(), 3), (branch.id(), 1)];
    heads.sort_unstable();
    throughout(store, dir.path(), |store| {
        let feed = store.feed(&theirs.id()).unwrap();
        assert_eq!((feed.heads, feed.forks.len()), (heads.clone(), 1));
    });
}

#[test]
fn strangers_have_one_share_and_the_largest_feeds_lose_their_newest_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small(16, 8)).unwrap();
    let [a, b, c] = [key(1), key(2), key(3)];
    assert_eq!(taken(&store, &feed(&a, 10)), 8, "one has its part");
    assert!(!store.takes(&a.id()) && store.takes(&b.id()));
    let orphan = feed(&a, 12).pop().unwrap();
    let puts = store.put_from_peers(&[orphan]).unwrap();
    assert_eq!(puts[0].admit, None, "nothing of it is worth asking for");
    assert_eq!(taken(&store, &feed(&b, 10)), 8);
    assert_eq!(store.strangers(), 16);
    // The share is full, and takes small feeds in; at some point the large ones are cut.
    assert_eq!(taken(&store, &feed(&c, 3)), 3);
    assert_eq!(store.strangers(), 16);
    let mut left = [entries_of(&store, &a), entries_of(&store, &b)];
    left.sort_unstable();
    assert_eq!((left, entries_of(&store, &c)), ([6, 7], 3));
    for (key, all) in [(&a, feed(&a, 8)), (&b, feed(&b, 8))] {
        let known = all.iter().filter(|entry| store.has_entry(&entry.id()).unwrap()).count();
        assert_eq!(known as u64, entries_of(&store, key));
        assert!(store.has_entry(&all[5].id()).unwrap() && !store.has_entry(&all[7].id()).unwrap());
    }
    // Neither what is followed nor what this node signs is bounded, nor does it count.
    let (followed, own) = (key(4), key(5));
    follow(&store, &followed);
    assert_eq!(taken(&store, &feed(&followed, 30)), 30);
    store.set_own_feed(OwnFeed::of(own.id(), true)).unwrap();
    assert_eq!(taken(&store, &feed(&own, 30)), 30);
    assert_eq!(store.strangers(), 16);
    assert!(store.rebuilt().is_none());
    let store = throughout(store, dir.path(), |store| {
        assert!(store.rebuilt().is_none_or(|why| why == "asked for"), "{:?}", store.rebuilt());
        assert_eq!(store.entry_count().unwrap(), 76);
        assert_eq!(store.stats().unwrap().releases, 76);
        assert_eq!(store.strangers(), 16);
    });
    drop(store);
}

#[test]
fn a_share_of_feeds_of_one_entry_is_never_full_for_a_newcomer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small(16, 8)).unwrap();
    for seed in 0..60 {
        assert_eq!(taken(&store, &feed(&key(seed), 1)), 1, "newcomer {seed}");
    }
    assert!((16..19).contains(&store.strangers()), "{}", store.strangers());
    assert_eq!(store.publishers().unwrap().len() as u64, store.strangers());
}

#[test]
fn a_pinned_release_of_a_stranger_outlasts_a_full_share() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small(8, 8)).unwrap();
    let large = feed(&key(1), 8);
    assert_eq!(taken(&store, &large), 8);
    store.set_pin(Pin::Release(id(&large[6])), true).unwrap();
    for seed in 2..40 {
        assert_eq!(taken(&store, &feed(&key(seed), 1)), 1, "it takes no room of others: {seed}");
    }
    assert_eq!(entries_of(&store, &key(1)), 7);
    assert!(store.release(&id(&large[6])).unwrap().is_some());
}

/// Entries are free to sign, and reading a list of many files takes the time of all other puts.
#[test]
fn a_long_list_that_a_peers_entry_names_is_not_read_when_the_entry_is_put() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let files: Vec<Vec<u8>> = (0..800).map(|seed| bytes(10, seed)).collect();
    let (long, _) = release(&store, &key(1), "long", &files);
    let (short, _) = release(&store, &key(1), "short", &files[..1]);
    let claim = |signed: &SignedEntry| signed.release().unwrap().1.artifacts;
    assert!(claim(&long).size > 64 << 10, "{}", claim(&long).size);
    let first = statement(&key(9), 0, None, "long", claim(&long));
    let second = statement(&key(9), 1, Some(&first), "short", claim(&short));
    store.put_from_peers(&[first.clone(), second.clone()]).unwrap();
    let state = |signed| store.release(&id(signed)).unwrap().unwrap().state;
    assert_eq!((state(&first), state(&second)), (Holding::Known, Holding::Held));
    // Whoever asks for it finds that all of it is here.
    assert_eq!(store.refresh_state(&id(&first)).unwrap(), Some(Holding::Held));
    assert_eq!((state(&long), state(&short)), (Holding::Held, Holding::Held));
}
