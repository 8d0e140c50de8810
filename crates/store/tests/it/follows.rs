//! Follows and the releases they want, over kills and in any order with the entries.

use std::time::Duration;

use crate::fixtures::{bytes, follow, key, open, release, statement, throughout};
use perennial_manifest::ArtifactListRef;
use perennial_store::{Added, GcOptions, Store};

fn known(store: &Store, seed: u8, name: &str) {
    let blob = perennial_manifest::BlobId::of(name.as_bytes());
    let artifacts = ArtifactListRef { blob, count: 1, bytes: 10, size: 100 };
    store.put_entries(&[statement(&key(seed), 0, None, name, artifacts)]).unwrap();
}

fn wanted(store: &Store) -> usize {
    store.wanted(None, 100).unwrap().len()
}

#[test]
fn wanted_releases_change_with_the_follows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (1..=3).for_each(|seed| known(&store, seed, &format!("tool-{seed}")));
    assert_eq!(wanted(&store), 0);
    follow(&store, &key(1));
    assert_eq!(wanted(&store), 1);
    let mut follows = store.follows();
    follows.all = true;
    store.set_follows(&follows).unwrap();
    assert_eq!(wanted(&store), 3);
    known(&store, 4, "tool-4");
    assert_eq!(wanted(&store), 4);
    // Those of publishers followed by name are found apart, however many others there are.
    let first = |store: &Store| {
        let rows = store.wanted_first(None, 100).unwrap();
        rows.iter().map(|row| row.publisher).collect::<Vec<_>>()
    };
    let store = throughout(store, dir.path(), |store| {
        assert_eq!(first(store), [key(1).id()]);
    });
    follows.publishers.insert(key(4).id(), None);
    store.set_follows(&follows).unwrap();
    assert_eq!(first(&store).len(), 2);
    follows.publishers.remove(&key(4).id());
    store.set_follows(&follows).unwrap();
    assert_eq!((first(&store), wanted(&store)), (vec![key(1).id()], 4));
    follows.all = false;
    store.set_follows(&follows).unwrap();
    assert_eq!(wanted(&store), 1);
    follows.publishers.clear();
    store.set_follows(&follows).unwrap();
    assert_eq!(wanted(&store), 0);
}

#[test]
fn a_pattern_chooses_the_releases_of_a_publisher_that_are_wanted_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    known(&store, 2, "tool");
    let ours = key(1);
    let (_, tool) = release(&store, &ours, "tool", &[bytes(100_000, 1)]);
    let (_, other) = release(&store, &ours, "other", &[bytes(100_000, 2)]);
    let only = |pattern: &[&str]| {
        let mut follows = store.follows();
        let patterns = pattern.iter().map(|pattern| pattern.parse().unwrap()).collect();
        follows.publishers.extend([(ours.id(), None), (key(2).id(), None)]);
        follows.only.insert(ours.id(), patterns);
        follows.only.insert(key(2).id(), Vec::new());
        store.set_follows(&follows).unwrap();
    };
    only(&["tool@*"]);
    assert!(store.follows().names(&key(2).id()), "trusted");
    assert_eq!(wanted(&store), 0, "the one that lacks bytes is of a publisher that is not kept");
    let now = GcOptions { grace: Duration::ZERO, dry_run: false };
    store.gc(now).unwrap();
    let held = |added: &[Added]| store.blob_size(&added[0].blob).unwrap().is_some();
    assert!(held(&tool) && !held(&other));
    assert_eq!(wanted(&store), 0, "a collection makes no release wanted");
    only(&["tool@*", "o*er"]);
    assert_eq!(wanted(&store), 1, "the other one is missing now");
    let store = throughout(store, dir.path(), |store| assert_eq!(wanted(store), 1));
    let mut follows = store.follows();
    follows.only.clear();
    store.set_follows(&follows).unwrap();
    assert_eq!(wanted(&store), 2);
}

#[test]
fn a_follow_killed_before_its_index_write_is_completed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    known(&store, 1, "kubekey");
    drop(store);
    let text = format!(r#"{{"all":false,"publishers":{{"{}":null}}}}"#, key(1).id());
    std::fs::write(dir.path().join("state/follows.json"), text).unwrap();
    let store = open(dir.path());
    assert_eq!((store.rebuilt(), wanted(&store)), (None, 1));
}
