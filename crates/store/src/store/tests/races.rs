//! An add or a fetch at any step of a collection keeps the very bytes that are about to be deleted.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use perennial_manifest::{BlobId, Holding};

use crate::catalog::Catalog;
use crate::durable::faults::at_step;
use crate::store::tests::fixtures::{bytes, id, key, open, release};
use crate::{BlobState, GcOptions, Lease, Pin, Store};

/// A small blob and a large one.
const SIZES: [usize; 2] = [5_000, 100_000];

/// Adds bytes, as a node's `add` does.
fn add(store: &Store, bytes: Vec<u8>) -> Lease {
    let mut batch = store.batch();
    batch.add_bytes(bytes).unwrap();
    batch.commit().unwrap()
}

/// Fetches bytes as a node does: held blobs are not requested.
fn fetch(store: &Store, bytes: Vec<u8>) -> Lease {
    let (blob, size) = (BlobId::of(&bytes), bytes.len() as u64);
    let lease = store.lease(vec![blob]);
    if store.blob_state(&blob).unwrap() == (BlobState::Held { size }) {
        return lease;
    }
    if size <= crate::SMALL {
        drop(store.add_small(vec![bytes]).unwrap());
        return lease;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = open(elsewhere.path());
    drop(add(&elsewhere, bytes));
    let mut encoded = Vec::new();
    elsewhere.encode(&blob, std::slice::from_ref(&(0..size)), &mut encoded).unwrap();
    let partial = store.partial(blob, size).unwrap();
    partial.decode(std::slice::from_ref(&(0..size)), &encoded[..], &mut |_| Ok(())).unwrap();
    store.complete(&partial).unwrap();
    lease
}

/// Runs `come` at step `n` of a collection. Returns whether there was such a step.
fn comes_at(n: u32, len: usize, come: fn(&Store, Vec<u8>) -> Lease) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let wanted = bytes(len, 1);
    let blob = BlobId::of(&wanted);
    drop(add(&store, wanted.clone()));
    // Shares the pack, so that the pack is rewritten.
    let pinned = bytes(700, 2);
    store.set_pin(Pin::Blob(BlobId::of(&pinned)), true).unwrap();
    drop((add(&store, pinned), add(&store, bytes(700, 3))));

    let coming = Rc::new(RefCell::new(None));
    let (visitor, slot, bytes) = (store.clone(), coming.clone(), wanted.clone());
    let other = move || {
        let (done, wait) = mpsc::channel();
        let (store, bytes) = (visitor.clone(), bytes.clone());
        *slot.borrow_mut() = Some(thread::spawn(move || {
            let lease = come(&store, bytes);
            let _ = done.send(());
            lease
        }));
        // It is done by now unless the collection holds it up; if so, it continues when the
        // collection ends.
        let _ = wait.recv_timeout(Duration::from_millis(50));
    };
    let collect = || store.gc(GcOptions { grace: Duration::ZERO, dry_run: false });
    let (collected, came) = at_step(n, other, collect);
    collected.unwrap();
    let Some(coming) = coming.take() else { return came };
    let lease = coming.join().unwrap();
    let check = |store: &Store| {
        let mut out = Vec::new();
        let read = store.copy_out(&blob, &mut out);
        assert!(read.is_ok() && out == wanted, "{len} bytes at step {n}: {read:?}");
    };
    check(&store);
    collect().unwrap();
    check(&store);
    drop((lease, store));
    check(&open(dir.path()));
    came
}

fn comes_at_every_step(come: fn(&Store, Vec<u8>) -> Lease) {
    for len in SIZES {
        let steps = (0..).find(|n| !comes_at(*n, len, come)).unwrap();
        assert!(steps > 8, "{steps} steps");
    }
}

#[test]
fn an_add_that_comes_while_its_bytes_are_collected_keeps_them() {
    comes_at_every_step(add);
}

#[test]
fn a_fetch_that_comes_while_its_bytes_are_collected_keeps_them() {
    comes_at_every_step(fetch);
}

#[test]
fn a_count_from_before_a_collection_is_made_again_when_it_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let signed = release(&store, &key(1), "one", &[bytes(100_000, 1)]).0;
    let row = store.release(&id(&signed)).unwrap().unwrap();
    let place = |catalog: &Catalog<'_>| catalog.place_of_row(&row);
    let removals = || store.inner().removals.load(Ordering::SeqCst);
    let before = removals();
    let count = store.inner().read(|catalog| catalog.recount(&row.artifacts)).unwrap();
    store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert!(removals() > before);
    let note = |made: u64| store.note_held(&row.artifacts, (&count, made), &place).unwrap();
    assert_eq!(note(before), Some(Holding::Known));
    assert_eq!(note(removals()), Some(Holding::Held), "as if it had been counted since");
}
