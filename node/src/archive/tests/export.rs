//! Export: nothing is written outside the target, replaced unasked, or left half-written.

use std::path::PathBuf;
use std::sync::Arc;

use perennial_manifest::{ArtifactList, BlobId, Sha256Digest};
use perennial_operation::ErrorKind;

use super::{Machine, write};
use crate::archive::{ArchiveError, ExportError};

/// A machine with one release, and the directory to write it to.
async fn holder() -> (Machine, ArtifactList, PathBuf) {
    let machine = Machine::new(1);
    let files: [(&str, &[u8]); 2] = [("bin/tool", b"#!"), ("readme", b"read me")];
    let added = machine.add("pkg:generic/thing@1", &files).await;
    let row = machine.store().release(&added.release).unwrap().unwrap();
    let list = machine.store().read_list(&row.artifacts).unwrap().unwrap();
    let target = machine.dir.path().join("out");
    (machine, list, target)
}

async fn export(
    machine: &Machine,
    list: &ArtifactList,
    target: &std::path::Path,
    force: bool,
) -> Result<(), ExportError> {
    let exported = machine.archive.export(list.clone(), target.to_owned(), force, Arc::new(()));
    match exported.await {
        Ok(()) => Ok(()),
        Err(ArchiveError::Export(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_other_content_is_replaced_only_by_force() {
    let (machine, list, target) = holder().await;
    export(&machine, &list, &target, false).await.unwrap();
    assert_eq!(std::fs::read(target.join("bin/tool")).unwrap(), b"#!");
    export(&machine, &list, &target, false).await.unwrap();

    std::fs::write(target.join("readme"), b"mine").unwrap();
    let refused = export(&machine, &list, &target, false).await.unwrap_err();
    assert!(matches!(&refused, ExportError::Exists { path } if path.ends_with("readme")));
    let refused = ArchiveError::from(refused);
    assert_eq!(refused.kind(), ErrorKind::Failed);
    assert!(refused.hint().is_some_and(|hint| hint.contains("--force")));
    assert_eq!(std::fs::read(target.join("readme")).unwrap(), b"mine");
    export(&machine, &list, &target, true).await.unwrap();
    assert_eq!(std::fs::read(target.join("readme")).unwrap(), b"read me");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_below_the_target_is_followed() {
    let (machine, list, target) = holder().await;
    let outside = machine.dir.path().join("outside");
    write(&outside.join("tool"), b"theirs");
    std::fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&outside, target.join("bin")).unwrap();
    let refused = export(&machine, &list, &target, true).await.unwrap_err();
    assert!(matches!(&refused, ExportError::NotADirectory { path } if path.ends_with("bin")));
    assert_eq!(std::fs::read(outside.join("tool")).unwrap(), b"theirs");

    std::fs::remove_file(target.join("bin")).unwrap();
    std::os::unix::fs::symlink(outside.join("tool"), target.join("readme")).unwrap();
    let refused = export(&machine, &list, &target, true).await.unwrap_err();
    assert!(matches!(&refused, ExportError::NotAFile { path } if path.ends_with("readme")));
    assert_eq!(std::fs::read(outside.join("tool")).unwrap(), b"theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_sha256_is_found_by_hashing_and_writes_nothing() {
    let (machine, _, target) = holder().await;
    let (blob, wrong) = (BlobId::of(b"read me"), Sha256Digest::from_bytes([9; 32]));
    let refused = machine.archive.check_sha256(blob, wrong).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Verification);
    let written = machine.archive.export_blob(blob, Some(wrong), target.clone(), false).await;
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Verification);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0, "something was left there");
    let path = machine.archive.export_blob(blob, None, target.clone(), false).await.unwrap();
    assert_eq!(path, target.join(blob.to_hex()));
    assert_eq!(std::fs::read(path).unwrap(), b"read me");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_not_held_is_named() {
    let (machine, _, target) = holder().await;
    let blob = BlobId::of(b"not here");
    let missing = machine.archive.export_blob(blob, None, target, false).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Failed);
    assert!(missing.to_string().contains(&blob.to_string()), "{missing}");
}
