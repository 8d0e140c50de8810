//! Endless gossip from connected peers costs a bounded share, senders of garbage are disconnected,
//! and the followed publisher's entries still arrive.

use std::time::Duration;

use super::liar::{Goods, Liar, Manner, genesis};
use perennial_manifest::{ArtifactListRef, BlobId};
use perennial_tests::{Daemon, add, perennial, publisher, wait_until, write_tree};

/// The most entries of unfollowed publishers that a node keeps after a flood of a few seconds.
const STRANGERS: u64 = 1000;

#[test]
fn a_flood_of_garbage_and_strangers_does_not_drown_a_followed_publisher() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let liar = |name: &str| Liar::start(Goods::of(&at(name), Vec::new()), Manner::Honest);
    let (rubbish, strangers) = (liar("rubbish"), liar("strangers"));
    let honest = Daemon::start(&at("honest"), &[]);
    let who = publisher(honest.data());
    let peers = [rubbish.address.as_str(), &strangers.address, honest.address()];
    let args: Vec<_> =
        peers.iter().flat_map(|peer| ["--peer", peer]).chain(["--follow", &who]).collect();
    let d = Daemon::start(&at("d"), &args);
    let artifacts = ArtifactListRef { blob: BlobId::of(b"nothing"), count: 1, bytes: 1, size: 60 };

    let peer = rubbish.address.rsplit('/').next().expect("ends in the peer id");
    let offence = format!("peer={peer} offence=gossip that is not a signed entry");
    let offences = || d.log().matches(&offence).count();
    let mut sent = 0u64;
    wait_until(Duration::from_secs(60), "the sender of garbage is charged", || {
        for _ in 0..1000 {
            sent += 1;
            rubbish.gossip(format!("rubbish {sent}").into_bytes());
        }
        (sent >= 5000 && offences() > 0).then_some(())
    });
    for number in 0..10_000u64 {
        let seed = *BlobId::of(&number.to_le_bytes()).as_bytes();
        strangers.gossip(genesis(seed, &format!("pkg:generic/noise@{number}"), artifacts).encode());
    }
    let source = write_tree(&at("src"), 28, &[90_000]);
    let added = add(honest.data(), &source, "tool", "1");
    wait_until(Duration::from_secs(30), "the followed publisher's release", || {
        let rows = perennial(d.data(), &["ls", "--publisher", &who]).ok().rows();
        rows.iter()
            .any(|row| row["release"] == added["release"] && row["state"] == "held")
            .then_some(())
    });
    let status = perennial(d.data(), &["status"]).ok().json();
    let entries = status["entries"].as_u64().expect("a number");
    assert!(entries < STRANGERS, "{entries} entries are kept: {status}");
    assert_eq!(status["held_releases"], 1, "{status}");
    assert!(offences() < 100, "{} of {sent} messages were still looked at", offences());
    assert!(d.highest_memory() < 200 << 10, "{} KiB", d.highest_memory());
    println!("{entries} entries kept, {} offences, {} KiB", offences(), d.highest_memory());
    assert!(!d.log().contains("panicked"), "{}", d.log());
}
