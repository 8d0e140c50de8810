//! A provider of a release is found through a third peer, and can then be dialled by its id alone.

use std::time::Duration;

use perennial_manifest::{EntryId, ReleaseId};
use perennial_protocol::Input;

use super::{PATIENCE, Peer, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_found_through_a_third_peer_and_called() {
    let (mut a, mut b, mut c) =
        (Peer::start(&config()).await, Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    c.connect(&mut b).await;
    let release = ReleaseId::from(EntryId::from_bytes([7; 32]));
    a.handle.provide(release).await.expect("runs");
    // The record that `a` sends to `b` takes a moment to arrive: search until it has.
    let found = async {
        loop {
            c.handle.find_providers(release).await.expect("runs");
            let mut found = Vec::new();
            let mut done = false;
            while !done {
                let (peers, last) = c
                    .input("providers", |input| match input {
                        Input::Providers { release: of, peers, done } if of == release => {
                            Some((peers, done))
                        }
                        _ => None,
                    })
                    .await;
                found.extend(peers);
                done = last;
            }
            if found.contains(&a.id()) {
                return;
            }
            a.handle.provide(release).await.expect("runs");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the provider is found");
    c.handle.dial_peer(a.id()).await.expect("runs");
    a.sees(&c.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_search_without_peers_ends() {
    let mut alone = Peer::start(&config()).await;
    alone.handle.find_providers(EntryId::from_bytes([9; 32]).into()).await.expect("runs");
    let peers = alone
        .input("end of the search", |input| match input {
            Input::Providers { peers, done: true, .. } => Some(peers),
            _ => None,
        })
        .await;
    assert!(peers.is_empty());
}
