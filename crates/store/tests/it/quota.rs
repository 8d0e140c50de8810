//! The quota: never exceeded, whoever races for the last room; what does not fit is declined and
//! changes nothing; what makes room works.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use perennial_manifest::{BlobId, ReleaseId, SignedEntry};
use perennial_store::{
    DEFAULT_GRACE, GcOptions, OpenOptions, Pin, Placement, Quota, Store, StoreError,
};

use crate::fixtures::{bytes, id, key, list_of, open, release, statement, try_release};
use crate::tmpfs::{Tmpfs, names};

const MIB: u64 = 1 << 20;

fn limited(dir: &Path, quota: u64) -> Store {
    let quota = Quota::Bytes(quota);
    Store::open(dir, OpenOptions { quota, ..OpenOptions::default() }).unwrap()
}

/// A store of a peer with this blob, and the encoding that it sends of it.
fn encoded(peer: &Store, content: &[u8]) -> (BlobId, Vec<u8>) {
    let mut batch = peer.batch();
    let blob = batch.add_bytes(content.to_vec()).unwrap().blob;
    drop(batch.commit().unwrap());
    let (mut out, size) = (Vec::new(), content.len() as u64);
    peer.encode(&blob, std::slice::from_ref(&(0..size)), &mut out).unwrap();
    (blob, out)
}

/// Fetches a blob as from one peer.
fn fetch(store: &Store, blob: BlobId, size: u64, encoding: &[u8]) -> Result<(), StoreError> {
    let partial = store.partial(blob, size)?;
    partial.decode(std::slice::from_ref(&(0..size)), encoding, &mut |_| Ok(()))?;
    store.complete(&partial)
}

/// Ends a watch when it is dropped, also by a test that fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_over(error: &StoreError) -> bool {
    matches!(error, StoreError::OverQuota { .. })
}

fn gc(store: &Store) {
    store.gc(GcOptions { grace: std::time::Duration::ZERO, dry_run: false }).unwrap();
}

#[test]
fn the_quota_is_never_exceeded_while_many_race_for_the_last_room() {
    let Some(disk) = Tmpfs::mount(96) else { return };
    const QUOTA: u64 = 40 * MIB;
    let elsewhere = tempfile::tempdir().unwrap();
    let peer = open(&elsewhere.path().join("peer"));
    let fetches: Vec<_> = (0..4)
        .map(|n| {
            let content = bytes(6_000_000, 1000 + n);
            (content.len() as u64, encoded(&peer, &content))
        })
        .collect();
    let files: Vec<_> = (0..4)
        .map(|n| {
            let path = elsewhere.path().join(format!("file-{n}"));
            fs::write(&path, bytes(1_700_000, n)).unwrap();
            path
        })
        .collect();
    let before = disk.used();
    let store = limited(&disk.data(), QUOTA);
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let declined = AtomicU64::new(0);
    let decline = |error: StoreError| {
        assert!(is_over(&error), "{error}");
        declined.fetch_add(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        let ended = Ended(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(disk.used() - before, Ordering::Relaxed);
            }
        });
        let mut racers = Vec::new();
        for (size, (blob, encoding)) in &fetches {
            let (store, decline) = (&store, &decline);
            racers.push(scope.spawn(move || {
                fetch(store, *blob, *size, encoding).unwrap_or_else(decline);
            }));
        }
        for (n, path) in files.iter().enumerate() {
            let (store, decline) = (&store, &decline);
            racers.push(scope.spawn(move || {
                for round in 0..20 {
                    // Each time another file, as long as the last one was declined or not.
                    let other = path.with_extension(format!("{round}"));
                    let mut content = fs::read(path).unwrap();
                    content[0] = content[0].wrapping_add(round);
                    fs::write(&other, content).unwrap();
                    let mut batch = store.batch();
                    let added = batch.add_file(&other, Placement::Copy, &|_| {});
                    if let Err(error) = added.and_then(|_| batch.commit().map(drop)) {
                        decline(error);
                    }
                }
                assert!(n < 4);
            }));
        }
        for n in 0..2_u8 {
            let (store, decline) = (&store, &decline);
            racers.push(scope.spawn(move || {
                let key = key(10 + n);
                for round in 0..60 {
                    let content = bytes(50_000, 10_000 * u64::from(n) + round);
                    let made = try_release(store, &key, &format!("r-{n}-{round}"), &[content]);
                    made.map(drop).unwrap_or_else(decline);
                }
            }));
        }
        for racer in racers {
            racer.join().unwrap();
        }
        drop(ended);
    });
    let most = most.load(Ordering::Relaxed);
    assert!(most <= QUOTA, "{most} of {QUOTA}");
    assert!(declined.load(Ordering::Relaxed) > 0, "nothing was declined");
    let usage = store.usage().unwrap();
    assert!(usage.used >= disk.used() - before, "{usage:?}, and {}", disk.used() - before);
    assert!(usage.used <= QUOTA, "{usage:?}");
    // It is a limit and not a waste: a small part of it is left.
    assert!(usage.room < QUOTA / 5, "{usage:?}");
    assert_eq!(names(&disk.data().join("tmp")), Vec::<String>::new());
    // All that was acknowledged is whole.
    assert!(store.verify(&|_, _| {}).corrupt.is_empty());
    drop(store);
    assert!(disk.used() - before <= QUOTA);
    let store = open(&disk.data());
    assert_eq!(store.usage().unwrap().quota, Some(QUOTA));
    assert!(store.usage().unwrap().used <= QUOTA);
}

