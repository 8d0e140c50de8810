//! A blob that is read while it arrives: the reader is told of verified bytes and of the end, and a
//! wrong claim about the size does not hide what arrives under the true one.

#![expect(clippy::cast_possible_truncation, reason = "a small literal")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use perennial_manifest::BlobId;
use perennial_store::{Arriving, FetchProgress, Store};

use crate::fixtures::{bytes, open};

const SIZE: u64 = 3 << 20;
const HALF: u64 = 2 << 20;

/// Whether the reader has been told of a change.
fn is_told(arriving: &mut Arriving) -> bool {
    let told = pin!(arriving.changed());
    told.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

fn send(from: &Store, to: &Store, blob: BlobId, range: std::ops::Range<u64>) {
    let mut encoded = Vec::new();
    let ranges = [range];
    from.encode(&blob, &ranges, &mut encoded).unwrap();
    let partial = to.partial(blob, SIZE).unwrap();
    partial.decode(&ranges, &encoded[..], &mut |_| Ok(())).unwrap();
    if partial.is_complete() {
        to.complete(&partial).unwrap();
    }
}

#[test]
fn a_reader_is_told_of_verified_bytes_and_of_the_end() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, elsewhere) = (open(dir.path()), open(elsewhere.path()));
    let content = bytes(SIZE as usize, 1);
    let mut batch = elsewhere.batch();
    let blob = batch.add_bytes(content.clone()).unwrap().blob;
    drop(batch.commit().unwrap());

    // Before any fetch exists.
    let mut arriving = store.arriving(&blob);
    assert_eq!(arriving.progress(), FetchProgress::default());
    assert_eq!(arriving.readable(0..SIZE), 0);
    assert!(!is_told(&mut arriving));

    let partial = store.partial(blob, SIZE).unwrap();
    let wrong = store.partial(blob, SIZE + 1).unwrap();
    send(&elsewhere, &store, blob, 0..HALF);
    assert!(is_told(&mut arriving));
    assert_eq!(arriving.progress(), FetchProgress { verified: HALF, complete: false });
    assert_eq!(arriving.readable(10..HALF + 5), HALF - 10);
    assert_eq!(arriving.readable(HALF..SIZE), 0);
    assert_eq!(arriving.read(10..20).unwrap().unwrap(), content[10..20]);
    assert_eq!(arriving.read(10..HALF + 1).unwrap(), None);
    assert!(!is_told(&mut arriving));

    send(&elsewhere, &store, blob, HALF..SIZE);
    assert!(is_told(&mut arriving));
    assert_eq!(arriving.progress(), FetchProgress { verified: SIZE, complete: true });
    drop((partial, wrong));
    let open = store.open_blob(&blob).unwrap().unwrap();
    assert_eq!(open.read(0..SIZE).unwrap(), content);
}
