//! Blobs by SHA-256: what this node hashed is found, and a wrong claim of a signed list is
//! detected.

use std::fs;
use std::path::Path;

use crate::fixtures::{
    bytes, file_of, flip, id, key, list_of, open, release, statement, throughout,
};
use perennial_manifest::{Artifact, ArtifactList, Holding, Sha256Digest};
use perennial_store::{Added, Store, StoreError};

fn added(store: &Store, len: usize) -> Added {
    let mut batch = store.batch();
    let added = batch.add_bytes(bytes(len, 1)).unwrap();
    batch.commit().unwrap();
    added
}

/// Whether the bytes of a blob have the SHA-256 that its list claims.
fn is_true(store: &Store, artifact: &Artifact) -> bool {
    store.copy_out(&artifact.blake3, &mut std::io::sink()).unwrap() == artifact.sha256
}

/// A release whose list claims a wrong SHA-256 for a blob.
fn lied_about(store: &Store, added: &Added, said: Sha256Digest) -> ArtifactList {
    let list = list_of(&[Added { sha256: said, ..*added }]);
    let (encoded, claim) = list.encode().unwrap();
    let mut batch = store.batch();
    batch.add_bytes(encoded).unwrap();
    let _lease = batch.commit().unwrap();
    let signed = statement(&key(1), 0, None, "kubekey", claim);
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    assert_eq!(store.release(&id(&signed)).unwrap().unwrap().state, Holding::Held, "by its BLAKE3");
    list
}

#[test]
fn a_false_claim_about_a_small_blob_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let added = added(&store, 5_000);
    let wrong = Sha256Digest::from_bytes([7; 32]);
    let list = lied_about(&store, &added, wrong);
    let check = |store: &Store| {
        assert!(list.iter().all(|artifact| !is_true(store, artifact)));
        assert_eq!(
            store.blob_of_sha256(&wrong).unwrap(),
            None,
            "this node hashed it, and knows better"
        );
        assert_eq!(store.blob_of_sha256(&added.sha256).unwrap(), Some(added.blob));
    };
    check(&store);
    store.rebuild_index().unwrap();
    check(&store);
    drop(store);
    check(&open(dir.path()));
}

#[test]
fn a_false_claim_about_a_large_blob_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let added = added(&store, 100_000);
    let wrong = Sha256Digest::from_bytes([7; 32]);
    let list = lied_about(&store, &added, wrong);
    let store = throughout(store, dir.path(), |store| {
        assert_eq!(store.blob_of_sha256(&wrong).unwrap(), None);
        assert_eq!(store.blob_of_sha256(&added.sha256).unwrap(), Some(added.blob));
        assert!(store.refutes(&wrong, &added.blob).unwrap());
        // The claim is its publisher's, and is found as such.
        assert_eq!(store.releases_with(&wrong, 10).unwrap().len(), 1);
    });
    assert!(list.iter().all(|artifact| !is_true(&store, artifact)));
}

/// Fetches a blob group by group, in an order of its own, over one or two starts.
#[test]
fn the_sha256_of_a_fetched_blob_is_computed_on_the_way() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = open(there.path());
    for (seed, order, interrupted) in [
        (1, vec![0..1 << 20, 1 << 20..3_000_001], false),
        (2, vec![1 << 20..2 << 20, 0..1 << 20, 2 << 20..3_000_001], false),
        (3, vec![2 << 20..3_000_001, 0..1 << 20, 1 << 20..2 << 20], true),
        (4, vec![0..1 << 20, 0..2 << 20, 1 << 20..3_000_001], true),
    ] {
        let mut store = open(here.path());
        let mut batch = other.batch();
        let added = batch.add_bytes(bytes(3_000_001, seed)).unwrap();
        drop(batch.commit().unwrap());
        let mut partial = store.partial(added.blob, 3_000_001).unwrap();
        for (at, range) in order.into_iter().enumerate() {
            if at == 1 && interrupted {
                drop((partial, store));
                store = open(here.path());
                partial = store.partial(added.blob, 3_000_001).unwrap();
            }
            let (ranges, mut encoded) = ([range], Vec::new());
            other.encode(&added.blob, &ranges, &mut encoded).unwrap();
            partial.decode(&ranges, &encoded[..], &mut |_| Ok(())).unwrap();
        }
        store.complete(&partial).unwrap();
        assert_eq!(store.known_sha256(&added.blob).unwrap(), Some(added.sha256), "{seed}");
        assert_eq!(store.hash(&added.blob).unwrap(), added.sha256);
        drop(partial);
        let store = throughout(store, here.path(), |store| {
            assert_eq!(store.blob_of_sha256(&added.sha256).unwrap(), Some(added.blob), "{seed}");
        });
        assert_eq!(store.verify(&|_, _| {}).corrupt, []);
    }
}

fn flip_sha256(pack: &Path, sha256: &Sha256Digest) {
    let mut all = fs::read(pack).unwrap();
    let at = all.windows(32).position(|window| window == sha256.as_bytes()).unwrap();
    all[at] ^= 1;
    fs::write(pack, all).unwrap();
}

#[test]
fn small_blobs_are_found_by_their_true_hash() {
    // Enough of them to seal the pack.
    for more in [0, 1_200] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let contents: Vec<_> = (0..=more).map(|seed| bytes(60_000, seed)).collect();
        let added = release(&store, &key(1), "kubekey", &contents).1[0];
        let pack = dir.path().join("packs/0000000001.pack");
        assert_eq!(pack.with_extension("idx").exists(), more > 0);
        let mut spoilt = *added.sha256.as_bytes();
        spoilt[0] ^= 1;
        let check = |store: &Store| {
            assert_eq!(store.blob_of_sha256(&added.sha256).unwrap(), Some(added.blob));
            assert_eq!(store.blob_of_sha256(&Sha256Digest::from_bytes(spoilt)).unwrap(), None);
            assert_eq!(store.verify(&|_, _| {}).corrupt, []);
        };
        check(&store);
        drop(store);
        flip_sha256(&pack, &added.sha256);
        check(&open(dir.path()));
        let _ = fs::remove_file(pack.with_extension("idx"));
        check(&open(dir.path()));
    }
}

/// What this node hashed once is verified when it is copied, and hashed again only for another
/// claim.
#[test]
fn a_copy_of_hashed_bytes_is_verified_whatever_is_claimed_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for len in [5_000, 300_001] {
        let added = added(&store, len);
        let wrong = Sha256Digest::from_bytes([7; 32]);
        let copy = |claimed: Option<&Sha256Digest>| {
            let path = dir.path().join("copy");
            let file = fs::File::create(&path).unwrap();
            let wrote = store.copy_to_file(&added.blob, &file, &path, claimed, &|_| Ok(()));
            wrote.map(|sha256| (sha256, fs::read(&path).unwrap()))
        };
        for claimed in [Some(&added.sha256), Some(&wrong), None] {
            assert_eq!(copy(claimed).unwrap(), (added.sha256, bytes(len, 1)));
        }
        if len > 64 << 10 {
            flip(&file_of(dir.path(), &added), &bytes(len, 1));
            assert!(matches!(copy(Some(&added.sha256)), Err(StoreError::Corrupt { .. })));
        }
    }
}
