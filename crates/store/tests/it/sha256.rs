//! Blobs by SHA-256: what this node hashed is found, and a wrong claim of a signed list is
//! detected.

use std::fs;
use std::path::Path;

use crate::fixtures::{bytes, id, key, list_of, open, release, statement};
use perennial_manifest::{Artifact, ArtifactList, Holding, Sha256Digest};
use perennial_store::{Added, Store};

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
fn a_false_claim_about_a_large_blob_is_found_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let added = added(&store, 100_000);
    let wrong = Sha256Digest::from_bytes([7; 32]);
    let list = lied_about(&store, &added, wrong);
    assert_eq!(store.blob_of_sha256(&wrong).unwrap(), Some(added.blob), "a claim, to be hashed");
    assert!(list.iter().all(|artifact| !is_true(&store, artifact)));
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
