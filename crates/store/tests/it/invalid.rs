//! A list that does not fit its entry makes that release invalid, and nothing else.

use std::time::Duration;

use crate::fixtures::{
    bytes, file_of, flip, follow, id, key, list_of, open, release, statement, throughout,
};
use perennial_manifest::{
    ArtifactListRef, BlobId, Holding, PublisherId, Resolution, Selector, SignedEntry,
};
use perennial_store::{Follows, GcOptions, Pin, ReleaseFilter, Store, StoreError};

const NOW: GcOptions = GcOptions { grace: Duration::ZERO, dry_run: false };

fn follow_all(store: &Store) {
    store.set_follows(&Follows { all: true, ..Follows::default() }).unwrap();
}

/// Releases of a stranger that name held blobs as their lists, each with another lie.
fn lies(store: &Store, true_claim: ArtifactListRef, other: BlobId, size: u64) -> Vec<SignedEntry> {
    let claims = [
        ArtifactListRef { size: 12_345, ..true_claim },
        ArtifactListRef { count: true_claim.count + 1, ..true_claim },
        ArtifactListRef { bytes: true_claim.bytes + 1, ..true_claim },
        ArtifactListRef { blob: other, count: 1, bytes: 1, size },
        ArtifactListRef { blob: other, count: 1, bytes: 1, size: size + 1 },
    ];
    let mut signed: Vec<SignedEntry> = Vec::new();
    for (seq, claim) in (0..).zip(claims) {
        signed.push(statement(&key(9), seq, signed.last(), "kubekey", claim));
    }
    store.put_entries(&signed).unwrap();
    signed
}

#[test]
fn an_invalid_release_stops_no_collection_and_no_other_release() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    follow_all(&store);
    let (good, files) = release(&store, &key(1), "kubekey", &[bytes(100_000, 1), bytes(10, 2)]);
    let claim = good.release().unwrap().1.artifacts;
    let invalid = lies(&store, claim, files[0].blob, 100_000);
    let store = throughout(store, dir.path(), |store| {
        for signed in &invalid {
            let row = store.release(&id(signed)).unwrap().unwrap();
            assert_eq!((row.state, row.held_bytes), (Holding::Invalid, 0));
            assert!(matches!(
                store.artifact_list(&id(signed)),
                Err(StoreError::InvalidList { .. })
            ));
        }
        assert_eq!(store.release(&id(&good)).unwrap().unwrap().state, Holding::Held);
        assert_eq!(store.wanted(None, 100).unwrap(), [], "they are not fetched");
        assert_eq!((store.stats().unwrap().invalid, store.stats().unwrap().held), (5, 1));
        let filter = ReleaseFilter { state: Some(Holding::Invalid), ..ReleaseFilter::default() };
        assert_eq!(store.releases(&filter).unwrap().len(), 5);
        for dry_run in [true, false] {
            let report = store.gc(GcOptions { dry_run, ..NOW }).unwrap();
            assert_eq!((report.invalid, report.removed), (5, 0), "dry run: {dry_run}");
        }
        let report = store.verify(&|_, _| {});
        assert_eq!((report.corrupt, report.losses.len()), (Vec::new(), 0));
    });
    // Damage of the good release is noticed all the same, and one of them may be pinned.
    store.set_pin(Pin::Release(id(&invalid[0])), true).unwrap();
    flip(&file_of(dir.path(), &files[0]), &bytes(100_000, 1));
    assert!(store.copy_out(&files[0].blob, &mut std::io::sink()).is_err());
    assert_eq!(store.release(&id(&good)).unwrap().unwrap().state, Holding::Partial);
    assert_eq!(store.wanted(None, 100).unwrap().len(), 1);
    store.gc(NOW).unwrap();
}

#[test]
fn it_is_found_invalid_when_its_list_arrives_and_stays_so_when_that_is_gone() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(here.path()), open(there.path()));
    follow(&store, &key(9));
    let (good, _) = release(&other, &key(1), "kubekey", &[bytes(10, 1)]);
    let claim = good.release().unwrap().1.artifacts;
    let lie = ArtifactListRef { count: 2, ..claim };
    let signed = statement(&key(9), 0, None, "kubekey", lie);
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    assert_eq!(store.wanted(None, 100).unwrap().len(), 1, "nothing is known of its list");
    let mut list = Vec::new();
    other.copy_out(&claim.blob, &mut list).unwrap();
    drop(store.add_small(vec![list]).unwrap());
    assert_eq!(store.refresh_state(&id(&signed)).unwrap(), Some(Holding::Invalid));
    assert_eq!(store.wanted(None, 100).unwrap(), []);
    store.gc(NOW).unwrap();
    assert!(store.blob_size(&claim.blob).unwrap().is_some(), "it shows why");
    store.set_follows(&Follows::default()).unwrap();
    store.gc(NOW).unwrap();
    store.gc(GcOptions { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert_eq!(store.refresh_state(&id(&signed)).unwrap(), Some(Holding::Invalid));
    follow(&store, &key(9));
    assert_eq!(store.wanted(None, 100).unwrap(), [], "the same bytes would come again");
}

#[test]
fn a_name_means_an_invalid_release_only_if_it_means_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    follow(&store, &key(2));
    follow(&store, &key(9));
    let (good, files) = release(&store, &key(2), "kubekey", &[bytes(10, 1)]);
    let claim = good.release().unwrap().1.artifacts;
    let lie = ArtifactListRef { size: claim.size + 1, ..claim };
    let signed = statement(&key(9), 0, None, "kubekey", lie);
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    let found = |only: Option<u8>| -> Vec<PublisherId> {
        let (own, only) = (key(1).id(), only.map(|seed| key(seed).id()));
        let selector: Selector = "kubekey@v1".parse().unwrap();
        match store.resolve(&selector, &own, only.as_ref()).unwrap() {
            Resolution::Found(found) => found.iter().map(|found| found.publisher).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found(None), [key(2).id()]);
    assert_eq!(found(Some(9)), [key(9).id()]);
    assert_eq!(list_of(&files).len(), 1);
}
