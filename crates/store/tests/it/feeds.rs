//! The state of a feed survives a restart and a rebuilt index: repeating an old entry changes
//! nothing, and both branches of a fork are kept with the proof.

use std::path::Path;

use crate::fixtures::{self, bytes, follow, id, key, open, release, statement};
use perennial_manifest::{ArtifactListRef, BlobId, Body, FeedState, Release, SignedEntry};
use perennial_store::{Follows, Store};

/// Checks a store as it is, after a restart, and after its index was rebuilt.
fn over_restart_and_rebuild(dir: &Path, look: &dyn Fn(&Store)) {
    look(&open(dir));
    let store = open(dir);
    store.rebuild_index().unwrap();
    look(&store);
    drop(store);
    look(&open(dir));
}

fn feed(store: &Store) -> FeedState {
    store.feed(&key(1).id()).unwrap()
}

#[test]
fn a_repeated_old_head_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let said: Vec<SignedEntry> =
        (0..3).map(|seed| release(&store, &key(1), "kubekey", &[bytes(5_000, seed)]).0).collect();
    let newest = &said[2];
    store.see(&key(1).id(), 2, newest.id()).unwrap();
    let before = feed(&store);
    assert_eq!(before.heads, [(newest.id(), 2)]);
    drop(store);
    over_restart_and_rebuild(dir.path(), &|store| {
        for old in said.iter().rev() {
            store.put_entries(std::slice::from_ref(old)).unwrap();
            store.see(&key(1).id(), old.entry().seq, old.id()).unwrap();
            assert_eq!(feed(store), before);
            assert_eq!(store.seen(&key(1).id()), Some((2, newest.id())));
        }
        assert_eq!(store.entry_count().unwrap(), 3);
    });
}

#[test]
fn of_a_fork_both_releases_and_the_proof_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (root, _) = release(&store, &key(1), "kubekey", &[bytes(5_000, 1)]);
    let contents = bytes(200_000, 2);
    let (one, added) = release(&store, &key(1), "one", std::slice::from_ref(&contents));
    let (_, claim): (_, ArtifactListRef) = fixtures::list_of(&added).encode().unwrap();
    let other = statement(&key(1), 1, Some(&root), "other", claim);
    store.put_entries(std::slice::from_ref(&other)).unwrap();
    let before = feed(&store);
    assert_eq!(before.forks.len(), 1);
    drop(store);
    over_restart_and_rebuild(dir.path(), &|store| {
        let [fork] = feed(store).forks[..] else { panic!("the proof is gone") };
        assert_eq!(fork.seq, 1);
        for signed in [&one, &other] {
            assert!([fork.one, fork.other].contains(&signed.id()));
            assert_eq!(store.entry(&signed.id()).unwrap().as_ref(), Some(signed));
            let list = store.artifact_list(&id(signed)).unwrap().unwrap();
            let mut out = Vec::new();
            store.copy_out(&list.iter().next().unwrap().blake3, &mut out).unwrap();
            assert!(out == contents);
        }
    });
}

#[test]
fn entries_about_one_type_of_packages_are_told_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let key = key(1);
    let artifacts = ArtifactListRef { blob: BlobId::of(b""), count: 1, bytes: 1, size: 1 };
    let sign = |body: Body| {
        let next = store.feed(&key.id()).unwrap().next(None).unwrap();
        let signed = next.entry(key.id(), 1, body).sign(&key).unwrap();
        store.put_entries(std::slice::from_ref(&signed)).unwrap();
        signed.id()
    };
    let release =
        |purl: &str| sign(Body::Release(Box::new(Release::new(purl.parse().unwrap(), artifacts))));
    let image = release("pkg:docker/a/b@v1");
    release("pkg:generic/docker@v1");
    let chart = release("pkg:helm/b@v1");
    let from = |ty: &str, seq: u64| store.entries_of_type(&key.id(), ty, seq).unwrap();
    let of = |ty: &str| from(ty, 0);
    assert_eq!((of("docker"), of("helm"), of("dock")), (vec![image], vec![chart], vec![]));
    assert_eq!(
        (from("docker", 1), from("helm", 2), from("helm", 3)),
        (vec![], vec![chart], vec![])
    );
    let unknown = store.entries_of_type(&fixtures::key(2).id(), "docker", 0).unwrap();
    assert_eq!(unknown, []);
}

#[test]
fn entries_of_strangers_are_counted_on_arrival_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let [ours, other] = [key(1), key(2)];
    follow(&store, &ours);
    let (first, _) = release(&store, &other, "kubekey", &[bytes(10, 1)]);
    release(&store, &ours, "kubekey", &[bytes(10, 1)]);
    assert_eq!(store.strangers(), 1);
    store.put_entries(&[first]).unwrap();
    assert_eq!(store.strangers(), 1, "known already");
    release(&store, &other, "kubesphere", &[bytes(10, 2)]);
    let check = |store: &Store| {
        let ours = store.follows();
        assert_eq!(store.strangers(), 2);
        store.set_follows(&Follows::default()).unwrap();
        assert_eq!(store.strangers(), 3);
        store.set_follows(&Follows { all: true, ..Follows::default() }).unwrap();
        assert_eq!(store.strangers(), 0);
        store.set_follows(&ours).unwrap();
    };
    check(&store);
    store.rebuild_index().unwrap();
    check(&store);
    drop(store);
    store = open(dir.path());
    check(&store);
}
