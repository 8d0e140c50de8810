//! Files added in place: a loss is named at once, and mended by a move back or a word about it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_manifest::{Holding, ReleaseId};
use perennial_operation::{Add, ErrorKind};

use super::{Machine, Told};
use crate::archive::{ArchiveError, loss_text};

fn content(last: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    bytes[199_999] = last;
    bytes
}

async fn mirror() -> (Machine, PathBuf, ReleaseId) {
    let machine = Machine::new(1);
    let source = machine.files(&[("big.img", &content(1)), ("small", b"copied")]);
    let purl = "pkg:generic/mirror@1".parse().unwrap();
    let add = Add { in_place: true, ..Add::new([&source], purl) };
    let added = machine.archive.add(add, Arc::new(())).await.unwrap();
    (machine, source, added.release)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_names_the_lost_file_at_once() {
    let (machine, source, release) = mirror().await;
    fs::write(source.join("big.img"), content(2)).unwrap();
    let started = Instant::now();
    let error = ArchiveError::from(machine.archive.fetch(release, &()).await.unwrap_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    let text = error.to_string();
    let file = fs::canonicalize(source.join("big.img")).unwrap();
    let start = format!("mirror@1 lost big.img: {} changed on 20", file.display());
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with("since it was added in place; no peer is connected to fetch it from"));
    assert_eq!(error.kind(), ErrorKind::Verification);
    assert!(error.hint().is_some_and(|hint| hint.contains("perennial relocate")));
    assert_eq!(machine.state(&release), Some(Holding::Partial));
    let losses = machine.archive.lost_in_place().await.unwrap();
    assert!(text.starts_with(&loss_text(&losses[0])) && losses.len() == 1, "{losses:?}");

    fs::write(source.join("big.img"), content(1)).unwrap();
    machine.archive.fetch(release, &()).await.unwrap();
    assert_eq!(machine.archive.lost_in_place().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tree_is_announced_again_after_relocate() {
    let (machine, source, release) = mirror().await;
    let new = machine.dir.path().join("new");
    fs::rename(&source, &new).unwrap();
    assert_eq!(machine.archive.lost_in_place().await.unwrap().len(), 1);
    let relocate = |from: PathBuf, to: PathBuf| machine.archive.relocate(from, to, Arc::new(()));
    let none = relocate(machine.dir.path().join("nowhere"), new.clone()).await.unwrap_err();
    assert!(matches!(none, ArchiveError::NothingInPlace(_)), "{none}");
    assert_eq!(none.kind(), ErrorKind::NotFound);
    let before = machine.count(|told| *told == Told::Held(release));
    let moved = relocate(source, new).await.unwrap();
    assert_eq!((moved.files, moved.bytes, moved.unmoved.len()), (1, 200_000, 0));
    assert_eq!(moved.restored, [release]);
    machine.until(|told| told.iter().filter(|t| **t == Told::Held(release)).count() > before).await;
    assert_eq!(machine.state(&release), Some(Holding::Held));
}
