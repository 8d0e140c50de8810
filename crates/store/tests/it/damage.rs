//! Stored bytes that do not match their name: they stop being held, stay away over restarts, and
//! are whole once they are added again. Small and large blobs alike, and the lists that name them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]
#![expect(clippy::single_range_in_vec_init, reason = "one range is meant")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixtures::{self, add_again, bytes, flip, follow, id, key, open, release, throughout};
use perennial_manifest::{BlobId, Holding};
use perennial_store::{BlobState, Damaged, GcOptions, Pin, Store, StoreError};
use tokio::sync::broadcast::error::TryRecvError;

fn pack(dir: &Path) -> PathBuf {
    dir.join("packs/0000000001.pack")
}

fn read(store: &Store, blob: &BlobId) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::new();
    store.copy_out(blob, &mut out).map(|_| out)
}

/// How the damage is discovered.
#[derive(Debug, Clone, Copy)]
enum Found {
    Reading,
    Serving,
    Verifying,
    Starting,
}

fn damaged_and_back(len: usize, more: usize, found: Found) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    follow(&store, &key(1));
    let good = bytes(len, 1);
    // Enough of them to seal the pack.
    let contents: Vec<_> = (0..more as u64).map(|seed| bytes(60_000, 100 + seed)).collect();
    let contents = [vec![good.clone()], contents].concat();
    let (signed, added) = release(&store, &key(1), "kubekey", &contents);
    let blob = added[0].blob;
    assert_eq!(store.release(&id(&signed)).unwrap().unwrap().state, Holding::Held);
    let path =
        if len > 65_536 { fixtures::file_of(dir.path(), &added[0]) } else { pack(dir.path()) };
    flip(&path, &good);

    let mut damage = store.damage();
    match found {
        Found::Reading => assert!(read(&store, &blob).is_err()),
        Found::Serving => {
            let mut out = Vec::new();
            assert!(store.encode(&blob, &[0..len as u64], &mut out).is_err());
            // What was written before the damage verified; none of it has the flipped bit.
            assert!(out.len() < len);
        }
        Found::Verifying => assert_eq!(store.verify(&|_, _| {}).corrupt, [blob]),
        Found::Starting => {
            drop(store);
            store = open(dir.path());
            assert!(read(&store, &blob).is_err());
        }
    }
    if !matches!(found, Found::Starting) {
        let told = Damaged { blobs: vec![blob], releases: vec![id(&signed)] };
        assert_eq!(damage.try_recv(), Ok(told));
        assert_eq!(damage.try_recv(), Err(TryRecvError::Empty), "told once");
    }
    let gone = |store: &Store| {
        assert_eq!(store.blob_state(&blob).unwrap(), BlobState::Missing);
        assert_eq!(store.blob_of_sha256(&added[0].sha256).unwrap(), None);
        assert!(matches!(read(store, &blob), Err(StoreError::NotHeld(_))));
        assert_eq!(store.stats().unwrap().quarantined, 1);
        if !matches!(found, Found::Starting) {
            assert_eq!(store.release(&id(&signed)).unwrap().unwrap().state, Holding::Partial);
            assert_eq!(store.wanted(None, 10).unwrap().len(), 1);
        }
    };
    let store = throughout(store, dir.path(), gone);
    add_again(&store, &signed, &good);
    let back = |store: &Store| {
        assert_eq!(read(store, &blob).unwrap(), good);
        assert_eq!(store.stats().unwrap().quarantined, 0);
        assert_eq!(store.release(&id(&signed)).unwrap().unwrap().state, Holding::Held);
        assert_eq!(store.verify(&|_, _| {}).corrupt, []);
    };
    back(&store);
    drop(store);
    back(&open(dir.path()));
}

#[test]
fn a_damaged_blob_is_not_held_until_it_is_stored_again() {
    for len in [5_000, 200_000] {
        for found in [Found::Reading, Found::Serving, Found::Verifying, Found::Starting] {
            println!("{len} {found:?}");
            damaged_and_back(len, 0, found);
        }
    }
}

#[test]
fn a_damaged_blob_of_a_sealed_pack_is_not_held_until_it_is_stored_again() {
    for found in [Found::Reading, Found::Verifying] {
        damaged_and_back(5_000, 1_200, found);
    }
}

#[test]
fn a_damaged_list_keeps_what_it_named_from_being_collected() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (signed, added) =
        release(&store, &key(1), "kubekey", &[bytes(5_000, 1), bytes(200_000, 2)]);
    store.set_pin(Pin::Release(id(&signed)), true).unwrap();
    let (encoded, _) = fixtures::list_of(&added).encode().unwrap();
    flip(&pack(dir.path()), &encoded);
    let options = GcOptions { grace: Duration::ZERO, dry_run: false };
    let mut damage = store.damage();
    assert!(store.gc(options).is_err());
    assert_eq!(damage.try_recv().unwrap().releases, [id(&signed)], "a list counts as a blob");
    drop(store);
    let store = open(dir.path());
    assert!(store.gc(options).is_err(), "after a restart too");
    drop(store.add_small(vec![encoded]).unwrap());
    assert_eq!(store.gc(options).unwrap().removed, 0);
    assert!(added.iter().all(|added| read(&store, &added.blob).is_ok()));
}

#[test]
fn unneeded_damaged_bytes_are_not_kept_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for good in [bytes(5_000, 1), bytes(200_000, 2)] {
        let mut batch = store.batch();
        let added = batch.add_bytes(good.clone()).unwrap();
        drop(batch.commit().unwrap());
        flip(
            &if good.len() > 65_536 {
                fixtures::file_of(dir.path(), &added)
            } else {
                pack(dir.path())
            },
            &good,
        );
        assert!(read(&store, &added.blob).is_err());
    }
    assert_eq!(store.stats().unwrap().quarantined, 2);
    store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert_eq!(store.stats().unwrap().quarantined, 0);
}
