//! Files that become blobs without being copied, and readers of plain bytes.

use std::fs;
use std::time::Duration;

use crate::fixtures;
use perennial_manifest::BlobId;
use perennial_store::{GcOptions, Store, StoreError};

fn bytes(len: usize) -> Vec<u8> {
    fixtures::bytes(len, 1)
}

fn take(store: &Store, bytes: &[u8]) -> (BlobId, bool) {
    let path = store.incoming().join("download");
    fs::write(&path, bytes).expect("room");
    let mut batch = store.batch();
    let added = batch.take_file(&path, &|_| {}).expect("a regular file");
    drop(batch.commit().expect("room"));
    assert!(!path.exists(), "it moved");
    (added.blob, added.new)
}

#[test]
fn an_adopted_file_is_the_blob_and_counts_once() {
    let dir = tempfile::tempdir().expect("room");
    let store = fixtures::open(dir.path());
    for len in [0, 1000, 65_536, 65_537, 3_000_001] {
        let bytes = bytes(len);
        assert_eq!(take(&store, &bytes), (BlobId::of(&bytes), true), "{len}");
        assert_eq!(take(&store, &bytes), (BlobId::of(&bytes), false), "{len}");
        let mut out = Vec::new();
        store.copy_out(&BlobId::of(&bytes), &mut out).expect("it is held");
        assert_eq!(out, bytes);
    }
}

#[test]
fn ranges_are_the_bytes_of_the_file() {
    let dir = tempfile::tempdir().expect("room");
    let store = fixtures::open(dir.path());
    for len in [0usize, 1, 16_384, 65_536, 65_537, 200_000, 1 << 20] {
        let bytes = bytes(len);
        let (blob, _) = take(&store, &bytes);
        let len = len as u64;
        for (from, to) in [
            (0, len),
            (0, len + 7),
            (1, 2),
            (16_383, 16_385),
            (16_384, 32_768),
            (len / 2, len),
            (len, len + 1),
            (5, 3),
        ] {
            let open = store.open_blob(&blob).expect("it opens").expect("it is held");
            let out = open.read(from..to).expect("it verifies");
            let cut = |at: u64| usize::try_from(at.min(len)).expect("small");
            let expected = bytes.get(cut(from)..cut(to)).unwrap_or_default();
            assert_eq!(out, expected, "{from}..{to} of {len}");
        }
    }
}

#[test]
fn a_flipped_bit_stops_a_read_before_its_group() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("room");
    let store = fixtures::open(dir.path());
    let mut bytes = bytes(200_000);
    let (blob, _) = take(&store, &bytes);
    let hex = blob.to_hex();
    let file = store.dir().join(format!("blobs/{}/{hex}.blob", &hex[..2]));
    bytes[100_000] ^= 1;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(&file, &bytes).expect("ours");
    let open = store.open_blob(&blob).expect("it opens").expect("it is there");
    assert_eq!(
        open.read(0..98_304).expect("it verifies"),
        bytes[..98_304],
        "the groups before it are good"
    );
    assert!(matches!(open.read(98_303..98_305), Err(StoreError::Corrupt { .. })));
    assert!(store.open_blob(&blob).expect("it opens").is_none(), "it is set aside");
}

#[test]
fn abandoned_fetches_are_collected() {
    let dir = tempfile::tempdir().expect("room");
    let store = fixtures::open(dir.path());
    let path = store.incoming().join("upload");
    fs::write(&path, b"half").expect("room");
    let hour = GcOptions { grace: Duration::from_secs(3600), dry_run: false };
    store.gc(hour).expect("nothing is wrong");
    assert!(path.exists(), "it may go on");
    let old = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(old))
        .expect("ours");
    assert_eq!(store.gc(hour).expect("nothing is wrong").partial_removed, 1);
    assert!(!path.exists());
}
