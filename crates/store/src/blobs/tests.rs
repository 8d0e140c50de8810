//! The guarantees of [`Blobs`] when files are damaged, replaced, claimed wrongly or added twice.

#![expect(
    clippy::single_range_in_vec_init,
    clippy::cast_possible_truncation,
    reason = "small literals, one range is meant"
)]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::BlobId;

use crate::batch::{Batch, Placement};
use crate::blobs::Blobs;
use crate::error::StoreError;
use crate::large::SMALL;
use crate::layout::Layout;
use crate::space::Space;

struct Bench {
    dir: tempfile::TempDir,
    _layout: Layout,
    blobs: Blobs,
}

fn store() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open(&dir.path().join("data")).unwrap();
    let blobs = Blobs::open(&layout, Space::unlimited(layout.root())).unwrap();
    Bench { dir, _layout: layout, blobs }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

fn add(at: &Bench, bytes: &[u8]) -> BlobId {
    let mut batch = Batch::new(&at.blobs, Arc::default());
    let added = batch.add_bytes(bytes.to_vec()).unwrap();
    batch.commit().unwrap();
    added.blob
}

fn encoded(at: &Bench, blob: &BlobId, len: u64) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::new();
    at.blobs.encode(blob, &[0..len], &mut out).map(|()| out)
}

fn data_of(at: &Bench, blob: &BlobId) -> PathBuf {
    at.blobs.large().path(blob, "blob")
}

#[test]
fn damaged_bytes_never_leave_and_are_healed_by_adding_them_again() {
    for len in [SMALL as usize + 1, 200_000, 1 << 20] {
        for damage in 0..6 {
            let at = store();
            let good = bytes(len, 1);
            let blob = add(&at, &good);
            let path = data_of(&at, &blob);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            let mut bad = good.clone();
            match damage {
                0 => {
                    bad[len / 2] ^= 1;
                    fs::write(&path, &bad).unwrap();
                }
                1 => {
                    bad.truncate(len - 1);
                    fs::write(&path, &bad).unwrap();
                }
                2 => {
                    bad.push(0);
                    fs::write(&path, &bad).unwrap();
                }
                3 => {
                    let other = at.dir.path().join("other");
                    fs::write(&other, &good).unwrap();
                    fs::remove_file(&path).unwrap();
                    symlink(&other, &path).unwrap();
                }
                4 => {
                    fs::remove_file(&path).unwrap();
                    fs::create_dir(&path).unwrap();
                }
                _ => {
                    let tree = at.blobs.large().path(&blob, "obao");
                    let mut pairs = fs::read(&tree).unwrap();
                    pairs[3] ^= 1;
                    fs::write(&tree, pairs).unwrap();
                }
            }
            assert!(encoded(&at, &blob, len as u64).is_err(), "{len} {damage}");
            assert_eq!(add(&at, &good), blob, "{len} {damage}");
            assert!(encoded(&at, &blob, len as u64).is_ok(), "{len} {damage}");
            let mut out = Vec::new();
            at.blobs.copy_out(&blob, &mut out, Path::new("memory")).unwrap();
            assert!(out == good);
        }
    }
}

#[test]
fn a_damaged_record_of_a_pack_is_healed_by_adding_it_again() {
    let at = store();
    let good = bytes(5000, 3);
    let blob = add(&at, &good);
    let pack = at.dir.path().join("data/packs/0000000001.pack");
    let mut all = fs::read(&pack).unwrap();
    let last = all.len() - 1;
    all[last] ^= 1;
    fs::write(&pack, all).unwrap();
    assert!(encoded(&at, &blob, 5000).is_err());
    add(&at, &good);
    assert!(encoded(&at, &blob, 5000).is_ok());
}

#[test]
fn adding_a_copy_replaces_a_reference() {
    let at = store();
    let file = at.dir.path().join("mirror.iso");
    fs::write(&file, bytes(300_000, 4)).unwrap();
    let mut batch = Batch::new(&at.blobs, Arc::default());
    let blob = batch.add_file(&file, Placement::InPlace, &|_| {}).unwrap().blob;
    batch.add_file(&file, Placement::Copy, &|_| {}).unwrap();
    batch.commit().unwrap();
    fs::remove_file(&file).unwrap();
    assert!(encoded(&at, &blob, 300_000).is_ok());
}

