//! A large blob's file that is no longer what was stored, in length or in kind: nothing of it is given out, a verification
//! finds it, no link is followed, and the blob is whole again when it is added again.

#![expect(clippy::single_range_in_vec_init, reason = "one range is meant")]

mod world;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use world::{bytes, file_of, open};

const LEN: usize = 200_000;

/// Hurts a blob's file, and tells whether a verification names it corrupt, whatever else it is; then adds it again.
fn hurt_and_back(name: &str, hurt: &dyn Fn(&Path, &Path)) {
    println!("{name}");
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let good = bytes(LEN, 1);
    for reader_first in [true, false] {
        let data = dir.path().join(reader_first.to_string());
        let mut store = open(&data);
        let (_, added) = world::release(&store, &world::key(1), "kubekey", std::slice::from_ref(&good));
        let (blob, path) = (added[0].blob, file_of(&data, &added[0]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let outside = elsewhere.path().join("outside");
        fs::copy(&path, &outside).unwrap();
        hurt(&path, &outside);
        let kept = fs::read(&outside).unwrap();

        if reader_first {
            let mut out = Vec::new();
            assert!(store.copy_out(&blob, &mut out).is_err());
            assert!(out.len() < LEN, "all of it went out");
            let mut out = Vec::new();
            assert!(store.encode(&blob, &[0..LEN as u64], &mut out).is_err());
            assert!(out.len() < LEN, "all of it was served");
        }
        let report = store.verify(&|_, _| {}).unwrap();
        assert!(report.corrupt.contains(&blob) || report.missing.contains(&blob), "{report:?}");
        drop(store);
        store = open(&data);
        assert!(store.copy_out(&blob, &mut Vec::new()).is_err(), "after a restart");

        let mut batch = store.batch();
        assert!(batch.add_bytes(good.clone()).unwrap().new);
        drop(batch.commit().unwrap());
        let mut out = Vec::new();
        store.copy_out(&blob, &mut out).unwrap();
        assert!(out == good);
        assert_eq!(store.verify(&|_, _| {}).unwrap().corrupt, []);
        assert!(fs::read(&outside).unwrap() == kept, "what the link led to was touched");
    }
}

fn set_len(path: &Path, len: impl Fn(u64) -> u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(len(file.metadata().unwrap().len())).unwrap();
}

#[test]
fn a_blob_of_another_length_is_not_given_out() {
    hurt_and_back("empty", &|path, _| set_len(path, |_| 0));
    hurt_and_back("cut in half", &|path, _| set_len(path, |len| len / 2));
    hurt_and_back("one byte short", &|path, _| set_len(path, |len| len - 1));
    hurt_and_back("one byte long", &|path, _| set_len(path, |len| len + 1));
    hurt_and_back("much longer", &|path, _| set_len(path, |len| len + 1_000_000));
}

#[test]
fn a_blob_that_became_a_link_is_not_followed() {
    hurt_and_back("a link to the right bytes", &|path, outside| {
        fs::remove_file(path).unwrap();
        symlink(outside, path).unwrap();
    });
    hurt_and_back("a link to nothing", &|path, _| {
        fs::remove_file(path).unwrap();
        symlink("nowhere", path).unwrap();
    });
}

#[test]
fn a_blob_that_became_a_directory_is_not_given_out() {
    hurt_and_back("a directory", &|path, _| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
}
