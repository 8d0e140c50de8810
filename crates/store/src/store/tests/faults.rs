//! Every step of every write fails in turn. The store is in the state before or after, never
//! between, and stays usable.
//!
//! `From` stands for a kill after each step, `Once` for a disk that refuses one call and then works
//! again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use perennial_manifest::{BlobId, Holding, SignedEntry};

use crate::durable::faults::{Plan, during};
use crate::store::OpenOptions;
use crate::store::tests::fixtures::{bytes, follow, id, key, open, release, try_release};
use crate::{Added, BlobState, GcOptions, Pin, ReleaseFilter, ReleaseRow, Store, StoreError};

const PLANS: [fn(u32) -> Plan; 2] = [Plan::Once, Plan::From];

/// A release acknowledged before anything failed: a small blob and a large one.
struct Kept {
    signed: SignedEntry,
    added: Vec<Added>,
}

fn contents(seed: u64) -> Vec<Vec<u8>> {
    vec![bytes(5_000, seed), bytes(150_000, seed + 1), bytes(70, seed + 2)]
}

fn filled(dir: &Path) -> (Store, Kept) {
    let store = open(dir);
    follow(&store, &key(1));
    let (signed, added) = release(&store, &key(1), "kept", &contents(10));
    store.set_pin(Pin::Release(id(&signed)), true).unwrap();
    (store, Kept { signed, added })
}

fn read(store: &Store, blob: &BlobId) -> Vec<u8> {
    let mut out = Vec::new();
    store.copy_out(blob, &mut out).unwrap();
    out
}

fn row(store: &Store, name: &str) -> Option<ReleaseRow> {
    let rows = store.releases(&ReleaseFilter::default()).unwrap();
    let mut named = rows.into_iter().filter(|row| row.purl.name() == name);
    let row = named.next();
    assert_eq!(named.next(), None, "listed twice");
    row
}

/// Always true: what was acknowledged is there, and what is listed as held is held.
fn assert_whole(store: &Store, kept: &Kept, what: &str) {
    let mut of_kept = kept.added.iter().zip(contents(10));
    assert!(of_kept.all(|(added, bytes)| read(store, &added.blob) == bytes), "{what}");
    assert_eq!(store.entry(&kept.signed.id()).unwrap().as_ref(), Some(&kept.signed), "{what}");
    assert_eq!(row(store, "kept").unwrap().state, Holding::Held, "{what}");
    let report = store.verify(&|_, _| {});
    assert!(report.corrupt.is_empty() && report.damaged_entries.is_empty(), "{what} {report:?}");
    assert!(report.losses.is_empty(), "{what} {report:?}");
    assert_eq!(fs::read_dir(store.dir().join("tmp")).unwrap().count(), 0, "{what}");
}

/// Runs `work` with every step failing in turn, until it succeeds. `after` receives each outcome.
fn in_turn<S, T>(
    plan: fn(u32) -> Plan,
    mut ready: impl FnMut() -> S,
    mut work: impl FnMut(&S) -> T,
    mut after: impl FnMut(S, T, bool, &str),
) -> u32 {
    for n in 0.. {
        let state = ready();
        let (out, failed) = during(plan(n), || work(&state));
        after(state, out, failed, &format!("{:?}", plan(n)));
        if !failed {
            return n;
        }
    }
    unreachable!("it ends where nothing failed")
}