#[test]
fn what_does_not_fit_is_declined_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(&dir.path().join("data"), 32 * MIB);
    let before = store.usage().unwrap();
    assert!(before.reserve >= 4 * MIB && before.declined.is_none(), "{before:?}");
    let path = dir.path().join("large");
    fs::write(&path, bytes(40_000_000, 1)).unwrap();
    let mut batch = store.batch();
    let error = batch.add_file(&path, Placement::Copy, &|_| {}).unwrap_err();
    drop(batch);
    let StoreError::OverQuota { used, quota, needed } = error else { panic!("{error}") };
    assert!(quota == 32 * MIB && needed > 40_000_000 && used <= before.used, "{used} {needed}");
    assert!(store.usage().unwrap().room > before.room - MIB, "nothing is taken");
    assert!(store.usage().unwrap().declined.is_some());
    assert!(is_over(&store.refusal().unwrap()));
    // What fits is taken in all the same, and holes take nothing.
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes(100_000, 2), 5 << 20).unwrap();
    let mut batch = store.batch();
    batch.add_file(&path, Placement::Copy, &|_| {}).unwrap();
    drop(batch.commit().unwrap());
    assert!(store.usage().unwrap().used - before.used < 6 * MIB);
}

#[test]
fn nothing_goes_for_new_bytes_and_unpinning_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 48 * MIB);
    let (one, two) = (bytes(12_000_000, 1), bytes(12_000_000, 2));
    let (first, added) = release(&store, &key(1), "first", std::slice::from_ref(&one));
    let pin = Pin::Release(id(&first));
    store.set_pin(pin, true).unwrap();
    let (second, _) = release(&store, &key(1), "second", std::slice::from_ref(&two));
    store.set_pin(Pin::Release(id(&second)), true).unwrap();
    let third = bytes(16_000_000, 3);
    let refused = try_release(&store, &key(1), "third", std::slice::from_ref(&third));
    assert!(is_over(&refused.unwrap_err()));
    gc(&store);
    assert!(is_over(
        &try_release(&store, &key(1), "third", std::slice::from_ref(&third)).unwrap_err()
    ));
    assert!(store.blob_size(&added[0].blob).unwrap().is_some(), "a pin stays");
    assert!(store.set_pin(pin, false).unwrap());
    gc(&store);
    assert!(store.blob_size(&added[0].blob).unwrap().is_none());
    assert!(store.usage().unwrap().declined.is_none());
    release(&store, &key(1), "third", &[third]);
    assert!(store.verify(&|_, _| {}).corrupt.is_empty());
}

/// Bytes allocated below a directory.
fn on_disk(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let (path, meta) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
        sum += std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
        sum += if meta.is_dir() { on_disk(&path) } else { 0 };
    }
    sum
}

#[test]
fn the_index_counts_as_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 256 * MIB);
    let mut batch = store.batch();
    let added = batch.add_bytes(b"a file".to_vec()).unwrap();
    drop(batch.commit().unwrap());
    let (_, claim) = list_of(&[added]).encode().unwrap();
    let mut entries: Vec<SignedEntry> = Vec::new();
    for seq in 0..6000 {
        let name = format!("a-rather-long-name-with-several-words-{seq}");
        let entry = statement(&key(1), seq, entries.last(), &name, claim);
        entries.push(entry);
    }
    let before = on_disk(&dir.path().join("index"));
    for some in entries.chunks(200) {
        store.put_entries(some).unwrap();
        // Without a walk.
        let (used, there) = (store.glance().used, on_disk(dir.path()));
        assert!(used >= there, "{used} {there}");
    }
    let grown = on_disk(&dir.path().join("index")) - before;
    assert!(grown > 8 * MIB, "{grown} bytes show nothing");
}

#[test]
fn entries_are_declined_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 32 * MIB);
    let mut n = 0;
    // Lists and small blobs of releases fill it.
    let error = loop {
        n += 1;
        assert!(n < 2000, "never full");
        let content = vec![bytes(60_000, n), bytes(60_000, 1_000_000 + n)];
        match try_release(&store, &key(1), &format!("r-{n}"), &content) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(is_over(&error), "{error}");
    let entries = store.entry_count().unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.rebuilt(), None, "the index has what the packs have");
    assert_eq!(store.entry_count().unwrap(), entries);
    assert_eq!(entries, n - 1);
}

