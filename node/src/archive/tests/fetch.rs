//! Fetching: equal fetches share one, a fetch ends when its last caller leaves, and a release is
//! announced once it is whole.

use std::sync::Arc;

use futures::FutureExt;
use perennial_manifest::{BlobId, Holding, Keypair, ReleaseId};
use perennial_operation::ErrorKind;
use perennial_protocol::BlobClaim;
use perennial_protocol::FetchFailure;
use perennial_protocol::KeepOutcome;
use perennial_store::{OpenOptions, Quota, Store, StoreError};

use super::{Machine, Told, peer};
use crate::archive::{ArchiveError, FetchError, keep};

fn fetches(machine: &Machine) -> usize {
    machine.count(|told| matches!(told, Told::Fetch(_)))
}

/// A machine that knows another machine's release, whose blobs peers hold.
async fn follower(gated: bool) -> (Machine, ReleaseId) {
    let other = Machine::new(2);
    let added = other.add("pkg:generic/thing@1", &[("a", b"one"), ("b", b"two")]).await;
    let machine = if gated { Machine::gated(1) } else { Machine::new(1) };
    machine.learn(&other);
    (machine, added.release)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_fetched_list_first_and_announced_once() {
    let (machine, release) = follower(false).await;
    let fetched = machine.archive.fetch(release, &()).await.unwrap();
    assert_eq!((fetched.list.len(), fetched.from.len()), (2, 1));
    assert_eq!(fetched.from[&peer()], 6);
    assert_eq!(machine.state(&release), Some(Holding::Held));
    machine.until(|told| told.contains(&Told::Held(release))).await;
    let told = machine.told();
    let named: Vec<_> = told
        .iter()
        .filter_map(|told| if let Told::Fetch(blobs) = told { Some(blobs.len()) } else { None })
        .collect();
    assert_eq!(named, [1, 2], "{told:?}");
    let again = machine.archive.fetch(release, &()).await.unwrap();
    assert!(again.from.is_empty(), "all of it is here");
    assert_eq!(fetches(&machine), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_fetches_of_all_callers_share_one() {
    let (machine, release) = follower(true).await;
    let doors = async {
        let get = machine.archive.fetch(release, &());
        let other = machine.archive.fetch(release, &());
        let kept = keep(machine.archive.clone(), release);
        let (get, other, ()) = tokio::join!(get, other, kept);
        (get.unwrap(), other.unwrap())
    };
    let open = async {
        machine.until(|told| told.iter().any(|told| matches!(told, Told::Fetch(_)))).await;
        machine.gate.add_permits(8);
    };
    let ((one, other), ()) = tokio::join!(doors, open);
    assert!(Arc::ptr_eq(&one, &other), "one outcome for both");
    assert_eq!(fetches(&machine), 2, "the list once, the blobs once");
    machine.until(|told| told.contains(&Told::Kept(release, KeepOutcome::Held))).await;
    let told = machine.told();
    let held = told.iter().position(|told| *told == Told::Held(release)).unwrap();
    let kept = told.iter().position(|told| matches!(told, Told::Kept(..))).unwrap();
    assert!(held < kept, "{told:?}");
    assert_eq!(machine.count(|told| *told == Told::Held(release)), 1, "announced twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_blobs_of_http_clients_share_one() {
    let (machine, release) = follower(true).await;
    let blob = BlobId::of(b"one");
    let both = async {
        let (one, other) = tokio::join!(
            machine.archive.fetch_blob(Some(release), blob, 3),
            machine.archive.fetch_blob(Some(release), blob, 3)
        );
        one.and(other)
    };
    let open = async {
        machine.until(|told| !told.is_empty()).await;
        machine.gate.add_permits(8);
    };
    let (both, ()) = tokio::join!(both, open);
    both.unwrap();
    assert_eq!(fetches(&machine), 1);
    assert_eq!(machine.store().blob_size(&blob).unwrap(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_with_its_last_caller() {
    let (machine, release) = follower(true).await;
    let mut first = Box::pin(machine.archive.fetch(release, &()));
    let mut second = Box::pin(machine.archive.fetch(release, &()));
    let began = async {
        machine.until(|told| told.iter().any(|told| matches!(told, Told::Fetch(_)))).await;
    };
    tokio::select! {
        _ = &mut first => panic!("the gate is closed"),
        _ = &mut second => panic!("the gate is closed"),
        () = began => {}
    }
    drop(first);
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(machine.count(|told| *told == Told::Cancel), 0, "one caller still waits");
    drop(second);
    machine.until(|told| told.contains(&Told::Cancel)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_no_catalog_has_is_not_fetched() {
    let machine = Machine::new(1);
    let release = ReleaseId::from(perennial_manifest::EntryId::from_bytes([7; 32]));
    let unknown = machine.archive.fetch(release, &()).await.unwrap_err();
    assert!(matches!(unknown, FetchError::Unknown(id) if id == release));
    assert_eq!(ArchiveError::from(unknown).kind(), ErrorKind::NotFound);
    assert_eq!(machine.told(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_only_its_list_fetched_is_partial() {
    let (machine, release) = follower(false).await;
    machine.world().blobs.remove(&BlobId::of(b"two"));
    let failed = machine.archive.fetch(release, &()).await.unwrap_err();
    assert!(matches!(failed, FetchError::Peers(FetchFailure::NoHolder)), "{failed}");
    assert_eq!(ArchiveError::from(failed).kind(), ErrorKind::NotFound);
    assert_eq!(machine.state(&release), Some(Holding::Partial));
    keep(machine.archive.clone(), release).await;
    machine.until(|told| told.contains(&Told::Kept(release, KeepOutcome::Failed))).await;
    assert_eq!(machine.count(|told| *told == Told::Held(release)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_a_denied_blob_is_refused_for_good() {
    let (machine, release) = follower(false).await;
    machine.store().deny(BlobId::of(b"two").into(), "a test".into()).unwrap();
    keep(machine.archive.clone(), release).await;
    machine.until(|told| told.contains(&Told::Kept(release, KeepOutcome::Refused))).await;
    assert_eq!(machine.store().blob_size(&BlobId::of(b"one")).unwrap(), None, "not in part either");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_only_the_true_size_of_a_blob_verifies() {
    let machine = Machine::new(1);
    let blob = BlobId::of(b"bytes");
    let claim = |size| BlobClaim { blob, size };
    machine.world().blobs.insert(blob, b"bytes".to_vec());
    machine.world().claims = vec![claim(9), claim(9), claim(5)];
    let got = machine.archive.get_blob(blob, &()).await.unwrap();
    assert_eq!((got.size, got.from.len()), (5, 1));
    assert_eq!(fetches(&machine), 2, "the size of most peers was tried first");

    let nowhere = BlobId::of(b"nowhere");
    machine.world().claims.clear();
    let missing = machine.archive.get_blob(nowhere, &()).await.unwrap_err();
    assert!(matches!(missing, ArchiveError::NoHolder(blob) if blob == nowhere), "{missing}");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

/// A machine with a quota, whose fetches end only when the test permits it.
fn limited(quota: u64) -> Machine {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { quota: Quota::Bytes(quota), ..OpenOptions::default() };
    drop(Store::open(&dir.path().join("data"), options).unwrap());
    Machine::signing(Keypair::from_seed([1; 32]), dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_fetch_is_promised_room_and_one_that_does_not_fit_is_not_begun() {
    let other = Machine::new(2);
    let file = vec![7; 12_000_000];
    let fits = other.add("pkg:generic/thing@1", &[("a", &file)]).await.release;
    let file = vec![8; 30_000_000];
    let too_large = other.add("pkg:generic/thing@2", &[("a", &file)]).await.release;
    for trusted in [false, true] {
        let machine = limited(48 << 20);
        machine.learn(&other);
        if trusted {
            machine.follow(other.archive.publisher()).await;
        }
        let room = || machine.store().usage().unwrap().room;
        let before = room();
        let watch = async {
            machine.gate.add_permits(1);
            machine
                .until(|told| told.iter().filter(|t| matches!(t, Told::Fetch(_))).count() == 2)
                .await;
            let kept = before - room();
            machine.gate.add_permits(1);
            kept
        };
        let (fetched, kept) = tokio::join!(machine.archive.fetch(fits, &()), watch);
        fetched.unwrap();
        assert_eq!(kept > 12_000_000, trusted, "{kept}");
        if trusted {
            machine.gate.add_permits(1);
            let error = machine.archive.fetch(too_large, &()).await.unwrap_err();
            let FetchError::Store(error) = error else { panic!("{error}") };
            assert!(matches!(*error, StoreError::OverQuota { .. }), "{error}");
            assert_eq!(fetches(&machine), 3, "its list, and no file");
            let failure = ArchiveError::from(FetchError::Store(error));
            assert!(failure.hint().unwrap().contains("--quota"), "{failure}");
        }
    }
}
