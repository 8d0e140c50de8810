//! A collection spares what an add or a fetch in progress relies on, whenever it comes, and
//! everything when in doubt.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::fixtures::{bytes, flip, follow, key, open, release};
use perennial_manifest::BlobId;
use perennial_store::{BlobState, GcOptions, Pin, Store, StoreError};

const NOW: GcOptions = GcOptions { grace: Duration::ZERO, dry_run: false };
const SIZES: [usize; 2] = [5_000, 100_000];

fn is_whole(store: &Store, blob: &BlobId) -> bool {
    store.copy_out(blob, &mut std::io::sink()).is_ok()
}

/// Adds bytes that nothing needs.
fn unneeded(store: &Store, bytes: Vec<u8>) -> BlobId {
    let mut batch = store.batch();
    let added = batch.add_bytes(bytes).unwrap();
    drop(batch.commit().unwrap());
    added.blob
}

fn collect(store: &Store) {
    store.gc(NOW).unwrap();
}

#[test]
fn the_report_counts_blobs_spared_only_by_the_grace_period() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (large, pinned) = (unneeded(&store, bytes(100_000, 1)), unneeded(&store, bytes(99_000, 2)));
    store.set_pin(Pin::Blob(pinned), true).unwrap();
    let leased = store.lease(vec![unneeded(&store, bytes(98_000, 3))]);
    let gc = |grace, dry_run| {
        let report = store.gc(GcOptions { grace, dry_run }).unwrap();
        (report.kept, report.in_grace, report.removed)
    };
    let hour = Duration::from_secs(3600);
    for dry_run in [true, false] {
        assert_eq!(gc(hour, dry_run), (3, 1, 0), "dry run: {dry_run}");
    }
    assert_eq!(gc(Duration::ZERO, true), (2, 0, 1));
    assert!(is_whole(&store, &large));
    assert_eq!(gc(Duration::ZERO, false), (2, 0, 1));
    drop(leased);
    assert_eq!(gc(hour, false), (2, 1, 0), "the lease was all that it had");
}

#[test]
fn an_add_of_held_bytes_keeps_them() {
    for len in SIZES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let blob = unneeded(&store, bytes(len, 1));
        let mut batch = store.batch();
        assert!(!batch.add_bytes(bytes(len, 1)).unwrap().new);
        collect(&store);
        let lease = batch.commit().unwrap();
        collect(&store);
        assert!(is_whole(&store, &blob), "{len}");
        drop(lease);
        collect(&store);
        assert_eq!(store.blob_state(&blob).unwrap(), BlobState::Missing, "{len}");
    }
}

fn age(dir: &Path) {
    let old = std::fs::FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(3600));
    for file in std::fs::read_dir(dir).unwrap() {
        std::fs::File::open(file.unwrap().path()).unwrap().set_times(old).unwrap();
    }
}

#[test]
fn a_running_fetch_stays_and_an_abandoned_one_is_removed() {
    let (dir, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, from) = (open(dir.path()), open(from.path()));
    let blob = unneeded(&from, bytes(100_000, 1));
    let mut encoded = Vec::new();
    from.encode(&blob, std::slice::from_ref(&(0..32_768)), &mut encoded).unwrap();
    let partial = store.partial(blob, 100_000).unwrap();
    partial.decode(std::slice::from_ref(&(0..32_768)), &encoded[..], &mut |_| Ok(())).unwrap();
    age(&dir.path().join("partial"));
    assert_eq!(store.gc(NOW).unwrap().partial_removed, 0, "a fetch writes to it");
    drop(partial);
    let hour = GcOptions { grace: Duration::from_secs(2 * 3600), ..NOW };
    assert_eq!(store.gc(hour).unwrap().partial_removed, 0, "it may be gone on with");
    assert_eq!(store.partial(blob, 100_000).unwrap().have_bytes(), 32_768);
    age(&dir.path().join("partial"));
    assert_eq!(store.gc(NOW).unwrap().partial_removed, 1);
    assert_eq!(std::fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn an_error_while_marking_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    follow(&store, &key(1));
    let contents = SIZES.map(|len| bytes(len, 1));
    let (signed, added) = release(&store, &key(1), "kubekey", &contents);
    let junk = SIZES.map(|len| unneeded(&store, bytes(len, 2)));
    flip(&dir.path().join("packs/0000000001.pack"), signed.payload());
    let error = store.gc(NOW).unwrap_err();
    assert!(matches!(error, StoreError::DamagedEntry(entry) if entry == signed.id()), "{error}");
    assert!(junk.iter().all(|blob| is_whole(&store, blob)), "unneeded blobs stay as well");
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    collect(&store);
    assert!(
        added.iter().all(|added| is_whole(&store, &added.blob)),
        "after the repair it continues"
    );
    assert!(junk.iter().all(|blob| store.blob_state(blob).unwrap() == BlobState::Missing));
}

#[test]
fn unpinned_and_unfollowed_releases_of_any_size_stay_for_the_grace_period() {
    for by_pin in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let (signed, added) = release(&store, &key(1), "kubekey", &SIZES.map(|len| bytes(len, 1)));
        let pin = Pin::Release(crate::fixtures::id(&signed));
        // As old as can be: only the moment at which it was let go counts.
        age(&dir.path().join("packs"));
        for shard in std::fs::read_dir(dir.path().join("blobs")).unwrap() {
            age(&shard.unwrap().path());
        }
        if by_pin {
            store.set_pin(pin, true).unwrap();
            store.set_pin(pin, false).unwrap();
        } else {
            follow(&store, &key(1));
            store.set_follows(&perennial_store::Follows::default()).unwrap();
        }
        drop(store);
        let store = open(dir.path());
        age(&dir.path().join("packs"));
        let half_an_hour = GcOptions { grace: Duration::from_secs(1800), ..NOW };
        let report = store.gc(half_an_hour).unwrap();
        assert_eq!((report.in_grace, report.removed), (3, 0), "{by_pin}");
        store.set_pin(pin, true).unwrap();
        collect(&store);
        assert!(added.iter().all(|added| is_whole(&store, &added.blob)), "pinned again: all there");
        store.set_pin(pin, false).unwrap();
        assert_eq!(store.gc(NOW).unwrap().removed, 3, "without grace it goes");
    }
}
