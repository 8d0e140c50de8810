//! A node that was offline catches up soon after it starts, and the number of bytes exchanged
//! follows the size of the difference.

use std::time::{Duration, Instant};

use perennial_tests::{Daemon, add, count, perennial, publisher, wait_until, write_tree};

const RELEASES: usize = 500;

fn sync_bytes(node: &Daemon) -> u64 {
    let status = perennial(node.data(), &["status"]).ok().json();
    let part =
        |name: &str| status[name].as_u64().unwrap_or_else(|| panic!("no {name} in {status}"));
    part("sync_sent_bytes") + part("sync_received_bytes")
}

#[test]
fn five_hundred_releases_arrive_within_thirty_seconds_of_a_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let a = Daemon::start(&at("a"), &[]);
    let who = publisher(a.data());
    let source = write_tree(&at("first"), 0, &[100]);
    add(a.data(), &source, "first", "1");

    let follow = ["--peer", a.address(), "--follow", who.as_str()];
    let b = Daemon::start(&at("b"), &follow);
    wait_until(Duration::from_secs(60), "the first release", || {
        (count(b.data(), "held") == 1).then_some(())
    });
    b.terminate(Duration::from_secs(10));

    for number in 0..RELEASES {
        let source = write_tree(&at(&format!("src-{number}")), number as u64 + 1, &[500, 3000]);
        add(a.data(), &source, "thing", &format!("1.0.{number}"));
    }

    let start = Instant::now();
    let b = Daemon::start(&at("b"), &follow);
    wait_until(
        Duration::from_secs(30).saturating_sub(start.elapsed()),
        "all releases held",
        || (count(b.data(), "held") == RELEASES + 1).then_some(()),
    );
    let (took, full) = (start.elapsed(), sync_bytes(&b));
    b.terminate(Duration::from_secs(10));

    // The same with a difference of two.
    for number in 0..2 {
        let source = write_tree(&at(&format!("late-{number}")), 9000 + number, &[500]);
        add(a.data(), &source, "late", &format!("1.0.{number}"));
    }
    let b = Daemon::start(&at("b"), &follow);
    wait_until(Duration::from_secs(30), "the late two", || {
        (count(b.data(), "held") == RELEASES + 3).then_some(())
    });
    let few = sync_bytes(&b);
    println!(
        "{RELEASES} releases held {took:?} after the start; sync moved {full} bytes, {few} for two \
        more"
    );
    // An entry takes about 400 bytes. Both bounds are generous, and neither grows with the catalog.
    assert!(full < 4 * 1024 * 1024, "{full} bytes for {RELEASES} releases");
    assert!(few < full / 10, "{few} bytes for a difference of two, {full} for {RELEASES}");
}
