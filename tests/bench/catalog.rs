//! An idle node that knows 100,000 entries: memory, start-up time and query latency.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use perennial_manifest::{EntryId, PublisherId};
use perennial_store::{Follows, OpenOptions, ReleaseFilter, Store, StoreError};
use perennial_tests::{Daemon, feed_key, many_releases, tool};

use crate::Failure;
use crate::machine::{Machine, json, median};

const ENTRIES: u64 = 100_000;
const PUBLISHERS: u64 = 100;
const RUNS: usize = 5;

/// Prints resident memory, start time, and the time of `ls` of one publisher and of `search`.
pub(crate) fn idle_with_many_entries(machine: &Machine) -> Result<(), Failure> {
    let data = machine.fresh("catalog")?;
    let publisher = fill(&data)?;
    // The first start recovers leftovers of the filling; the figure is that of later starts.
    drop(Daemon::start(&data, &[]));
    let (mut starts, mut lists, mut searches) = (Vec::new(), Vec::new(), Vec::new());
    let mut resident = (0, 0);
    for _ in 0..RUNS {
        let node = Daemon::start(&data, &[]);
        starts.push(node.started_in);
        lists.push(timed(machine.perennial(&data).arg("ls").arg("--publisher").arg(&publisher))?);
        searches.push(timed(machine.perennial(&data).args(["search", "tool-4242"]))?);
        resident = (node.resident_memory() / 1024, node.highest_memory() / 1024);
    }
    let ms = |times: &[Duration]| {
        1000.0 * median(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())
    };
    println!(
        "| {ENTRIES} entries known: memory now / highest | {} / {} MiB | | | < 150 MiB |",
        resident.0, resident.1
    );
    println!("| {ENTRIES} entries known: start | {:.0} ms | | | < 3 s |", ms(&starts));
    println!(
        "| {ENTRIES} entries known: `ls --publisher`, whole command | {:.0} ms | | | < 100 ms |",
        ms(&lists)
    );
    println!(
        "| {ENTRIES} entries known: `search`, whole command | {:.0} ms | | | < 100 ms |",
        ms(&searches)
    );
    Ok(())
}

fn timed(command: &mut Command) -> Result<Duration, Failure> {
    let start = Instant::now();
    if json(command)?.is_null() {
        return Err("nothing was listed".into());
    }
    Ok(start.elapsed())
}

/// Prints the cost per call of the event loop's reads while it handles an input: the store's calls
/// as the node's catalog makes them, for known and unknown entries, in an order that no cache
/// predicts.
pub(crate) fn reads_of_the_event_loop(machine: &Machine) -> Result<(), Failure> {
    let data = machine.fresh("reads")?;
    let publisher: PublisherId = fill(&data)?.parse()?;
    let store = Store::open(&data, OpenOptions::default())?;
    let ids: Vec<_> = store.times(None)?.into_iter().map(|(_, id)| id).collect();
    let some = |n: usize| &ids[n.wrapping_mul(7919) % ids.len()];
    store.set_follows(&Follows {
        publishers: BTreeMap::from([(publisher, None)]),
        ..Follows::default()
    })?;
    let purl = |n: usize| format!("tool-{}", (n as u64).wrapping_mul(7919) % ENTRIES);
    let find = |n: usize| -> Result<(), StoreError> {
        let filter = ReleaseFilter {
            selector: purl(n).parse().ok(),
            limit: 256,
            ..ReleaseFilter::default()
        };
        for row in store.releases(&filter)? {
            store.encoded_entry(&row.release.entry())?;
        }
        Ok(())
    };
    let unknown = EntryId::from_bytes([7; 32]);
    figure("`has_entry`, known", 20_000, |n| store.has_entry(some(n)).map(drop))?;
    figure("`has_entry`, unknown", 20_000, |_| store.has_entry(&unknown).map(drop))?;
    figure("`encoded_entry`", 20_000, |n| store.encoded_entry(some(n)).map(drop))?;
    figure("`find` of one name", 2_000, find)?;
    let search = |text: String| -> Result<(), StoreError> {
        for row in store.search_briefly(&text, 256)? {
            store.encoded_entry(&row.release.entry())?;
        }
        Ok(())
    };
    figure("`search` of one name", 500, |n| search(purl(n)))?;
    figure("`search` of a word of all", 20, |_| search("tool".to_owned()))?;
    figure("`search` of the inside of a word", 20, |_| search("ool".to_owned()))?;
    figure("`search` of many words", 20, |n| search(format!("tool 1 2 3 4 5 6 {n}")))?;
    figure("`takes`", 20_000, |_| {
        let _ = store.takes(&publisher);
        Ok(())
    })?;
    figure("`wanted`, a page of 256", 2_000, |_| store.wanted(None, 256).map(drop))?;
    figure("`times` of one publisher (1,000)", 200, |_| store.times(Some(&[publisher])).map(drop))?;
    figure("`times` of all (100,000)", 5, |_| store.times(None).map(drop))?;
    Ok(())
}

/// Prints the mean and the slowest duration of a call.
fn figure(
    name: &str,
    calls: usize,
    mut call: impl FnMut(usize) -> Result<(), StoreError>,
) -> Result<(), Failure> {
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    for n in 0..calls {
        let one = Instant::now();
        call(n)?;
        slowest = slowest.max(one.elapsed());
    }
    let mean = begun.elapsed().as_secs_f64() * 1e6 / calls as f64;
    let slowest = slowest.as_secs_f64() * 1e6;
    println!("| {ENTRIES} entries known: {name} | {mean:.1} µs, slowest {slowest:.0} µs | | | |");
    Ok(())
}

/// Fills a fresh store with entries and returns one of the publishers.
fn fill(data: &std::path::Path) -> Result<String, Failure> {
    let store = Store::open(data, OpenOptions::default())?;
    for batch in many_releases(ENTRIES, PUBLISHERS, tool).chunks(2000) {
        store.put_entries(batch)?;
    }
    Ok(feed_key(1).id().to_string())
}
