//! The counters of `status` and `peers`: bytes that arrived, once, whoever has left since.

use std::time::{Duration, Instant};

use perennial_control::{Peers, Status, StatusRow};
use perennial_manifest::Holding;

use crate::machine::Machine;

/// A file that several releases share, in bytes.
const SHARED: usize = 3 << 20;

async fn status(machine: &Machine) -> StatusRow {
    machine.ask(Status).await.expect("a status").0
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_count_once_though_many_releases_share_them_and_stay_counted_when_a_peer_leaves() {
    let a = Machine::start(&[], &[]).await;
    let shared = vec![7; SHARED];
    let mut releases = Vec::new();
    for version in 0..6 {
        let own = format!("of version {version}");
        let purl = format!("pkg:generic/thing@{version}");
        let files: [(&str, &[u8]); 2] = [("shared", &shared), ("own", own.as_bytes())];
        releases.push(a.add_as(&purl, &files).await.expect("added"));
    }
    let b = Machine::start(&[&a], &[releases[0].publisher]).await;
    for added in &releases {
        b.until(&added.release, Holding::Held).await;
    }
    // The sender counts what it wrote to its streams; the hash trees and headers take a little.
    let give_up = Instant::now() + Duration::from_secs(30);
    let received = loop {
        let (sent, received) = (status(&a).await.sent_bytes, status(&b).await.received_bytes);
        if received >= SHARED as u64 && received <= sent && sent - received < 1 << 20 {
            break received;
        }
        assert!(Instant::now() < give_up, "{received} bytes received, {sent} sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let rows = b.ask(Peers).await.expect("peers").1;
    assert_eq!(rows.iter().map(|row| row.received_bytes).sum::<u64>(), received);

    a.node.shutdown().await;
    let give_up = Instant::now() + Duration::from_secs(30);
    while status(&b).await.peers > 0 {
        assert!(Instant::now() < give_up, "the peer has not left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&b).await.received_bytes, received);
}