#[test]
fn false_sizes_take_no_room_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let peer = open(&dir.path().join("peer"));
    let content = bytes(9_000_000, 1);
    let (blob, encoding) = encoded(&peer, &content);
    let store = limited(&dir.path().join("data"), 40 * MIB);
    let room = store.usage().unwrap().room;
    // More than there is.
    let other = BlobId::of(b"never sent");
    assert!(is_over(&store.partial(other, 1 << 39).unwrap_err()));
    assert_eq!(names(&dir.path().join("data/partial")), Vec::<String>::new());
    assert!(store.usage().unwrap().declined.is_none(), "claims make nothing full");
    // All that there is, many times.
    let claimed: Vec<_> =
        (0..10u8).map(|n| store.partial(BlobId::of(&[n]), room - MIB).unwrap()).collect();
    assert!(store.usage().unwrap().room > room - MIB / 2);
    let promise = store.promise(&[(blob, content.len() as u64)]).unwrap();
    fetch(&store, blob, content.len() as u64, &encoding).unwrap();
    drop((promise, claimed));
    assert_eq!(store.blob_size(&blob).unwrap(), Some(9_000_000));
}

#[test]
fn a_promise_keeps_room_until_its_bytes_have_come() {
    let dir = tempfile::tempdir().unwrap();
    let peer = open(&dir.path().join("peer"));
    // Many pieces, each of which takes room for a part of the tree and gives most of it back.
    let content = bytes(60_000_000, 1);
    let (blob, encoding) = encoded(&peer, &content);
    let (small, _) = encoded(&peer, b"a small file");
    let store = limited(&dir.path().join("data"), 120 * MIB);
    let room = store.usage().unwrap().room;
    let size = content.len() as u64;
    let promise = store.promise(&[(blob, size), (small, 12)]).unwrap();
    let left = store.usage().unwrap().room;
    assert!(left <= room - size && left > room - size - 2 * MIB, "{room} {left}");
    let other = BlobId::of(b"another");
    assert!(is_over(&store.promise(&[(other, left)]).unwrap_err()));
    assert!(is_over(&store.partial(other, left + 1).unwrap_err()));
    // The rest is for others.
    let file = dir.path().join("file");
    fs::write(&file, bytes(usize::try_from(left).unwrap() - 400_000, 2)).unwrap();
    let mut batch = store.batch();
    batch.add_file(&file, Placement::Copy, &|_| {}).unwrap();
    drop(batch.commit().unwrap());
    let general = store.glance().room;
    let partial = store.partial(blob, size).unwrap();
    let counted = &mut |_| {
        let room = store.glance().room;
        assert!(room < general + 300_000, "{room}: it goes from the promise to everybody");
        Ok(())
    };
    partial.decode(std::slice::from_ref(&(0..size)), &encoding[..], counted).unwrap();
    store.complete(&partial).unwrap();
    drop(store.add_small(vec![b"a small file".to_vec()]).unwrap());
    drop(promise);
    let unused = store.promise(&[(other, 100_000)]).unwrap();
    drop(unused);
    assert!(store.promise(&[(other, 100_000)]).is_ok(), "what was not used is room again");
}

#[test]
fn a_quota_counts_for_those_who_come_later_and_ends_when_it_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    drop(limited(dir.path(), 32 * MIB));
    assert_eq!(open(dir.path()).usage().unwrap().quota, Some(32 * MIB));
    let options = OpenOptions { quota: Quota::Unlimited, ..OpenOptions::default() };
    let reserve = |store: &Store| store.usage().unwrap().reserve;
    assert!(reserve(&Store::open(dir.path(), options).unwrap()) >= 16 * MIB);
    assert!(
        reserve(&limited(dir.path(), 32 * MIB)) <= 5 * MIB,
        "a smaller quota, a smaller reserve"
    );
    drop(Store::open(dir.path(), options).unwrap());
    assert_eq!(open(dir.path()).usage().unwrap().quota, None);
}

#[test]
fn an_archive_that_has_more_than_a_new_quota_opens_and_takes_nothing_in() {
    let dir = tempfile::tempdir().unwrap();
    let content = bytes(40_000_000, 1);
    let (signed, added) = release(&open(dir.path()), &key(1), "a", &[content]);
    store_is_full_until_it_shrinks(&limited(dir.path(), 34 * MIB), id(&signed), added[0].blob);
}

fn store_is_full_until_it_shrinks(store: &Store, release: ReleaseId, blob: BlobId) {
    let usage = store.usage().unwrap();
    assert!(usage.used > 34 * MIB && usage.room == 0 && usage.declined.is_some(), "{usage:?}");
    assert!(usage.is_limited_by_quota());
    assert!(is_over(&store.add_small(vec![vec![1; 100]]).unwrap_err()));
    store.set_pin(Pin::Release(release), true).unwrap();
    store.gc(GcOptions { grace: DEFAULT_GRACE, dry_run: false }).unwrap();
    assert!(store.blob_size(&blob).unwrap().is_some());
    store.set_pin(Pin::Release(release), false).unwrap();
    gc(store);
    let usage = store.usage().unwrap();
    assert!(usage.declined.is_none() && usage.reserve > 0, "{usage:?}");
    drop(store.add_small(vec![vec![1; 100]]).unwrap());
}
