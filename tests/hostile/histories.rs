//! A stranger signs a long feed, and gossips its end: the rest of it would come as history.
//!
//! No more of it comes than of other strangers' entries, and what came can be dropped.

use std::time::{Duration, Instant};

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, Entry, Keypair, Purl, Release, SignedEntry,
};
use perennial_tests::{Daemon, perennial, wait_until};

use crate::cluster::liar::{Goods, Liar, Manner};

const LENGTH: u64 = 4000;
/// What a node takes in of all strangers at once, and each second from then on.
const BURST: u64 = 512;
const RATE: u64 = 8;

fn feed(key: &Keypair) -> Vec<SignedEntry> {
    let artifacts = ArtifactListRef { blob: BlobId::of(b"nothing"), count: 1, bytes: 1, size: 60 };
    let mut feed: Vec<SignedEntry> = Vec::new();
    for seq in 0..LENGTH {
        let purl = Purl::generic("noise", &seq.to_string()).expect("a name");
        let body = Body::Release(Box::new(Release::new(purl, artifacts)));
        let prevs = feed.last().map(SignedEntry::id).into_iter().collect();
        let entry = Entry { publisher: key.id(), seq, prevs, issued_at: 1 + seq, body };
        feed.push(entry.sign(key).expect("a sound entry"));
    }
    feed
}

fn entries_of(node: &Daemon) -> u64 {
    let status = perennial(node.data(), &["status"]).ok().json();
    status["entries"].as_u64().expect("a number")
}

#[test]
fn the_history_of_a_stranger_is_bounded_and_can_be_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let key = Keypair::from_seed([9; 32]);
    let entries = feed(&key);
    let goods = Goods { reconciles: true, ..Goods::of(&at("liar"), entries.clone()) };
    let liar = Liar::start(goods, Manner::Honest);
    let began = Instant::now();
    let d = Daemon::start(&at("d"), &["--peer", &liar.address]);
    let newest: Vec<_> = entries.iter().rev().take(16).map(SignedEntry::encode).collect();
    let mut next = newest.iter().cycle();
    wait_until(Duration::from_secs(60), "a part of the history", || {
        liar.gossip(next.next()?.clone());
        (entries_of(&d) >= 200).then_some(())
    });
    // More messages bring more of it, at the rate of all strangers.
    newest.iter().for_each(|entry| liar.gossip(entry.clone()));
    wait_until(Duration::from_secs(60), "as much as comes at once", || {
        liar.gossip(next.next()?.clone());
        (entries_of(&d) > BURST / 2).then_some(())
    });
    let came = entries_of(&d);
    assert!(came <= BURST + RATE * (began.elapsed().as_secs() + 1), "{came}");
    drop(liar);

    let did = key.id().to_string();
    let forgotten = perennial(d.data(), &["forget", &did]).ok().json();
    assert!(forgotten["entries"].as_u64() >= Some(came), "{forgotten}");
    assert_eq!(forgotten["kept"], 0, "{forgotten}");
    assert_eq!(entries_of(&d), 0);
    perennial(d.data(), &["forget", &did]).failed(3);
    assert!(!d.log().contains("panicked"), "{}", d.log());
}
