//! Follows and the releases they want, over kills and in any order with the entries.

use crate::fixtures::{follow, key, open, statement, throughout};
use perennial_manifest::ArtifactListRef;
use perennial_store::Store;

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