#[test]
fn a_fetch_is_not_complete_before_its_last_group() {
    let (from, to) = (store(), store());
    let blob = add(&from, &bytes(300_000, 5));
    let partial = to.blobs.partial(blob, 300_000).unwrap();
    let mut encoding = Vec::new();
    from.blobs.encode(&blob, &[0..65_536], &mut encoding).unwrap();
    partial.decode(&[0..65_536], &encoding[..], &mut |_| Ok(())).unwrap();
    assert!(to.blobs.complete(&partial).is_err());
    assert!(!to.blobs.has(&blob).unwrap());
}

#[test]
fn a_lie_about_the_size_costs_no_verified_byte() {
    let (from, to) = (store(), store());
    let blob = add(&from, &bytes(300_000, 6));
    let all = encoded(&from, &blob, 300_000).unwrap();
    let partial = to.blobs.partial(blob, 300_000).unwrap();
    let cut = all.len() * 2 / 3;
    assert!(partial.decode(&[0..300_000], &all[..cut], &mut |_| Ok(())).is_err());
    let have = partial.have_bytes();
    assert!(have > 100_000);
    let _ = to.blobs.partial(blob, 900_000);
    assert_eq!(partial.have_bytes(), have);
    drop(partial);
    let _ = to.blobs.partial(blob, 70_000);
    let again = to.blobs.partial(blob, 300_000).unwrap();
    assert_eq!(again.have_bytes(), have);
    again.decode(&[0..300_000], &all[..], &mut |_| Ok(())).unwrap();
    to.blobs.complete(&again).unwrap();
    assert!(encoded(&to, &blob, 300_000).is_ok());
}

#[test]
fn hostile_encodings_write_nothing_that_counts() {
    let (from, to) = (store(), store());
    let len = 200_000;
    let blob = add(&from, &bytes(len, 7));
    let all = encoded(&from, &blob, len as u64).unwrap();
    for at in (0..all.len()).step_by(4099) {
        let mut bad = all.clone();
        bad[at] ^= 0x10;
        let partial = to.blobs.partial(blob, len as u64).unwrap();
        assert!(partial.decode(&[0..len as u64], &bad[..], &mut |_| Ok(())).is_err(), "{at}");
    }
    assert!(
        to.blobs
            .partial(blob, len as u64)
            .unwrap()
            .decode(&[0..len as u64], io::repeat(0), &mut |_| Ok(()))
            .is_err()
    );
    assert!(!to.blobs.has(&blob).unwrap());
}

#[test]
fn removing_a_missing_blob_is_not_an_error() {
    let at = store();
    at.blobs.large().remove(&BlobId::of(b"never here")).unwrap();
}

#[test]
fn errors_of_the_disk_or_the_receiver_are_not_damage() {
    let at = store();
    let blob = add(&at, &bytes(300_000, 8));
    let io = |errno: i32| bao_tree::io::EncodeError::Io(io::Error::from_raw_os_error(errno));
    let eio = rustix::io::Errno::IO.raw_os_error();
    assert!(matches!(at.blobs.blame(&blob, io(eio), false), StoreError::Io { .. }));
    assert!(matches!(at.blobs.blame(&blob, io(eio), true), StoreError::Broken { .. }));
    for room in [0, 1000, 100_000] {
        let mut out = vec![0; room];
        let outcome = at.blobs.encode(&blob, &[0..300_000], &mut out[..]);
        assert!(matches!(outcome, Err(StoreError::Broken { .. })), "{room} {outcome:?}");
    }
    assert!(encoded(&at, &blob, 300_000).is_ok(), "and it is still held");
}

#[test]
fn a_blob_that_ends_early_while_it_is_read_is_damaged() {
    let at = store();
    let blob = add(&at, &bytes(300_000, 9));
    let early = bao_tree::io::EncodeError::Io(io::ErrorKind::UnexpectedEof.into());
    assert!(matches!(at.blobs.blame(&blob, early, false), StoreError::Corrupt { .. }));
    assert!(!at.blobs.has(&blob).unwrap());
}
