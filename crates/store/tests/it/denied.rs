//! The deny list: a denied blob is neither taken in nor handed out, and its absence is not damage.

use std::time::Duration;

use crate::fixtures::{bytes, follow, id, key, list_of, open, release, statement, throughout};
use perennial_manifest::{Admit, ArtifactListRef, BlobId, Holding, Sha256Digest, SignedEntry};
use perennial_store::{BlobState, GcOptions, Pin, Placement, ReleaseFilter, Store, StoreError};

const SIZES: [usize; 2] = [500, 300_000];

/// A list of one file that is held.
fn list(store: &Store) -> ArtifactListRef {
    let mut batch = store.batch();
    let added = batch.add_bytes(bytes(10, 99)).unwrap();
    let (encoded, claim) = list_of(&[added]).encode().unwrap();
    batch.add_bytes(encoded).unwrap();
    batch.commit().unwrap();
    claim
}

#[test]
fn denied_bytes_are_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in SIZES {
        let content = bytes(size, 7);
        let blob = BlobId::of(&content);
        store.deny(blob.into(), "a court order".into()).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, &content).unwrap();
        for placement in [Placement::Copy, Placement::InPlace] {
            let added = store.batch().add_file(&file, placement, &|_| {});
            assert!(
                matches!(&added, Err(StoreError::Denied(denial)) if *denial.by() == blob.into()),
                "{added:?}"
            );
        }
        assert!(matches!(store.batch().add_bytes(content.clone()), Err(StoreError::Denied(_))));
        assert!(matches!(store.add_small(vec![content.clone()]), Err(StoreError::Denied(_))));
        store.undeny(&blob.into()).unwrap();
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
        store.deny(blob.into(), "a court order".into()).unwrap();
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
        store.undeny(&blob.into()).unwrap();
        assert!(store.blob_size(&blob).unwrap().is_none(), "still here");
    }
}

/// What a store hands out of a release: its row, and the bytes of its first file.
fn given(store: &Store, signed: &SignedEntry, content: &[u8]) -> (bool, bool, bool) {
    let blob = BlobId::of(content);
    let row = match store.release(&id(signed)) {
        Err(StoreError::Denied(_)) => false,
        row => row.unwrap().is_some(),
    };
    let listed = store.releases(&ReleaseFilter::default()).unwrap();
    let listed = listed.iter().any(|row| row.release == id(signed));
    (row, listed, store.blob_size(&blob).unwrap().is_some())
}

#[test]
fn a_package_is_denied_with_all_its_bytes_but_those_of_other_releases_that_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (own, shared) = (bytes(300_000, 1), bytes(9_000, 2));
    let (bad, _) = release(&store, &key(1), "bad", &[own.clone(), shared.clone()]);
    let (good, _) = release(&store, &key(2), "good", std::slice::from_ref(&shared));
    follow(&store, &key(1));
    follow(&store, &key(2));
    store.deny("pkg:generic/bad".parse().unwrap(), "malware".into()).unwrap();
    let store = throughout(store, dir.path(), |store| {
        assert_eq!(given(store, &bad, &own), (false, false, false));
        assert_eq!(given(store, &good, &shared), (true, true, true));
        let selector = "bad@v1".parse().unwrap();
        let error = store.resolve(&selector, &key(1).id(), None).unwrap_err().to_string();
        assert!(error.contains("pkg:generic/bad@v1") && error.ends_with(": malware"), "{error}");
        assert!(store.search("bad", 10).unwrap().is_empty());
        assert!(store.denied_by_name().unwrap().contains_key(&id(&bad)));
    });
    // Nothing but the denied release has it, and no pin: it goes. What another keeps stays.
    store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert!(store.undeny(&"pkg:generic/bad".parse().unwrap()).unwrap());
    assert_eq!(given(&store, &bad, &own), (true, true, false));
    assert_eq!(given(&store, &good, &shared), (true, true, true));
    assert!(!store.undeny(&"pkg:generic/bad".parse().unwrap()).unwrap(), "it was taken off");
}

#[test]
fn a_pin_keeps_what_is_denied_by_name_and_not_what_is_denied_by_digest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (one, other) = (bytes(300_000, 1), bytes(9_000, 2));
    let (signed, _) = release(&store, &key(1), "tool", &[one.clone(), other.clone()]);
    store.set_pin(Pin::Release(id(&signed)), true).unwrap();
    store.deny(key(1).id().into(), String::new()).unwrap();
    store.deny(Sha256Digest::of(&one).into(), String::new()).unwrap();
    assert_eq!(given(&store, &signed, &other), (false, false, false));
    store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    store.undeny(&key(1).id().into()).unwrap();
    store.undeny(&Sha256Digest::of(&one).into()).unwrap();
    assert_eq!(given(&store, &signed, &one), (true, true, false));
    assert_eq!(given(&store, &signed, &other), (true, true, true));
}

