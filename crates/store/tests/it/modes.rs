//! A data directory is closed to other users, whatever mode it had.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use perennial_store::{OpenOptions, Store};

use crate::fixtures::{bytes, key, open, release};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn an_existing_directory_is_made_private() {
    for (before, after) in
        [(0o755, 0o700), (0o777, 0o700), (0o750, 0o700), (0o2775, 0o2770), (0o700, 0o700)]
    {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(before)).unwrap();
        let store = open(&data);
        release(&store, &key(1), "tool", &[bytes(9_000, 1), bytes(300_000, 2)]);
        assert_eq!(mode(&data), after, "{before:o}");
        for part in ["packs", "blobs", "state", "keys", "tmp", "incoming", "partial"] {
            assert_eq!(mode(&data.join(part)) & 0o007, 0, "{part}");
        }
        for pack in fs::read_dir(data.join("packs")).unwrap() {
            assert_eq!(mode(&pack.unwrap().path()) & 0o077, 0, "a pack that others can read");
        }
    }
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, target) = (dir.path().join("data"), dir.path().join("target"));
    fs::create_dir(&data).unwrap();
    fs::write(&target, "of somebody else").unwrap();
    symlink(&target, data.join("LOCK")).unwrap();
    assert!(Store::open(&data, OpenOptions::default()).is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "of somebody else");
    assert!(File::open(data.join("FORMAT")).is_err(), "nothing was made there");
}
