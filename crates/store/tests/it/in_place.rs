//! Files referenced in place: the hash is the truth, times are a hint, a loss has a name.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use perennial_manifest::{Holding, SignedEntry};
use perennial_store::{Changes, Pin, Placement, Reading, Store};

use crate::fixtures::{id, key, list_of, open, statement};

const ALL: Reading = Reading::Doubtful(u64::MAX);

struct Mirror {
    _dir: tempfile::TempDir,
    root: PathBuf,
    store: Store,
    signed: SignedEntry,
}

fn content(last: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    bytes[199_999] = last;
    bytes
}

/// A pinned release of one file, which lies in place.
fn mirror() -> Mirror {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let file = root.join("src/big.img");
    fs::create_dir(root.join("src")).unwrap();
    fs::write(&file, content(1)).unwrap();
    let store = open(&root.join("data"));
    let mut batch = store.batch();
    let added = batch.add_file(&file, Placement::InPlace, &|_| {}).unwrap();
    let (encoded, claim) = list_of(&[added]).encode().unwrap();
    batch.add_bytes(encoded).unwrap();
    let _lease = batch.commit().unwrap();
    let signed = statement(&key(1), 0, None, "mirror", claim);
    store.put_entries(std::slice::from_ref(&signed)).unwrap();
    store.set_pin(Pin::Release(id(&signed)), true).unwrap();
    store.refresh_state(&id(&signed)).unwrap();
    Mirror { _dir: dir, root, store, signed }
}

impl Mirror {
    fn file(&self) -> PathBuf {
        self.root.join("src/big.img")
    }

    fn state(&self) -> Holding {
        self.store.release(&id(&self.signed)).unwrap().unwrap().state
    }

    /// The lost files, as `verify` names them.
    fn verified(&self) -> Vec<(String, PathBuf)> {
        let report = self.store.verify(&|_, _| {});
        assert_eq!(report.corrupt, []);
        let named = report.losses.into_iter().map(|loss| {
            assert_eq!(loss.purl.as_str(), "pkg:generic/mirror@v1");
            (loss.file.unwrap().to_string(), loss.missed.unwrap().path)
        });
        named.collect()
    }

    fn lost(&self) -> Vec<(String, PathBuf)> {
        vec![("file-000000".to_owned(), self.file())]
    }
}

fn touch(path: &Path, ago: u64) {
    let at = SystemTime::now() - Duration::from_secs(ago);
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(at)).unwrap();
}

#[test]
fn a_touched_or_copied_file_stays_held() {
    let mirror = mirror();
    touch(&mirror.file(), 1000);
    assert_eq!(mirror.store.look_in_place(None, ALL).unwrap(), Changes::default());
    assert_eq!(mirror.state(), Holding::Held);
    // Another inode, other times, the same bytes.
    let copy = mirror.root.join("copy");
    fs::copy(mirror.file(), &copy).unwrap();
    fs::rename(&copy, mirror.file()).unwrap();
    assert_eq!(mirror.verified(), []);
    assert_eq!(mirror.state(), Holding::Held);
    let added = mirror.store.artifact_list(&id(&mirror.signed)).unwrap().unwrap();
    let blob = added.iter().next().unwrap().blake3;
    assert!(mirror.store.copy_out(&blob, &mut std::io::sink()).is_ok());
}

#[test]
fn a_changed_file_is_named_until_it_is_put_back() {
    let mirror = mirror();
    fs::write(mirror.file(), content(2)).unwrap();
    let changes = mirror.store.look_in_place(None, ALL).unwrap();
    assert_eq!(changes.lost, [id(&mirror.signed)]);
    assert_eq!(mirror.state(), Holding::Partial);
    for _ in 0..2 {
        assert_eq!(mirror.verified(), mirror.lost());
    }
    let lost = mirror.store.lost_in_place().unwrap();
    assert!(lost[0].missed.as_ref().unwrap().changed.is_some());
    fs::write(mirror.file(), content(1)).unwrap();
    let changes = mirror.store.look_in_place(None, ALL).unwrap();
    assert_eq!(changes.restored, [id(&mirror.signed)]);
    assert_eq!(mirror.state(), Holding::Held);
    assert_eq!(mirror.verified(), []);
}

#[test]
fn a_file_that_was_moved_away_and_back_is_found() {
    let mirror = mirror();
    let away = mirror.root.join("away");
    fs::rename(mirror.file(), &away).unwrap();
    assert_eq!(mirror.verified(), mirror.lost());
    assert_eq!(mirror.store.lost_in_place().unwrap()[0].missed.as_ref().unwrap().changed, None);
    assert_eq!(mirror.verified(), mirror.lost());
    fs::rename(&away, mirror.file()).unwrap();
    assert_eq!(mirror.verified(), []);
    assert_eq!(mirror.state(), Holding::Held);
}

#[test]
fn a_change_that_hides_behind_its_old_times_is_found_by_reading() {
    let mirror = mirror();
    let times = fs::metadata(mirror.file()).unwrap().modified().unwrap();
    fs::write(mirror.file(), content(2)).unwrap();
    let file = File::options().write(true).open(mirror.file()).unwrap();
    file.set_times(FileTimes::new().set_modified(times)).unwrap();
    for _ in 0..2 {
        assert_eq!(mirror.verified(), mirror.lost());
    }
    assert_eq!(mirror.state(), Holding::Partial);
}

#[test]
fn a_moved_tree_is_referred_to_at_its_new_place() {
    let mirror = mirror();
    let (old, new) = (mirror.root.join("src"), mirror.root.join("new"));
    fs::rename(&old, &new).unwrap();
    assert_eq!(mirror.verified(), mirror.lost());
    let report = mirror.store.relocate(std::slice::from_ref(&old), &new, &|_| {}).unwrap();
    assert_eq!((report.files, report.unmoved), (1, vec![]));
    assert_eq!(report.restored, [id(&mirror.signed)]);
    assert_eq!(mirror.verified(), []);
    // A place with other bytes is not taken.
    let other = mirror.root.join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("big.img"), content(2)).unwrap();
    let report = mirror.store.relocate(&[new], &other, &|_| {}).unwrap();
    assert!(report.files == 0 && report.unmoved[0].differs, "{report:?}");
    assert_eq!(mirror.verified(), []);
}

#[test]
fn references_of_earlier_versions_are_read() {
    let mirror = mirror();
    let added = mirror.store.artifact_list(&id(&mirror.signed)).unwrap().unwrap();
    let hex = added.iter().next().unwrap().blake3.to_hex();
    let path = mirror.root.join(format!("data/blobs/{}/{hex}.ref", &hex[..2]));
    let text = fs::read_to_string(&path).unwrap();
    let fields: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["inode", "mtime", "path", "size"], "nothing new while nothing is wrong");
}
