//! A store that is closed, hurt and opened again: what was acknowledged is there.

use std::fs;
use std::path::Path;

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, Entry, Keypair, Purl, Release, ReleaseId, SignedEntry,
};
use perennial_store::{IndexKind, OpenOptions, Pin, ReleaseFilter, Store};

fn key() -> Keypair {
    Keypair::from_seed([5; 32])
}

fn release(seq: u64, prevs: &[SignedEntry], name: &str) -> SignedEntry {
    let body = Body::Release(Box::new(Release {
        purl: Purl::generic(name, "v1").unwrap(),
        license: "MIT".into(),
        license_texts: Vec::new(),
        artifacts: ArtifactListRef { blob: BlobId::of(name.as_bytes()), count: 1, bytes: 10, size: 100 },
        source: None,
        acquired: None,
        tags: std::collections::BTreeMap::new(),
        notes: None,
    }));
    let mut prevs: Vec<_> = prevs.iter().map(SignedEntry::id).collect();
    prevs.sort_unstable();
    Entry { publisher: key().id(), seq, prevs, issued_at: 1_750_000_000 + seq, body }.sign(&key()).unwrap()
}

fn open(dir: &Path) -> Store {
    Store::open(dir, OpenOptions::default()).unwrap()
}

/// A store with two releases, a pin and a follow; what `ls` shows of it.
fn filled(dir: &Path) -> Vec<perennial_store::ReleaseRow> {
    let store = open(dir);
    let first = release(0, &[], "kubekey");
    let second = release(1, std::slice::from_ref(&first), "ks-console");
    store.put_entries(&[first.clone(), second]).unwrap();
    store.set_pin(Pin::Release(ReleaseId::from(first.id())), true).unwrap();
    let mut follows = store.follows();
    follows.publishers.insert(key().id(), Some("savers".into()));
    store.set_follows(&follows).unwrap();
    let rows = store.releases(&ReleaseFilter::default()).unwrap();
    assert_eq!(rows.len(), 2);
    rows
}

fn assert_same(dir: &Path, rows: &[perennial_store::ReleaseRow]) -> Option<String> {
    let store = open(dir);
    assert_eq!(store.releases(&ReleaseFilter::default()).unwrap(), rows);
    assert_eq!(store.pins().len(), 1);
    assert!(store.follows().names(&key().id()));
    assert_eq!(store.wanted(None, 10).unwrap().len(), 2);
    assert_eq!(store.feed(&key().id()).unwrap().entries, 2);
    assert_eq!(store.search("kubek", 10).unwrap().len(), 1);
    store.rebuilt()
}

#[test]
fn the_index_may_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path());
    assert_eq!(assert_same(dir.path(), &rows), None);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert!(assert_same(dir.path(), &rows).is_some());
    assert_eq!(assert_same(dir.path(), &rows), None, "a rebuilt index is believed");
    let in_memory = Store::open(dir.path(), OpenOptions { index: IndexKind::Memory }).unwrap();
    assert_eq!(in_memory.releases(&ReleaseFilter::default()).unwrap(), rows);
}

#[test]
fn every_file_of_the_index_may_be_deleted_cut_or_flipped() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path());
    let index = dir.path().join("index");
    let files = |dir: &Path| -> Vec<std::path::PathBuf> {
        let found = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
        found.filter(|path| path.is_file()).collect()
    };
    let names: Vec<_> = files(&index).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(!names.is_empty());
    for name in names {
        for harm in ["delete", "cut", "empty", "flip"] {
            let path = index.join(&name);
            let Ok(mut bytes) = fs::read(&path) else { continue };
            match harm {
                "delete" => fs::remove_file(&path).unwrap(),
                "cut" => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
                "empty" => fs::write(&path, []).unwrap(),
                _ => {
                    let middle = bytes.len() / 2;
                    if let Some(byte) = bytes.get_mut(middle) {
                        *byte ^= 0x10;
                    }
                    fs::write(&path, bytes).unwrap();
                }
            }
            let rebuilt = assert_same(dir.path(), &rows);
            println!("{name:?} {harm}: rebuilt {rebuilt:?}");
        }
    }
}

#[test]
fn an_older_copy_of_the_index_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    for file in fs::read_dir(dir.path().join("index")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let rows = filled(dir.path());
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::create_dir(dir.path().join("index")).unwrap();
    for file in fs::read_dir(copy.path()).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, dir.path().join("index").join(path.file_name().unwrap())).unwrap();
    }
    assert!(assert_same(dir.path(), &rows).is_some());
}

#[test]
fn a_newer_layout_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    fs::write(dir.path().join("FORMAT"), "2\n").unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    let error = Store::open(dir.path(), OpenOptions::default()).unwrap_err().to_string();
    assert!(error.contains("layout 2"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
    fs::write(dir.path().join("FORMAT"), "1\n").unwrap();
    drop(open(dir.path()));
}

#[test]
fn one_at_a_time_and_a_lock_that_was_left_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Store::open(dir.path(), OpenOptions::default()).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(first);
    fs::write(dir.path().join("LOCK"), "999999\n").unwrap();
    drop(open(dir.path()));
}

#[test]
fn a_fresh_directory_has_no_index_that_was_doubted() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(open(dir.path()).rebuilt(), None);
    assert!(dir.path().join("index").exists() && !dir.path().join("index.bad").exists());
    assert_eq!(open(dir.path()).rebuilt(), None);
    assert!(!dir.path().join("index.bad").exists());
}
