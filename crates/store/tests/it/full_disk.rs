//! A disk without a byte left: a start, decisions, a collection and a stop work at the first try,
//! and what is taken in waits for room.

use std::fs;
use std::time::Duration;

use perennial_store::{GcOptions, Pin, StoreError};

use crate::fixtures::{bytes, id, key, open, release, try_release};
use crate::tmpfs::Tmpfs;

const NOW: GcOptions = GcOptions { grace: Duration::ZERO, dry_run: false };

#[test]
fn on_a_full_disk_a_start_an_unpin_and_a_collection_work_at_the_first_try() {
    for restart in [false, true] {
        let Some(disk) = Tmpfs::mount(24) else { return };
        let content = bytes(8_000_000, 1);
        let mut store = open(&disk.data());
        let (signed, added) = release(&store, &key(1), "a", std::slice::from_ref(&content));
        let small: Vec<_> = (0..20).map(|n| bytes(20_000, 100 + n)).collect();
        let (other, of_other) = release(&store, &key(1), "small", &small);
        for signed in [&signed, &other] {
            store.set_pin(Pin::Release(id(signed)), true).unwrap();
        }
        let reserve = store.usage().unwrap().reserve;
        assert!(reserve >= 2 << 20, "{reserve}");
        let ballast = disk.fill();
        let again = [bytes(3_000_000, 2)];
        let error = try_release(&store, &key(1), "b", &again).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        let usage = store.usage().unwrap();
        assert!(usage.declined.is_some() && !usage.is_limited_by_quota(), "{usage:?}");
        if restart {
            drop(store);
            store = open(&disk.data());
            assert_eq!(store.entry_count().unwrap(), 2);
            let mut out = Vec::new();
            store.copy_out(&added[0].blob, &mut out).unwrap();
            assert!(out == content);
            // Sled may have removed files of its own.
            assert!(store.usage().unwrap().room < 1 << 20, "the reserve is not for what comes in");
            assert!(try_release(&store, &key(1), "b", &again).is_err());
        }
        assert!(store.set_pin(Pin::Release(id(&signed)), false).unwrap());
        assert!(store.set_pin(Pin::Release(id(&other)), false).unwrap());
        let report = store.gc(NOW).unwrap();
        assert_eq!(report.removed, 1 + 20 + 2, "files and lists");
        assert!(store.blob_size(&added[0].blob).unwrap().is_none());
        assert!(store.blob_size(&of_other[0].blob).unwrap().is_none());
        // The room of what went is room again, and the reserve is back.
        let usage = store.usage().unwrap();
        assert!(usage.reserve >= 2 << 20 && usage.declined.is_none(), "{usage:?}");
        drop(store.add_small(vec![bytes(50_000, 3)]).unwrap());
        ballast.remove();
        let (signed, _) = release(&store, &key(1), "b", &again);
        drop(store);
        let store = open(&disk.data());
        assert_eq!(store.rebuilt(), None);
        assert!(store.release(&id(&signed)).unwrap().is_some());
        assert!(store.verify(&|_, _| {}).corrupt.is_empty());
    }
}

#[test]
fn on_a_full_disk_a_publisher_is_forgotten_and_follows_change() {
    let Some(disk) = Tmpfs::mount(24) else { return };
    let store = open(&disk.data());
    for n in 0..30 {
        release(&store, &key(1), &format!("own-{n}"), &[bytes(1000, n)]);
        release(&store, &key(2), &format!("theirs-{n}"), &[bytes(1000, 1000 + n)]);
    }
    let mut follows = store.follows();
    follows.publishers.insert(key(2).id(), None);
    store.set_follows(&follows).unwrap();
    let _ballast = disk.fill();
    store.set_follows(&perennial_store::Follows::default()).unwrap();
    let forgotten = store.forget(&key(2).id()).unwrap();
    assert_eq!((forgotten.entries, forgotten.kept), (30, 0));
    assert_eq!(store.entry_count().unwrap(), 30);
    drop(store);
    let store = open(&disk.data());
    assert_eq!((store.rebuilt(), store.entry_count().unwrap()), (None, 30));
}

#[test]
fn an_archive_without_a_reserve_starts_on_a_full_disk_and_is_read() {
    let Some(disk) = Tmpfs::mount(24) else { return };
    let content = bytes(400_000, 1);
    let store = open(&disk.data());
    let (signed, added) = release(&store, &key(1), "a", std::slice::from_ref(&content));
    drop(store);
    // As an earlier version left it.
    fs::remove_file(disk.data().join("reserve")).unwrap();
    let ballast = disk.fill();
    let store = open(&disk.data());
    assert_eq!(store.entry_count().unwrap(), 1);
    let mut out = Vec::new();
    store.copy_out(&added[0].blob, &mut out).unwrap();
    assert!(out == content);
    assert!(try_release(&store, &key(1), "b", &[bytes(100_000, 2)]).is_err());
    ballast.remove();
    release(&store, &key(1), "b", &[bytes(100_000, 2)]);
    drop(store);
    let store = open(&disk.data());
    assert!(store.release(&id(&signed)).unwrap().is_some());
    assert_eq!(store.entry_count().unwrap(), 2);
    assert!(store.usage().unwrap().reserve > 0);
}

#[test]
fn the_reserve_comes_back_once_there_is_room() {
    let Some(disk) = Tmpfs::mount(24) else { return };
    drop(open(&disk.data()));
    let ballast = disk.fill();
    let store = open(&disk.data());
    assert_eq!(store.usage().unwrap().reserve, 0, "a start needed it");
    store.restore_reserve();
    assert_eq!(store.usage().unwrap().reserve, 0);
    // It does not take the last room: what gave it up may need that.
    let ballast = ballast.leave(1 << 20);
    store.restore_reserve();
    assert_eq!(store.usage().unwrap().reserve, 0);
    ballast.remove();
    store.restore_reserve();
    let usage = store.usage().unwrap();
    assert!(usage.reserve >= 2 << 20 && usage.declined.is_none(), "{usage:?}");
}

#[test]
fn a_pack_that_cannot_be_written_anew_waits_and_nothing_is_half_forgotten() {
    let Some(disk) = Tmpfs::mount(24) else { return };
    let store = open(&disk.data());
    let many: Vec<_> = (0..150).map(|n| bytes(60_000, 100 + n)).collect();
    let (kept, _) = release(&store, &key(1), "kept", &many);
    let (gone, added) = release(&store, &key(2), "gone", &[bytes(60_000, 1)]);
    store.set_pin(Pin::Release(id(&kept)), true).unwrap();
    store.set_pin(Pin::Release(id(&gone)), true).unwrap();
    let ballast = disk.fill();
    store.set_pin(Pin::Release(id(&gone)), false).unwrap();
    // Nine megabytes stay of the pack, and the reserve has three.
    let error = store.forget(&key(2).id()).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(store.entry_count().unwrap(), 2);
    store.gc(NOW).unwrap();
    drop(store);
    let store = open(&disk.data());
    assert_eq!((store.rebuilt(), store.entry_count().unwrap()), (None, 2));
    ballast.remove();
    assert_eq!(store.gc(NOW).unwrap().removed, 2, "the file and its list");
    assert!(store.blob_size(&added[0].blob).unwrap().is_none());
    assert_eq!(store.forget(&key(2).id()).unwrap().entries, 1);
    assert!(store.verify(&|_, _| {}).corrupt.is_empty());
}
