//! A process that ends between two steps of adding a release: the directory opens, is whole, and is
//! in the state before or after the step. The directory is copied after each step, with the store
//! still open.

use std::fs;
use std::path::Path;

use crate::fixtures::{self, bytes, follow, id, key, list_of, open, statement};
use perennial_manifest::Holding;
use perennial_store::{Pin, ReleaseFilter};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn after_each_step_of_an_add_the_state_is_before_or_after() {
    let dir = tempfile::tempdir().unwrap();
    let steps = tempfile::tempdir().unwrap();
    let names = [
        "nothing",
        "small bytes",
        "large bytes",
        "outboard only",
        "list",
        "commit",
        "entry",
        "pin",
    ];
    let contents = [bytes(5_000, 1), bytes(200_000, 2)];
    let store = open(dir.path());
    follow(&store, &key(1));
    let snap = |name: &str| copy(dir.path(), &steps.path().join(name));
    snap("nothing");
    let mut batch = store.batch();
    let mut added = Vec::new();
    for (name, content) in names[1..].iter().zip(&contents) {
        added.push(batch.add_bytes(content.clone()).unwrap());
        snap(name);
    }
    // Within the step: the outboard is in place, the bytes are not yet.
    snap("outboard only");
    let between = steps.path().join("outboard only");
    fs::rename(fixtures::file_of(&between, &added[1]), between.join("tmp/left")).unwrap();
    let (encoded, claim) = list_of(&added).encode().unwrap();
    batch.add_bytes(encoded).unwrap();
    snap("list");
    let _lease = batch.commit().unwrap();
    snap("commit");
    let signed = statement(&key(1), 0, None, "kubekey", claim);
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    snap("entry");
    store.set_pin(Pin::Release(id(&signed)), true).unwrap();
    snap("pin");

    for (at, name) in names.iter().enumerate() {
        println!("{name}");
        let store = open(&steps.path().join(name));
        let report = store.verify(&|_, _| {});
        assert_eq!(
            (report.corrupt, report.losses, report.damaged_entries),
            (vec![], vec![], vec![])
        );
        for (added, content) in added.iter().zip(&contents) {
            let mut out = Vec::new();
            match store.copy_out(&added.blob, &mut out) {
                Ok(_) => assert!(out == *content),
                Err(_) => assert!(at < 5, "acknowledged and gone"),
            }
        }
        let rows = store.releases(&ReleaseFilter::default()).unwrap();
        assert_eq!(rows.len(), usize::from(at >= 6));
        assert!(rows.iter().all(|row| row.state == Holding::Held));
        assert_eq!(store.pins().len(), usize::from(at >= 7));
        // Whatever was left can be added again, and is held then.
        let mut batch = store.batch();
        for content in &contents {
            batch.add_bytes(content.clone()).unwrap();
        }
        batch.add_bytes(list_of(&added).encode().unwrap().0).unwrap();
        drop(batch.commit().unwrap());
        store.put_entries(std::slice::from_ref(&signed)).unwrap();
        assert_eq!(store.release(&id(&signed)).unwrap().unwrap().state, Holding::Held);
        assert_eq!(fs::read_dir(steps.path().join(name).join("tmp")).unwrap().count(), 0);
    }
}
