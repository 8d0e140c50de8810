//! The deny list: a denied blob is neither taken in nor handed out, and its absence is not damage.

use std::time::Duration;

use crate::fixtures::{bytes, key, open, release};
use perennial_manifest::{BlobId, Holding};
use perennial_store::{GcOptions, Placement, StoreError};

const SIZES: [usize; 2] = [500, 300_000];

#[test]
fn denied_bytes_are_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in SIZES {
        let content = bytes(size, 7);
        let blob = BlobId::of(&content);
        store.set_denied(blob, Some("a court order".into())).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, &content).unwrap();
        for placement in [Placement::Copy, Placement::InPlace] {
            let added = store.batch().add_file(&file, placement, &|_| {});
            assert!(
                matches!(added, Err(StoreError::Denied(denied)) if denied == blob),
                "{added:?}"
            );
        }
        assert!(matches!(store.batch().add_bytes(content.clone()), Err(StoreError::Denied(_))));
        assert!(matches!(store.add_small(vec![content.clone()]), Err(StoreError::Denied(_))));
        store.set_denied(blob, None).unwrap();
        assert!(store.blob_size(&blob).unwrap().is_none(), "stored all the same");
        store.batch().add_bytes(content).unwrap();
    }
}

#[test]
fn a_denied_blob_is_removed_and_not_reported_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (seed, size) in SIZES.into_iter().enumerate() {
        let content = bytes(size, 20 + seed as u64);
        let blob = BlobId::of(&content);
        let (signed, _) =
            release(&store, &key(1), &format!("tool-{size}"), &[content.clone(), bytes(90, 3)]);
        store.set_denied(blob, Some("a court order".into())).unwrap();
        let mut out = Vec::new();
        assert!(
            matches!(store.copy_out(&blob, &mut out), Err(StoreError::Denied(_))) && out.is_empty()
        );
        store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
        let report = store.verify(&|_, _| {});
        assert!(report.losses.is_empty() && report.corrupt.is_empty(), "{report:?}");
        assert_ne!(
            store.release(&signed.release().unwrap().0).unwrap().unwrap().state,
            Holding::Held
        );
        store.set_denied(blob, None).unwrap();
        assert!(store.blob_size(&blob).unwrap().is_none(), "still here");
    }
}
