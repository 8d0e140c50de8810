//! Gossip: relayed only once a peer accepts it.

use std::time::Duration;

use perennial_protocol::{Acceptance, Input, MessageId, PeerId};
use perennial_swarm::Event;

use super::{PATIENCE, Peer, config};

/// Publishes from `from` until `to` receives a message: the mesh between them takes a moment to
/// form.
pub(crate) async fn arrives(from: &mut Peer, to: &mut Peer, bytes: &[u8]) {
    let mut round = 0u32;
    let heard = async {
        loop {
            // A message with the same bytes is the same message, so each try differs.
            round += 1;
            from.handle.publish([bytes, &round.to_le_bytes()].concat()).await.expect("runs");
            let next = tokio::time::timeout(Duration::from_millis(200), hear(to)).await;
            if next.is_ok_and(|(.., heard)| heard.starts_with(bytes)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("gossip arrives");
}

/// The next gossip message: its id, the peer that relayed it, its bytes.
async fn hear(peer: &mut Peer) -> (MessageId, PeerId, Vec<u8>) {
    loop {
        if let Event::Input(Input::Gossip { from, message, bytes }) =
            peer.events.recv().await.expect("runs")
        {
            return (message, from, bytes);
        }
    }
}

async fn hear_and_say(peer: &mut Peer, acceptance: Acceptance) -> Vec<u8> {
    let heard = tokio::time::timeout(PATIENCE, hear(peer)).await;
    let (message, from, bytes) = heard.expect("gossip");
    peer.handle.report_gossip(message, from, acceptance).await.expect("runs");
    bytes
}

/// A line a–b–c: messages of `a` reach `c` only through `b`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_accepted_messages_are_relayed() {
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(Peer::start(&config()).await);
    }
    let [mut a, mut b, mut c]: [Peer; 3] = peers.try_into().ok().expect("three");
    a.connect(&mut b).await;
    c.connect(&mut b).await;
    arrives(&mut a, &mut b, b"are you there").await;
    arrives(&mut c, &mut b, b"and you").await;

    // Rejected and ignored messages come first: an accepted message overtakes none.
    for (bytes, acceptance) in [
        (&b"rejected"[..], Acceptance::Reject),
        (b"ignored", Acceptance::Ignore),
        (b"accepted", Acceptance::Accept),
    ] {
        a.handle.publish(bytes.to_vec()).await.expect("runs");
        while hear_and_say(&mut b, acceptance).await != bytes {}
    }
    let (.., heard) =
        tokio::time::timeout(PATIENCE, hear(&mut c)).await.expect("an accepted message arrives");
    assert_eq!(heard, b"accepted", "the first thing that c hears is what b accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_bytes_are_one_message_and_oversized_ones_none() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    arrives(&mut a, &mut b, b"ready").await;
    a.handle.publish(b"twice".to_vec()).await.expect("runs");
    a.handle.publish(b"twice".to_vec()).await.expect("runs");
    a.handle.publish(vec![0; 64 << 10]).await.expect("runs");
    a.handle.publish(b"end".to_vec()).await.expect("runs");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last: &Vec<u8>| last != b"end") {
        heard.push(hear_and_say(&mut b, Acceptance::Accept).await);
    }
    heard.retain(|bytes| !bytes.starts_with(b"ready"));
    assert_eq!(heard, [b"twice".to_vec(), b"end".to_vec()]);
}