#[test]
fn nothing_that_a_denied_publisher_signs_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (first, _) = release(&store, &key(1), "tool", &[bytes(9_000, 1)]);
    store.deny(key(1).id().into(), "spam".into()).unwrap();
    let next = statement(&key(1), 1, Some(&first), "more", list(&store));
    let other = statement(&key(2), 0, None, "other", list(&store));
    let puts = store.put_entries(&[next.clone(), other.clone()]).unwrap();
    assert_eq!((puts[0].id, puts[1].id), (next.id(), other.id()));
    assert_eq!((&puts[0].admit, &puts[1].admit), (&Some(Admit::Known), &Some(Admit::New)));
    assert!(!store.has_entry(&next.id()).unwrap() && store.has_entry(&other.id()).unwrap());
    assert!(store.has_refused(&next.id()) && !store.has_refused(&other.id()));
    let mut follows = store.follows();
    follows.all = true;
    store.set_follows(&follows).unwrap();
    let wanted: Vec<_> = store.wanted(None, 1).unwrap();
    assert!(wanted.iter().all(|row| row.publisher == key(2).id()), "{wanted:?}");
    store.undeny(&key(1).id().into()).unwrap();
    assert!(!store.has_refused(&next.id()), "it is asked for again");
    assert_eq!(store.put_entries(&[next]).unwrap()[0].admit, Some(Admit::New));
}

#[test]
fn a_denied_sha256_is_refused_before_and_after_its_bytes_are_here() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in SIZES {
        let content = bytes(size, 11);
        let (blob, sha256) = (BlobId::of(&content), Sha256Digest::of(&content));
        store.deny(sha256.into(), "a court order".into()).unwrap();
        let added = store.batch().add_bytes(content.clone());
        assert!(matches!(&added, Err(StoreError::Denied(_))), "{added:?}");
        store.undeny(&sha256.into()).unwrap();
        release(&store, &key(1), &format!("tool-{size}"), std::slice::from_ref(&content));
        store.deny(sha256.into(), "a court order".into()).unwrap();
        assert_eq!(store.blob_state(&blob).unwrap(), BlobState::Denied);
        let text = store.refuse_denied(&blob).unwrap_err().to_string();
        assert_eq!(
            text,
            format!("{blob} is on this node's deny list (as {sha256}): a court order")
        );
        store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
        store.undeny(&sha256.into()).unwrap();
        assert_eq!(store.blob_state(&blob).unwrap(), BlobState::Missing);
    }
}

#[test]
fn an_open_blob_is_read_no_further_once_it_is_denied() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = bytes(300_000, 12);
    release(&store, &key(1), "tool", std::slice::from_ref(&content));
    let open = store.open_blob(&BlobId::of(&content)).unwrap().unwrap();
    assert_eq!(open.read(0..10).unwrap(), content[..10]);
    store.deny(BlobId::of(&content).into(), String::new()).unwrap();
    assert!(matches!(open.read(10..20), Err(StoreError::Denied(_))));
}

#[test]
fn the_list_of_a_denied_release_goes_with_it_unless_one_that_is_kept_has_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = bytes(300_000, 13);
    let (bad, _) = release(&store, &key(1), "bad", std::slice::from_ref(&content));
    let claim = bad.release().unwrap().1.artifacts;
    store.deny("pkg:generic/bad@v1".parse().unwrap(), "malware".into()).unwrap();
    let store = throughout(store, dir.path(), |store| {
        assert_eq!(store.blob_size(&claim.blob).unwrap(), None);
        let error = store.refuse_denied(&claim.blob).unwrap_err().to_string();
        assert!(error.contains("(as pkg:generic/bad@v1): malware"), "{error}");
    });
    store.put_entries(&[statement(&key(2), 0, None, "good", claim)]).unwrap();
    assert_eq!(store.blob_size(&claim.blob).unwrap(), None, "nothing here keeps the other one");
    follow(&store, &key(2));
    throughout(store, dir.path(), |store| {
        for blob in [claim.blob, BlobId::of(&content)] {
            assert!(store.blob_size(&blob).unwrap().is_some(), "{blob}");
        }
    });
}

#[test]
fn all_files_of_a_large_release_are_denied_but_those_that_another_large_one_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let files: Vec<_> = (0..600).map(|seed| bytes(40, seed)).collect();
    release(&store, &key(1), "bad", &files[..400]);
    // What both have is among the files that the index finds of neither.
    let good = [&files[400..], &files[300..400]].concat();
    release(&store, &key(2), "good", &good);
    store.deny(key(1).id().into(), String::new()).unwrap();
    let are_here = |store: &Store, files: &[Vec<u8>], here: bool| {
        for (at, file) in files.iter().enumerate() {
            let size = store.blob_size(&BlobId::of(file)).unwrap();
            assert_eq!(size.is_some(), here, "file {at} of {}", files.len());
        }
    };
    let store = throughout(store, dir.path(), |store| are_here(store, &files[..400], false));
    are_here(&store, &files[400..], true);
    follow(&store, &key(2));
    let store = throughout(store, dir.path(), |store| {
        are_here(store, &files[..300], false);
        are_here(store, &good, true);
    });
    // One that comes later counts as well.
    store.undeny(&key(1).id().into()).unwrap();
    store.deny("pkg:generic/bad".parse().unwrap(), String::new()).unwrap();
    let late = [files[400..].to_vec(), vec![files[0].clone()]].concat();
    are_here(&store, &files[..1], false);
    release(&store, &key(2), "late", &[&good[..299], &files[..1]].concat());
    are_here(&store, &late, true);
}
