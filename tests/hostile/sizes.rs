//! A stranger signs releases that name the lists of a followed publisher, with other sizes.
//!
//! They cost neither the followed publisher its turn, nor the honest holder its name, nor the node
//! its collections.

use std::time::Duration;

use perennial_manifest::{ArtifactListRef, BlobId, SignedEntry};
use perennial_tests::{
    Daemon, add, count, field, perennial, publisher, text, wait_until, write_tree,
};

use crate::cluster::liar::{Goods, Liar, Manner, genesis};

/// False entries for each list; together more than a node fetches at one time.
const EACH: u64 = 12;

#[test]
fn wrong_sizes_delay_no_followed_publisher_and_stop_no_collection() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let honest = Daemon::start(&at("honest"), &[]);
    let who = publisher(honest.data());
    let mut lists = Vec::new();
    for version in 1..=3_u64 {
        let source = write_tree(&at(&format!("src{version}")), 40 + version, &[90_000, 10]);
        let added = add(honest.data(), &source, "tool", &version.to_string());
        let shown = perennial(honest.data(), &["show", field(&added, "release")]).ok().json();
        lists.push(field(&shown, "list").parse::<BlobId>().expect("a digest"));
    }
    honest.terminate(Duration::from_secs(10));

    let liar = Liar::start(Goods::of(&at("liar"), Vec::new()), Manner::Honest);
    let args = ["--peer", &liar.address, "--follow", "all", "--follow", &who];
    let d = Daemon::start(&at("d"), &args);
    let lies: Vec<SignedEntry> = (0..EACH * 3)
        .map(|n| {
            let blob = lists[(n % 3) as usize];
            let artifacts = ArtifactListRef { blob, count: 1, bytes: 1, size: 12_345 + n };
            let seed = *BlobId::of(&n.to_le_bytes()).as_bytes();
            genesis(seed, &format!("pkg:generic/tool@{n}"), artifacts)
        })
        .collect();
    wait_until(Duration::from_secs(60), "all false entries are known", || {
        lies.iter().for_each(|entry| liar.gossip(entry.encode()));
        (perennial(d.data(), &["ls"]).ok().rows().len() == lies.len()).then_some(())
    });

    let honest = Daemon::start(&at("honest"), &["--peer", d.address()]);
    wait_until(Duration::from_secs(60), "the followed publisher's releases are held", || {
        (count(d.data(), "held") == 3).then_some(())
    });
    let peers = perennial(d.data(), &["peers"]).ok().rows();
    let holder = peers.iter().find(|peer| peer["peer_id"] == honest.peer_id());
    assert_eq!(holder.expect("it is connected")["faults"], 0, "{peers:?}");
    // Now that the true lists are here, the false entries do not fit them.
    wait_until(Duration::from_secs(120), "false entries are found invalid", || {
        (count(d.data(), "invalid") > 0).then_some(())
    });
    let collected = perennial(d.data(), &["gc", "--grace", "0s"]).ok().json();
    assert!(collected["invalid_releases"].as_u64() > Some(0), "{collected}");
    assert_eq!(count(d.data(), "held"), 3);
    let invalid = perennial(d.data(), &["ls", "--state", "invalid"]).ok().rows();
    let shown = perennial(d.data(), &["show", field(&invalid[0], "release")]).ok().json();
    assert!(field(&shown, "invalid").contains("bytes, and the release says"), "{shown}");
    let said = perennial(d.data(), &["get", field(&invalid[0], "release")]).failed(4);
    assert!(said.stderr.contains("invalid"), "{said:?}");
    let out = at("out");
    perennial(d.data(), &["get", "tool@2", "--publisher", &who, "-o", text(&out)]).ok();
    assert!(!d.log().contains("panicked"), "{}", d.log());
}
