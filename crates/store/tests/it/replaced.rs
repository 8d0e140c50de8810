//! A large blob that is truncated, emptied, extended, or replaced by a link or a directory is found
//! like any other damage. No link is followed, and the blob is whole once it is added again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]
#![expect(clippy::single_range_in_vec_init, reason = "one range is meant")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::fixtures::{add_again, bytes, file_of, follow, id, key, open, release, throughout};
use perennial_manifest::Holding;
use perennial_store::{BlobState, GcOptions, Store, StoreError};

const LEN: usize = 200_000;
const HARMS: [&str; 5] = ["cut", "empty", "longer", "link", "directory"];

fn harm(how: &str, path: &Path, outside: &Path) {
    let good = fs::read(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    match how {
        "cut" => fs::write(path, &good[..LEN - 1]).unwrap(),
        "empty" => fs::write(path, []).unwrap(),
        "longer" => fs::write(path, [&good[..], &[0]].concat()).unwrap(),
        "link" => {
            // To the very bytes, so that only following the link would be wrong.
            fs::rename(path, outside).unwrap();
            symlink(outside, path).unwrap();
        }
        _ => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("somebodys"), "file").unwrap();
        }
    }
}

fn read(store: &Store, blob: &perennial_manifest::BlobId) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::new();
    store.copy_out(blob, &mut out).map(|_| out)
}

#[test]
fn a_replacement_of_a_blob_is_not_the_blob() {
    for (how, found) in
        HARMS.iter().flat_map(|how| ["reading", "serving", "verifying"].map(|f| (*how, f)))
    {
        let what = format!("{how} {found}");
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = outside.path().join("elsewhere");
        let store = open(dir.path());
        follow(&store, &key(1));
        let good = bytes(LEN, 1);
        let (signed, added) = release(&store, &key(1), "kubekey", std::slice::from_ref(&good));
        let blob = added[0].blob;
        harm(how, &file_of(dir.path(), &added[0]), &outside);
        match found {
            "reading" => {
                assert!(matches!(read(&store, &blob), Err(StoreError::Corrupt { .. })), "{what}");
            }
            "serving" => {
                let mut out = Vec::new();
                assert!(store.encode(&blob, &[0..LEN as u64], &mut out).is_err(), "{what}");
                assert!(out.is_empty(), "{what}");
            }
            _ => assert_eq!(store.verify(&|_, _| {}).corrupt, [blob], "{what}"),
        }
        let gone = |store: &Store| {
            assert_eq!(store.blob_state(&blob).unwrap(), BlobState::Missing, "{what}");
            assert_eq!(
                store.release(&id(&signed)).unwrap().unwrap().state,
                Holding::Partial,
                "{what}"
            );
            assert_eq!(store.wanted(None, 10).unwrap().len(), 1, "{what}");
            assert!(read(store, &blob).is_err(), "{what}");
            // The contents of a directory are not a damaged blob: it is moved away, and the blob is
            // missing.
            let kept = u64::from(how != "directory");
            assert_eq!(store.stats().unwrap().quarantined, kept, "{what}");
        };
        assert!(read(&store, &blob).is_err());
        let store = throughout(store, dir.path(), gone);
        add_again(&store, &signed, &good);
        drop(store);
        let store = open(dir.path());
        assert!(read(&store, &blob).unwrap() == good, "{what}");
        assert_eq!(store.release(&id(&signed)).unwrap().unwrap().state, Holding::Held, "{what}");
        assert_eq!(store.stats().unwrap().quarantined, 0, "{what}");
        assert_eq!(store.verify(&|_, _| {}).corrupt, [], "{what}");
        match how {
            "link" => {
                assert!(fs::read(&outside).unwrap() == good, "nothing is done to what it leads to");
            }
            "directory" => {
                let aside = file_of(dir.path(), &added[0]).with_extension("not-a-blob");
                assert_eq!(fs::read(aside.join("somebodys")).unwrap(), b"file");
            }
            _ => {}
        }
    }
}

#[test]
fn a_replaced_blob_does_not_stop_a_collection() {
    for how in HARMS {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = outside.path().join("elsewhere");
        let store = open(dir.path());
        let added = release(&store, &key(1), "kubekey", &[bytes(LEN, 1)]).1[0];
        harm(how, &file_of(dir.path(), &added), &outside);
        store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
        assert!(fs::symlink_metadata(file_of(dir.path(), &added)).is_err(), "{how}");
        assert_eq!(store.stats().unwrap().quarantined, 0, "{how}");
        assert_eq!(how == "link", outside.exists(), "nothing is done to what it leads to");
    }
}
