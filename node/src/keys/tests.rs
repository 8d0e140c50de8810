//! Key files: made once, private, and refused when they are not.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{ELSEWHERE, KeyError, Keys};

fn keys_of(data: &Path) -> Keys {
    Keys::of(data, None, false).unwrap().0
}

#[test]
fn a_key_that_its_group_may_read_is_refused_unless_that_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let keys = keys_of(data.path());
    let id = keys.publisher().unwrap().id();
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(keys.publisher_path(), mode).unwrap();
    };
    mode(0o660);
    let refused = keys.publisher().err().unwrap().to_string();
    assert!(refused.contains("--group-keys") && refused.contains("660"), "{refused}");
    let accepting = Keys::of(data.path(), None, true).unwrap().0;
    assert_eq!(accepting.publisher().unwrap().id(), id);
    mode(0o664);
    assert!(matches!(accepting.publisher(), Err(KeyError::Loose { mode: 0o664, .. })));
}

#[test]
fn keys_kept_elsewhere_are_found_and_their_absence_is_an_error() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = state.path().join("keys/1");
    std::fs::create_dir_all(&folder).unwrap();
    let id = Keys::in_folder(folder.clone(), false).publisher().unwrap().id();
    std::fs::create_dir(data.path().join("keys")).unwrap();
    let pointer = data.path().join("keys").join(ELSEWHERE);
    std::fs::write(pointer, format!("{}\n", folder.display())).unwrap();
    assert_eq!(keys_of(data.path()).publisher().unwrap().id(), id);
    std::fs::remove_dir_all(&folder).unwrap();
    let gone = Keys::of(data.path(), Some(state.path()), false).err().unwrap();
    assert!(matches!(gone, KeyError::Away { .. }), "no new key is made: {gone}");
}

#[test]
fn keys_are_made_once_and_stay() {
    let data = tempfile::tempdir().unwrap();
    let keys = keys_of(data.path());
    assert!(keys.existing_publisher().unwrap().is_none());
    let id = keys.publisher().unwrap().id();
    assert_eq!(keys.publisher().unwrap().id(), id);
    assert_eq!(keys.existing_publisher().unwrap().unwrap().id(), id);
    assert_eq!(keys.node().unwrap(), keys.node().unwrap());
    let mode = std::fs::metadata(keys.publisher_path()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(keys.publisher_path()).unwrap();
    assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let keys = keys_of(data.path());
    keys.publisher().unwrap();
    std::fs::set_permissions(keys.publisher_path(), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    assert!(matches!(keys.publisher(), Err(KeyError::Loose { mode: 0o644, .. })));
}

#[test]
fn malformed_keys_and_symlinks_are_refused_and_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let keys = keys_of(data.path());
    keys.node().unwrap();
    std::os::unix::fs::symlink("node.key", keys.publisher_path()).unwrap();
    assert!(matches!(keys.publisher(), Err(KeyError::Io { .. })));
    std::fs::remove_file(keys.publisher_path()).unwrap();
    std::fs::write(keys.publisher_path(), "no key").unwrap();
    std::fs::set_permissions(keys.publisher_path(), std::fs::Permissions::from_mode(0o600))
        .unwrap();
    assert!(matches!(keys.publisher(), Err(KeyError::Malformed { .. })));
    assert_eq!(std::fs::read(keys.publisher_path()).unwrap(), b"no key");
}

#[test]
fn a_copy_of_a_key_is_private_and_overwrites_nothing() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keys = keys_of(data.path());
    let copy = other.path().join("copy");
    assert!(keys.backup(&copy).is_err() && !copy.exists(), "there is no key yet");
    let id = keys.publisher().unwrap().id();
    assert!(keys.backup(&copy).unwrap(), "it is private");
    assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    assert!(matches!(keys.backup(&copy), Err(KeyError::Exists { .. })));
    assert!(matches!(keys.restore(&copy), Err(KeyError::Exists { .. })), "a key is there");
    // As on a stick whose file system keeps no modes.
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let fresh = Keys::in_folder(other.path().join("keys"), false);
    assert_eq!(fresh.restore(&copy).unwrap(), id);
    assert_eq!(fresh.publisher().unwrap().id(), id);
    assert_eq!(std::fs::metadata(fresh.publisher_path()).unwrap().mode() & 0o777, 0o600);
    std::fs::write(other.path().join("none"), "no key").unwrap();
    let none = Keys::in_folder(other.path().join("more"), false);
    assert!(none.restore(&other.path().join("none")).is_err());
    assert!(none.restore(&other.path().join("missing")).is_err());
    assert!(!other.path().join("more/publisher.key").exists());
}

#[test]
fn the_next_key_replaces_the_old_one_which_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let keys = keys_of(data.path());
    let old = keys.publisher().unwrap().id();
    let next = keys.next().unwrap().id();
    assert_eq!(keys.next().unwrap().id(), next, "a rotation that broke off goes on with its key");
    assert_eq!(keys.publisher().unwrap().id(), old);
    let aside = keys.promote_next(&old, &next).unwrap();
    assert_eq!(keys.promote_next(&old, &next).unwrap(), aside, "once is enough");
    assert_eq!(keys.publisher().unwrap().id(), next);
    let kept = Keys::in_folder(data.path().join("kept"), false);
    assert_eq!(kept.restore(&aside).unwrap(), old);
    assert_ne!(keys.next().unwrap().id(), next, "the next rotation takes another key");
}