#[test]
fn an_add_is_before_or_after_at_every_step() {
    for plan in PLANS {
        let ready = || {
            let dir = tempfile::tempdir().unwrap();
            let (store, kept) = filled(dir.path());
            (dir, store, kept)
        };
        let add = |store: &Store| try_release(store, &key(1), "new", &contents(20));
        let steps = in_turn(
            plan,
            ready,
            |(_, store, _)| add(store),
            |(dir, mut store, kept), outcome, failed, what| {
                assert_eq!(
                    outcome.is_err(),
                    failed,
                    "{what}: a failure is said, and only a failure"
                );
                drop(outcome);
                if what.starts_with("Once") {
                    assert_whole(&store, &kept, what);
                    if row(&store, "new").is_none()
                        && let Err(error) = add(&store)
                    {
                        // The fsync of a pack is not retried on the same file.
                        assert!(
                            error.to_string().contains("open the store again"),
                            "{what} {error}"
                        );
                    }
                }
                drop(store);
                store = open(dir.path());
                assert_whole(&store, &kept, what);
                match row(&store, "new") {
                    Some(row) => assert_eq!(row.state, Holding::Held, "{what}"),
                    None => {
                        assert!(failed, "{what}: it was acknowledged");
                        drop(add(&store).unwrap());
                    }
                }
                let new = row(&store, "new").unwrap();
                assert_eq!(new.state, Holding::Held, "{what}");
                assert_eq!(store.feed(&key(1).id()).unwrap().entries, 2, "{what}");
                store.put_entries(&[store.entry(&new.release.entry()).unwrap().unwrap()]).unwrap();
                assert_eq!(store.seen(&key(1).id()), Some((1, new.release.entry())), "{what}");
                assert_whole(&store, &kept, what);
            },
        );
        assert!(steps > 15, "{steps} steps");
    }
}

#[test]
fn an_fsync_that_fails_acknowledges_nothing_and_leaves_nothing() {
    // A small blob: its pack is written, then synced. A large one: tree and trailer are written,
    // both files synced.
    for (len, fsync) in [(5_000, 1), (150_000, 2), (150_000, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let (store, kept) = filled(dir.path());
        let new = || bytes(len, 20);
        let blob = BlobId::of(&new());
        let add = |store: &Store| {
            let mut batch = store.batch();
            batch.add_bytes(new())?;
            batch.commit().map(drop)
        };
        let what = format!("{len} {fsync}");
        let (outcome, failed) = during(Plan::Once(fsync), || add(&store));
        assert!(failed && matches!(outcome, Err(StoreError::Io { .. })), "{what} {outcome:?}");
        assert_eq!(store.blob_state(&blob).unwrap(), BlobState::Missing, "{what}");
        if len == 5_000 {
            assert!(add(&store).is_err(), "nothing is acknowledged by the same file after it");
        }
        drop(store);
        let store = open(dir.path());
        assert_eq!(
            store.blob_state(&blob).unwrap(),
            BlobState::Missing,
            "{what}: it was in a cache"
        );
        assert_whole(&store, &kept, &what);
        add(&store).unwrap();
        assert!(read(&store, &blob) == new(), "{what}");
    }
}

#[test]
fn bytes_of_a_killed_process_are_synced_before_they_count() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path());
    drop(store);
    let ready = || ();
    let open = |(): &()| Store::open(dir.path(), OpenOptions::default()).map(drop).is_ok();
    let mut steps = 0;
    in_turn(Plan::From, ready, open, |(), opened, failed, what| {
        assert_eq!(opened, !failed, "{what}");
        steps += u32::from(failed);
    });
    assert!(steps > 0, "the pack that is written to");
}

#[test]
fn a_first_start_that_is_killed_at_every_step_starts_again() {
    let steps = in_turn(
        Plan::From,
        || tempfile::tempdir().unwrap(),
        |dir| Store::open(dir.path(), OpenOptions::default()).map(drop).is_ok(),
        |dir, opened, failed, what| {
            assert_eq!(opened, !failed, "{what}");
            drop(open(dir.path()));
            assert!(!dir.path().join("index.bad").exists() || failed, "{what}");
        },
    );
    assert!(steps > 10, "{steps} steps");
}

