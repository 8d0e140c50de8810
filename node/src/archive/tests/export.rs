//! Export: nothing is written outside the target, replaced unasked, or left half-written.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::{ArtifactList, ArtifactPath, BlobId, Role, Sha256Digest, link};
use perennial_operation::{Add, ErrorKind};

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

/// The list of a release of what is in a directory.
async fn added(machine: &Machine, source: &Path) -> ArtifactList {
    let add = Add::new([source], "pkg:generic/tree@1".parse().unwrap());
    let added = machine.archive.add(add, Arc::new(())).await.unwrap();
    machine.store().artifact_list(&added.release).unwrap().unwrap()
}

async fn export(
    machine: &Machine,
    list: &ArtifactList,
    target: &std::path::Path,
    force: bool,
) -> Result<(), ExportError> {
    let exported = machine.archive.export(list.clone(), target.to_owned(), force, Arc::new(()));
    match exported.await {
        Ok(_) => Ok(()),
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

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_there_is_marked_executable_again() {
    let machine = Machine::new(1);
    let source = machine.files(&[("tool", b"#!/bin/sh")]);
    std::fs::set_permissions(source.join("tool"), Permissions::from_mode(0o755)).unwrap();
    let (list, target) = (added(&machine, &source).await, machine.dir.path().join("out"));
    write(&target.join("tool"), b"#!/bin/sh");
    std::fs::set_permissions(target.join("tool"), Permissions::from_mode(0o644)).unwrap();
    export(&machine, &list, &target, false).await.unwrap();
    assert_eq!(mode(&target.join("tool")), 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_killed_export_go_and_are_not_added() {
    let (machine, list, target) = holder().await;
    for dir in ["", "bin"] {
        write(&target.join(dir).join(".perennial-aB3dEf"), b"half");
        write(&target.join(dir).join(".perennial.conf"), b"mine");
    }
    let names = |list: &ArtifactList| -> Vec<String> {
        list.iter().map(|artifact| artifact.path.to_string()).collect()
    };
    let before = added(&machine, &target).await;
    assert_eq!(names(&before), [".perennial.conf", "bin/.perennial.conf"]);
    export(&machine, &list, &target, false).await.unwrap();
    assert!(!target.join(".perennial-aB3dEf").exists());
    assert!(!target.join("bin/.perennial-aB3dEf").exists());
    assert!(target.join("bin/.perennial.conf").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_file_stays_sparse() {
    let machine = Machine::new(1);
    let source = machine.files(&[]);
    write(&source.join("disk.img"), b"begin");
    std::fs::File::options()
        .write(true)
        .open(source.join("disk.img"))
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let (list, target) = (added(&machine, &source).await, machine.dir.path().join("out"));
    export(&machine, &list, &target, false).await.unwrap();
    let meta = std::fs::metadata(target.join("disk.img")).unwrap();
    assert_eq!(meta.len(), 64 << 20);
    assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    let stored = machine.store().stats().unwrap();
    assert_eq!(stored.quarantined, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_empty_directories_are_put_back() {
    let machine = Machine::new(1);
    let source = machine.files(&[("v3.1.0/tool", b"tool")]);
    std::fs::create_dir_all(source.join("logs/old")).unwrap();
    symlink("v3.1.0", source.join("latest")).unwrap();
    symlink("../latest/tool", source.join("v3.1.0/again")).unwrap();
    let (list, target) = (added(&machine, &source).await, machine.dir.path().join("out"));
    for _ in 0..2 {
        export(&machine, &list, &target, false).await.unwrap();
        assert_eq!(std::fs::read_link(target.join("latest")).unwrap(), Path::new("v3.1.0"));
        assert_eq!(std::fs::read(target.join("v3.1.0/again")).unwrap(), b"tool");
        assert!(target.join("logs/old").is_dir());
    }
    // A link to elsewhere is there already.
    std::fs::remove_file(target.join("latest")).unwrap();
    symlink("/etc", target.join("latest")).unwrap();
    let refused = export(&machine, &list, &target, false).await.unwrap_err();
    assert!(matches!(refused, ExportError::Exists { .. }), "{refused}");
    export(&machine, &list, &target, true).await.unwrap();
    assert_eq!(std::fs::read_link(target.join("latest")).unwrap(), Path::new("v3.1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_out_of_the_tree_is_not_made_and_costs_no_other_file() {
    let machine = Machine::new(1);
    let long = "x".repeat(70_000);
    for hostile in ["/etc/passwd", "../../etc", "a/../..", "", long.as_str()] {
        let mut batch = machine.store().batch();
        let path = |text: &str| ArtifactPath::parse(text).unwrap();
        let target_of = batch.add_bytes(hostile.as_bytes().to_vec()).unwrap();
        let file = batch.add_bytes(b"sound".to_vec()).unwrap();
        let list = ArtifactList::new(vec![
            target_of.artifact(path("dir/link"), Role::Binary, link::SYMLINK),
            file.artifact(path("file"), Role::Binary, "text/plain"),
        ])
        .unwrap();
        drop(batch.commit().unwrap());
        let target = machine.dir.path().join("out");
        let refused = export(&machine, &list, &target, true).await.unwrap_err();
        assert!(matches!(&refused, ExportError::Link { path, .. } if path.as_str() == "dir/link"));
        assert_eq!(ArchiveError::from(refused).kind(), ErrorKind::Verification);
        assert!(std::fs::symlink_metadata(target.join("dir/link")).is_err(), "{hostile:.20}");
        assert_eq!(std::fs::read(target.join("file")).unwrap(), b"sound");
    }
}
