//! The cost of the store: adding, and a catalog of 100,000 entries. `cargo bench -p
//! perennial-store` prints one line per figure.
//!
//! Medians of three, on the disk of `TMPDIR`. Compares nothing; `cargo bench -p perennial-tests`
//! does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use perennial_manifest::{ArtifactListRef, BlobId, Keypair, SignedEntry};
use perennial_store::{Placement, ReleaseFilter, Store};

use fixtures::{bytes, follow, key, open, statement};

#[allow(dead_code, reason = "the benchmark uses a part of them")]
#[path = "../tests/it/fixtures.rs"]
mod fixtures;

const LARGE: usize = 512 << 20;
const SMALL: usize = 64 << 10;
const FILES: usize = 2_000;
const PUBLISHERS: u8 = 100;
const RELEASES: u64 = 1_000;

fn median(mut run: impl FnMut() -> Duration) -> Duration {
    let mut times = [run(), run(), run()];
    times.sort_unstable();
    times[1]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let out = work();
    (start.elapsed(), out)
}

fn report(what: &str, time: Duration, amount: f64, unit: &str) {
    let rate = amount / time.as_secs_f64();
    println!("{what:<44} {:>10.1} ms {rate:>12.0} {unit}/s", time.as_secs_f64() * 1e3);
}

/// Adds the files of a directory in one batch, into a store of its own.
fn add(files: &Path) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let paths: Vec<_> = fs::read_dir(files).unwrap().map(|file| file.unwrap().path()).collect();
    let (time, _) = timed(|| {
        let mut batch = store.batch();
        for path in &paths {
            batch.add_file(path, Placement::Copy, &|_| {}).unwrap();
        }
        batch.commit().unwrap()
    });
    time
}

#[expect(clippy::cast_precision_loss, reason = "rates of a few digits")]
fn adding() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("large"), bytes(LARGE, 1)).unwrap();
    report("add 512 MiB", median(|| add(dir.path())), LARGE as f64 / f64::from(1 << 20), "MiB");
    fs::remove_file(dir.path().join("large")).unwrap();
    for at in 0..FILES {
        fs::write(dir.path().join(at.to_string()), bytes(SMALL, at as u64)).unwrap();
    }
    report("add 2,000 files of 64 KiB", median(|| add(dir.path())), FILES as f64, "files");
}

/// A publisher's feed of releases whose bytes are nowhere.
fn feed(key: &Keypair) -> Vec<SignedEntry> {
    let mut feed: Vec<SignedEntry> = Vec::new();
    for seq in 0..RELEASES {
        let name = format!("tool-{}-{seq}", key.id().as_bytes()[0]);
        let blob = BlobId::of(name.as_bytes());
        let artifacts = ArtifactListRef { blob, count: 1, bytes: 10, size: 100 };
        feed.push(statement(key, seq, feed.last(), &name, artifacts));
    }
    feed
}

fn catalogue() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let feeds: Vec<_> = (0..PUBLISHERS).map(|seed| feed(&key(seed))).collect();
    let entries = f64::from(PUBLISHERS) * 1_000.0;
    let (time, ()) = timed(|| feeds.iter().for_each(|feed| drop(store.put_entries(feed).unwrap())));
    drop(feeds);
    report("put 100,000 entries, 1,000 at a time", time, entries, "entries");
    drop(store);
    let opened = median(|| timed(|| open(dir.path())).0);
    report("open with 100,000 entries", opened, entries, "entries");
    let store = open(dir.path());
    let of =
        |key: &Keypair| ReleaseFilter { publisher: Some(key.id()), ..ReleaseFilter::default() };
    let listed =
        median(|| timed(|| assert_eq!(store.releases(&of(&key(3))).unwrap().len(), 1_000)).0);
    report("list 1,000 releases of one publisher", listed, 1_000.0, "releases");
    for text in ["tool", "tool 777", "nothing-like-it"] {
        let time = median(|| timed(|| store.search(text, 100).unwrap()).0);
        report(&format!("search \"{text}\", 100 wanted"), time, 1.0, "searches");
    }
    let all = |store: &Store| {
        assert_eq!(store.releases(&ReleaseFilter::default()).unwrap().len(), 100_000);
    };
    report("list all 100,000 releases", median(|| timed(|| all(&store)).0), entries, "releases");
    report("stats", median(|| timed(|| store.stats().unwrap()).0), 1.0, "stats");
    let (time, ()) = timed(|| follow(&store, &key(4)));
    report("follow a publisher of 1,000 releases", time, 1_000.0, "releases");
    let (time, _) = timed(|| store.rebuild_index().unwrap());
    report("rebuild the index of 100,000 entries", time, entries, "entries");
}

fn main() {
    // `cargo test --benches` runs it too, to see that it runs.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    adding();
    catalogue();
}