#[test]
fn a_fetch_interrupted_at_any_step_is_complete_or_resumes() {
    let from = tempfile::tempdir().unwrap();
    let from = filled(from.path()).0;
    let wanted = bytes(150_000, 11);
    let (blob, size) = (BlobId::of(&wanted), wanted.len() as u64);
    let mut encoded = Vec::new();
    from.encode(&blob, std::slice::from_ref(&(0..size)), &mut encoded).unwrap();
    let fetch = |store: &Store| -> Result<(), StoreError> {
        let partial = store.partial(blob, size)?;
        partial.decode(std::slice::from_ref(&(0..size)), &encoded[..], &mut |_| Ok(()))?;
        store.complete(&partial)
    };
    for plan in PLANS {
        let ready = || {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            (dir, store)
        };
        let steps = in_turn(
            plan,
            ready,
            |(_, store)| fetch(store),
            |(dir, mut store), outcome, failed, what| {
                assert_eq!(outcome.is_err(), failed, "{what}");
                if what.starts_with("From") {
                    drop(store);
                    store = open(dir.path());
                }
                let state = store.blob_state(&blob).unwrap();
                assert!(failed || state == BlobState::Held { size }, "{what}");
                if state != (BlobState::Held { size }) {
                    fetch(&store).unwrap();
                }
                assert!(read(&store, &blob) == wanted, "{what}");
                assert_eq!(store.verify(&|_, _| {}).corrupt, [], "{what}");
            },
        );
        assert!(steps > 5, "{steps} steps");
    }
}

#[test]
fn a_collection_interrupted_at_any_step_loses_nothing_needed_and_resumes() {
    let options = GcOptions { grace: Duration::ZERO, dry_run: false };
    for plan in PLANS {
        let ready = || {
            let dir = tempfile::tempdir().unwrap();
            let (store, kept) = filled(dir.path());
            // Shares a blob with a release that is kept.
            let junk = [contents(10).remove(0), bytes(6_000, 30), bytes(160_000, 31)];
            let (_, junk) = release(&store, &key(2), "junk", &junk);
            (dir, store, kept, junk)
        };
        let steps = in_turn(
            plan,
            ready,
            |(_, store, ..)| store.gc(options).is_ok(),
            |(dir, mut store, kept, junk), collected, failed, what| {
                assert_eq!(collected, !failed, "{what}");
                if what.starts_with("From") {
                    drop(store);
                    store = open(dir.path());
                }
                assert_whole(&store, &kept, what);
                let held = row(&store, "junk").unwrap().state == Holding::Held;
                let here = junk.iter().all(|junk| store.blob_size(&junk.blob).unwrap().is_some());
                assert!(here || !held, "{what}: listed as more than it is");
                if let Err(error) = store.gc(options) {
                    assert!(error.to_string().contains("open the store again"), "{what} {error}");
                    drop(store);
                    store = open(dir.path());
                    store.gc(options).unwrap();
                }
                let left = |junk: &&Added| store.blob_size(&junk.blob).unwrap().is_some();
                assert_eq!(
                    junk.iter().filter(left).count(),
                    1,
                    "{what}: all but the shared one went"
                );
                assert_eq!(row(&store, "junk").unwrap().state, Holding::Known, "{what}");
                assert_whole(&store, &kept, what);
                drop(store);
                assert_whole(&open(dir.path()), &kept, what);
            },
        );
        assert!(steps > 15, "{steps} steps");
    }
}

#[test]
fn a_rebuild_interrupted_at_any_step_is_repeated() {
    for plan in PLANS {
        let ready = || {
            let dir = tempfile::tempdir().unwrap();
            let (store, kept) = filled(dir.path());
            let rows = store.releases(&ReleaseFilter::default()).unwrap();
            (dir, store, kept, rows)
        };
        let steps = in_turn(
            plan,
            ready,
            |(_, store, ..)| store.rebuild_index().is_ok(),
            |(dir, mut store, kept, rows), rebuilt, failed, what| {
                assert_eq!(rebuilt, !failed, "{what}");
                if what.starts_with("From") {
                    drop(store);
                    store = open(dir.path());
                }
                assert_eq!(store.releases(&ReleaseFilter::default()).unwrap(), rows, "{what}");
                assert_whole(&store, &kept, what);
            },
        );
        assert!(steps > 5, "{steps} steps");
    }
}
