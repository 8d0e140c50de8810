//! A store that is closed, damaged and opened again has everything that was acknowledged.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fixtures::{bytes, follow, id, key, list_of, open, statement};
use perennial_manifest::{ArtifactListRef, BlobId, Holding, SignedEntry};
use perennial_store::{IndexKind, OpenOptions, Pin, ReleaseFilter, Store};

fn release(seq: u64, prev: Option<&SignedEntry>, name: &str) -> SignedEntry {
    let artifacts =
        ArtifactListRef { blob: BlobId::of(name.as_bytes()), count: 1, bytes: 10, size: 100 };
    statement(&key(5), seq, prev, name, artifacts)
}

/// A store with two releases, a pin and a follow, and the rows that `ls` shows of it.
fn filled(dir: &Path) -> Vec<perennial_store::ReleaseRow> {
    let store = open(dir);
    let first = release(0, None, "kubekey");
    let second = release(1, Some(&first), "ks-console");
    store.put_entries(&[first.clone(), second]).unwrap();
    store.set_pin(Pin::Release(id(&first)), true).unwrap();
    follow(&store, &key(5));
    let rows = store.releases(&ReleaseFilter::default()).unwrap();
    assert_eq!(rows.len(), 2);
    rows
}

fn assert_same(dir: &Path, rows: &[perennial_store::ReleaseRow]) -> Option<String> {
    let store = open(dir);
    assert_eq!(store.releases(&ReleaseFilter::default()).unwrap(), rows);
    assert_eq!(store.pins().len(), 1);
    assert!(store.follows().names(&key(5).id()));
    assert_eq!(store.wanted(None, 10).unwrap().len(), 2);
    assert_eq!(store.feed(&key(5).id()).unwrap().entries, 2);
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
    let options = OpenOptions { index: IndexKind::Memory, ..OpenOptions::default() };
    let in_memory = Store::open(dir.path(), options).unwrap();
    assert_eq!(in_memory.releases(&ReleaseFilter::default()).unwrap(), rows);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    found.filter(|path| path.is_file()).collect()
}

#[test]
fn every_file_of_the_index_may_be_deleted_cut_or_flipped() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path());
    let index = dir.path().join("index");
    let names: Vec<_> =
        files(&index).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(names.len() > 1, "{names:?}");
    let mut noticed = 0;
    for path in names.iter().map(|name| index.join(name)) {
        let len = fs::read(&path).unwrap().len();
        let cuts = [0, 1, len / 4, len / 2, len - 1].map(Harm::Cut);
        let flips = (0..len).step_by((len / 40).max(1)).map(Harm::Flip);
        for harm in cuts.into_iter().chain(flips).chain([Harm::Delete]) {
            // A rebuilt index may be shorter and have other files.
            let Ok(mut bytes) = fs::read(&path) else { continue };
            match harm {
                Harm::Delete => fs::remove_file(&path).unwrap(),
                Harm::Cut(len) => bytes.truncate(len),
                Harm::Flip(at) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10),
            }
            if !matches!(harm, Harm::Delete) {
                fs::write(&path, bytes).unwrap();
            }
            println!("{} {harm:?}", path.display());
            noticed += u32::from(assert_same(dir.path(), &rows).is_some());
        }
    }
    assert!(noticed > 40, "{noticed}");
}

#[derive(Debug)]
enum Harm {
    Delete,
    Cut(usize),
    Flip(usize),
}

#[test]
fn anything_in_place_of_the_index_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path());
    let at = |name: &str| dir.path().join(name);
    for harm in 0..7 {
        match harm {
            // What sled leaves when it is killed during its start, and an empty snapshot.
            0 => fs::write(at("index/snap.0000000000000400.generating"), []).unwrap(),
            1 => fs::write(at("index/snap.0000000000000400"), []).unwrap(),
            2 => fs::remove_dir_all(at("index")).unwrap(),
            3 => {
                fs::remove_dir_all(at("index")).unwrap();
                fs::write(at("index"), "no directory").unwrap();
            }
            4 => fs::write(at("state/generation"), "no number").unwrap(),
            5 => fs::write(at("state/generation"), []).unwrap(),
            _ => fs::remove_file(at("state/generation")).unwrap(),
        }
        println!("{harm}: {:?}", assert_same(dir.path(), &rows));
    }
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn restore(dir: &Path, from: &Path) {
    fs::remove_dir_all(dir.join("index")).unwrap();
    fs::create_dir(dir.join("index")).unwrap();
    copy(from, &dir.join("index"));
}

#[test]
fn an_older_copy_of_the_index_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    copy(&dir.path().join("index"), older.path());
    let rows = filled(dir.path());
    restore(dir.path(), older.path());
    assert!(assert_same(dir.path(), &rows).is_some());
}

#[test]
fn an_older_copy_with_the_same_entries_is_not_trusted() {
    let (dir, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let blob = bytes(5_000, 1);
    let added = store.batch().add_bytes(blob.clone()).unwrap();
    let (encoded, claim) = list_of(&[added]).encode().unwrap();
    let signed = statement(&key(5), 0, None, "kubekey", claim);
    let state = |store: &Store| store.release(&id(&signed)).unwrap().unwrap().state;
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    assert_eq!(state(&store), Holding::Known);
    drop(store);
    copy(&dir.path().join("index"), older.path());
    let store = open(dir.path());
    // As a fetch does; the entries stay as they are.
    drop(store.add_small(vec![blob, encoded]).unwrap());
    assert_eq!(store.refresh_state(&id(&signed)).unwrap(), Some(Holding::Held));
    drop(store);
    restore(dir.path(), older.path());
    let store = open(dir.path());
    assert!(store.rebuilt().is_some_and(|why| why.contains("generation")), "{:?}", store.rebuilt());
    assert_eq!(state(&store), Holding::Held);
}

#[test]
fn leftovers_of_a_killed_process_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path());
    let left = ["tmp/anything", "state/.tmp-a1b2c3", "packs/.tmp-a1b2c3", ".tmp-a1b2c3"]
        .map(|at| dir.path().join(at));
    left.iter().for_each(|path| fs::write(path, "half").unwrap());
    assert_eq!(assert_same(dir.path(), &rows), None);
    assert!(left.iter().all(|path| !path.exists()));
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
fn one_process_at_a_time_and_a_stale_lock_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Store::open(dir.path(), OpenOptions::default()).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(first);
    fs::write(dir.path().join("LOCK"), "999999\n").unwrap();
    drop(open(dir.path()));
}

#[test]
fn a_fresh_directory_has_no_distrusted_index() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(open(dir.path()).rebuilt(), None);
    assert!(dir.path().join("index").exists() && !dir.path().join("index.bad").exists());
    assert_eq!(open(dir.path()).rebuilt(), None);
    assert!(!dir.path().join("index.bad").exists());
}
