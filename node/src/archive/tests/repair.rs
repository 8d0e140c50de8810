//! Damage, maintenance, and how errors are grouped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perennial_import::ImportError;
use perennial_manifest::{BlobId, Holding, Selector, SignRefusal};
use perennial_operation::ErrorKind;
use perennial_protocol::FetchFailure;
use perennial_store::{Denial, GcOptions, StoreError};
use tokio_util::sync::CancellationToken;

use super::{Machine, Told};
use crate::archive::{ArchiveError, ExportError, FetchError, SignError};

/// Long enough for a file of its own in the store.
fn large() -> Vec<u8> {
    (0..=255).cycle().step_by(7).take(300_000).collect()
}

fn flip(dir: &Path, bytes: &[u8]) -> bool {
    let entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.into_iter().any(|path| {
        if path.is_dir() {
            return flip(&path, bytes);
        }
        let mut content = fs::read(&path).unwrap_or_default();
        if !content.starts_with(bytes) {
            return false;
        }
        content[1000] ^= 4;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, content).unwrap();
        true
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_found_by_a_read_is_fetched_again() {
    let (machine, bytes) = (Machine::new(1), large());
    let added = machine.add("pkg:generic/thing@1", &[("large", &bytes)]).await;
    machine.peers_hold(&machine);
    let stop = CancellationToken::new();
    let damage = machine.store().damage();
    let repair = tokio::spawn(machine.archive.clone().repair(damage, stop.clone()));
    assert!(flip(&machine.dir.path().join("data"), &bytes));

    let out = machine.dir.path().join("out");
    let blob = BlobId::of(&bytes);
    let corrupt = machine.archive.export_blob(blob, None, out, false).await.unwrap_err();
    assert!(matches!(
        corrupt,
        ArchiveError::Export(ExportError::Store(StoreError::Corrupt { .. }))
    ));
    assert_eq!(corrupt.kind(), ErrorKind::Verification);
    machine.until(|told| told.contains(&Told::Dropped(added.release))).await;
    machine
        .until(|told| told.iter().filter(|told| matches!(told, Told::Held(_))).count() == 2)
        .await;
    assert!(machine.told().contains(&Told::Fetch(vec![blob])), "{:?}", machine.told());
    assert_eq!(machine.state(&added.release), Some(Holding::Held));
    let verified = machine.archive.verify(Arc::new(())).await.unwrap();
    assert!(verified.report.corrupt.is_empty());
    stop.cancel();
    repair.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn collected_releases_are_no_longer_announced() {
    let machine = Machine::new(1);
    let added = machine.add("pkg:generic/thing@1", &[("large", &large())]).await;
    let selector = Selector::Release(added.release);
    machine.archive.unpin(&selector, None, &()).await.unwrap();
    let again = machine.archive.unpin(&selector, None, &()).await.unwrap_err();
    assert!(matches!(again, ArchiveError::NotPinned(_)));
    let rehearsal = GcOptions { grace: Duration::ZERO, dry_run: true };
    assert!(machine.archive.gc(rehearsal).await.unwrap().removed > 0);
    assert_eq!(machine.count(|told| matches!(told, Told::Dropped(_))), 0);
    let collect = GcOptions { grace: Duration::ZERO, dry_run: false };
    machine.archive.gc(collect).await.unwrap();
    machine.until(|told| told.contains(&Told::Dropped(added.release))).await;
    assert_ne!(machine.state(&added.release), Some(Holding::Held));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_index_is_complete() {
    let machine = Machine::new(1);
    machine.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    machine.add("pkg:generic/thing@2", &[("a", b"two")]).await;
    let rebuilt = machine.archive.rebuild_index().await.unwrap();
    assert_eq!((rebuilt.entries, rebuilt.releases), (3, 2));
}

#[test]
fn errors_are_grouped_for_the_frontends() {
    let blob = BlobId::of(b"x");
    let what = || "https://upstream.example/f".to_owned();
    let reason = || "because".to_owned();
    let denied = || StoreError::Denied(Box::new(Denial::new(blob.into(), reason())));
    let fetch = |failure| ArchiveError::from(FetchError::Peers(failure));
    let import = |error: ImportError| ArchiveError::from(error);
    let table = [
        (denied().into(), ErrorKind::Failed),
        (FetchError::from(StoreError::WrongBytes(blob)).into(), ErrorKind::Verification),
        (FetchError::from(denied()).into(), ErrorKind::Failed),
        (fetch(FetchFailure::NoHolder), ErrorKind::NotFound),
        (fetch(FetchFailure::Stalled), ErrorKind::NotFound),
        (fetch(FetchFailure::Local), ErrorKind::Failed),
        (fetch(FetchFailure::Busy), ErrorKind::Failed),
        (import(ImportError::Usage(reason())), ErrorKind::Usage),
        (import(ImportError::Private(what())), ErrorKind::Usage),
        (import(ImportError::Gone { what: what(), reason: reason() }), ErrorKind::NotFound),
        (import(ImportError::Upstream { what: what(), reason: reason() }), ErrorKind::Failed),
        (import(ImportError::Mismatch { what: what(), reason: reason() }), ErrorKind::Verification),
        (import(ImportError::Cancelled), ErrorKind::Failed),
        (SignError::Refused(SignRefusal::Full).into(), ErrorKind::Failed),
        (ArchiveError::NoHolder(blob), ErrorKind::NotFound),
        (ArchiveError::Cancelled, ErrorKind::Failed),
        (ArchiveError::NotForked, ErrorKind::Failed),
    ];
    for (error, kind) in table {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.to_string().is_empty());
    }
    let forked = ArchiveError::from(SignError::Refused(SignRefusal::Forked(2)));
    assert!(forked.hint().is_some_and(|hint| hint.contains("--merge")));
}
