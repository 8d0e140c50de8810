//! A collection during adds of the very blobs it would remove: what an add acknowledged is there
//! while its lease lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fixtures::{bytes, open};
use perennial_store::GcOptions;

const NOW: GcOptions = GcOptions { grace: Duration::ZERO, dry_run: false };

#[test]
fn acknowledged_adds_survive_a_concurrent_collection() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let done = AtomicBool::new(false);
    let collected = std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut removed = 0;
            while !done.load(Ordering::Relaxed) {
                removed += store.gc(NOW).unwrap().removed;
            }
            removed
        });
        let adders: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    // The same bytes each time, so that most adds find what a collection is about
                    // to remove.
                    for round in 0..150 {
                        let good = bytes(if round % 2 == 0 { 5_000 } else { 100_000 }, 1);
                        let mut batch = store.batch();
                        let blob = batch.add_bytes(good.clone()).unwrap().blob;
                        let lease = batch.commit().unwrap();
                        let mut out = Vec::new();
                        store.copy_out(&blob, &mut out).unwrap();
                        assert!(out == good);
                        drop(lease);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = adders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "an add lost what it was told is here");
        collector.join().unwrap()
    });
    assert!(collected > 0, "nothing was ever collected: no race");
}
