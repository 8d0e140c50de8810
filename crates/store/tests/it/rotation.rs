//! Following goes on to the key that a followed publisher hands its feed over to.

use perennial_manifest::{
    Admit, ArtifactListRef, BlobId, Body, Entry, Keypair, Rotate, SignedEntry,
};
use perennial_store::Store;

use crate::fixtures::{key, open, statement, throughout};

fn list() -> ArtifactListRef {
    ArtifactListRef { blob: BlobId::of(b"a list elsewhere"), count: 1, bytes: 1, size: 1 }
}

fn rotation(old: &Keypair, next: &Keypair, after: &SignedEntry) -> SignedEntry {
    let (seq, prevs) = (after.entry().seq + 1, vec![after.id()]);
    let body = Body::Rotate(Rotate { next: next.id() });
    let entry = Entry { publisher: old.id(), seq, prevs, issued_at: 1_750_000_000, body };
    entry.sign_rotation(old, next).unwrap()
}

/// Entries of `key(1)`, each after the one before.
fn feed(length: u64) -> Vec<SignedEntry> {
    let mut feed: Vec<SignedEntry> = Vec::new();
    for seq in 0..length {
        feed.push(statement(&key(1), seq, feed.last(), &format!("tool-{seq}"), list()));
    }
    feed
}

fn follow_named(store: &Store) {
    let mut follows = store.follows();
    *follows.follow(key(1).id()) = Some("savers".to_owned());
    store.set_follows(&follows).unwrap();
}

#[test]
fn a_rotation_takes_the_follow_and_its_name_along() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    follow_named(&store);
    let feed = feed(3);
    store.put_entries(&feed).unwrap();
    let handed = rotation(&key(1), &key(2), &feed[2]);
    assert_eq!(store.put_entries(&[handed]).unwrap()[0].admit, Some(Admit::New));
    store.put_entries(&[statement(&key(2), 0, None, "tool-new", list())]).unwrap();
    let store = throughout(store, dir.path(), |store| {
        let follows = store.follows();
        assert_eq!(follows.publishers[&key(2).id()].as_deref(), Some("savers"));
        assert_eq!(follows.publishers[&key(1).id()], None);
        assert_eq!(follows.successor_of(&key(1).id()), Some(&key(2).id()));
        let wanted = store.wanted(None, 10).unwrap();
        assert_eq!(wanted.len(), 4, "what both keys signed is kept: {wanted:?}");
    });
    // Known before it is followed, it counts as well.
    let mut none = store.follows();
    assert!(none.unfollow(&key(2).id()));
    store.set_follows(&none).unwrap();
    follow_named(&store);
    store.follow_rotations().unwrap();
    assert!(store.follows().names(&key(2).id()));
}

#[test]
fn a_rotation_signed_in_the_past_takes_no_follow_along_whatever_comes_first() {
    for rotation_first in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        follow_named(&store);
        let feed = feed(6);
        let stolen = rotation(&key(1), &key(3), &feed[0]);
        store.put_entries(&feed[..1]).unwrap();
        let rest = &feed[1..];
        let puts = match rotation_first {
            true => {
                let first = store.put_entries(&[stolen]).unwrap();
                [first, store.put_entries(rest).unwrap()].concat()
            }
            false => {
                let first = store.put_entries(rest).unwrap();
                [first, store.put_entries(&[stolen]).unwrap()].concat()
            }
        };
        assert!(
            puts.iter().all(|put| matches!(put.admit, Some(Admit::New | Admit::Fork(_)))),
            "{puts:?}"
        );
        throughout(store, dir.path(), |store| {
            let follows = store.follows();
            assert_eq!(follows.publishers.len(), 1, "{follows:?}");
            assert_eq!(follows.publishers[&key(1).id()].as_deref(), Some("savers"));
            let feed = store.feed(&key(1).id()).unwrap();
            assert!(feed.is_forked() && feed.disputed().eq([key(3).id()]), "it is shown");
            assert_eq!(feed.next(Some(5)).unwrap().seq, 6, "its owner goes on");
        });
    }
}

#[test]
fn a_hand_over_that_stood_for_long_is_suspended_by_no_later_fork() {
    for (settled, goes_on) in [(true, true), (false, false)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        follow_named(&store);
        let feed = feed(3);
        store.put_entries(&feed).unwrap();
        store.put_entries(&[rotation(&key(1), &key(2), &feed[2])]).unwrap();
        assert!(store.follows().names(&key(2).id()));
        if settled {
            let mut follows = store.follows();
            follows.successors.get_mut(&key(2).id()).unwrap().since = 0;
            store.set_follows(&follows).unwrap();
        }
        // A thief of the old key signs a history that outgrows its owner's, and hands it over.
        let beside = statement(&key(1), 3, Some(&feed[2]), "beside", list());
        let longer = statement(&key(1), 4, Some(&beside), "longer", list());
        let stolen = rotation(&key(1), &key(3), &longer);
        for put in store.put_entries(&[beside, longer, stolen]).unwrap() {
            assert!(matches!(put.admit, Some(Admit::New | Admit::Fork(_))), "{put:?}");
        }
        throughout(store, dir.path(), |store| {
            let follows = store.follows();
            assert_eq!(follows.names(&key(2).id()), goes_on, "{follows:?}");
            assert!(!follows.names(&key(3).id()), "the thief's key is followed by no one");
            let disputed: Vec<_> = store.feed(&key(1).id()).unwrap().disputed().collect();
            assert_eq!(disputed.len(), 2, "both are shown");
        });
    }
}
