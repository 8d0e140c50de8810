//! A swarm that neither listens nor looks for peers is built at its first dial.

use perennial_manifest::{EntryId, ReleaseId};
use perennial_protocol::{Input, PeerId};
use perennial_swarm::{Config, Event, PeerAddress};

use super::{Peer, config, until};

/// Waits for the client at the server.
async fn connected(server: &mut Peer, client: &PeerId) {
    let is_client = |event| match event {
        Event::Connected { peer, .. } => (peer == *client).then_some(()),
        _ => None,
    };
    server.until("the client", is_client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_swarm_answers_and_wakes_at_its_first_dial() {
    let mut server = Peer::start(&config()).await;
    let (client, mut events) = perennial_swarm::start(&Config::new([201; 32])).expect("starts");
    let release = ReleaseId::from(EntryId::from_bytes([9; 32]));
    client.provide(release).await.expect("runs");
    client.find_providers(release).await.expect("runs");
    let nobody = until(&mut events, "an answer", |event| match event {
        Event::Input(Input::Providers { peers, done, .. }) => Some(peers.is_empty() && done),
        _ => None,
    });
    assert!(nobody.await);
    client.dial(&server.address).await.expect("dials");
    connected(&mut server, client.peer_id()).await;
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_host_name_fails_only_its_own_dial() {
    let mut server = Peer::start(&config()).await;
    let (client, _events) = perennial_swarm::start(&Config::new([202; 32])).expect("starts");
    let nowhere: PeerAddress = "/dns4/archive.invalid/tcp/4407".parse().expect("an address");
    // The lookup is under way, or cannot begin; neither ends the swarm.
    let _ = client.dial(&nowhere).await;
    client.dial(&server.address).await.expect("dials");
    connected(&mut server, client.peer_id()).await;
}
