//! Dialling an address says who answers there, or why nobody does.

use std::net::TcpListener;
use std::time::Duration;

use perennial_swarm::{DialError, Event, PeerAddress};

use crate::{Peer, config};

async fn dialled(peer: &Peer, address: &str) -> Result<String, DialError> {
    let address: PeerAddress = address.parse().expect("a multiaddress");
    let dial = tokio::time::timeout(Duration::from_secs(30), peer.handle.dial(&address)).await;
    dial.expect("an outcome").map(|peer| peer.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dial_reports_the_peer_or_the_reason() {
    let (a, b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    let full = b.address.to_string();
    let (nameless, id) = full.split_once("/p2p/").expect("it names its peer");
    assert_eq!(dialled(&a, nameless).await.expect("answers"), id);
    assert_eq!(dialled(&a, &full).await.expect("answers again"), id);

    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let refused = dialled(&a, &format!("/ip4/127.0.0.1/tcp/{}", free.port())).await;
    assert_eq!(refused, Err(DialError::Refused));

    let other = a.id();
    let wrong = dialled(&a, &format!("{nameless}/p2p/{}", Peer::start(&config()).await.id())).await;
    assert_eq!(wrong, Err(DialError::WrongPeer(b.id())), "{other}");

    let nowhere = dialled(&a, "/dns4/no-such-host.invalid/tcp/4407").await.expect_err("no host");
    assert!(!nowhere.to_string().is_empty());
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("bound").port();
    let silent = dialled(&a, &format!("/ip4/127.0.0.1/tcp/{port}")).await;
    assert_eq!(silent, Err(DialError::TimedOut));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_twin_is_told_from_this_node_itself() {
    let settings = config();
    let (a, mut copy) = (Peer::start(&settings).await, Peer::start(&settings).await);
    assert_eq!(a.id(), copy.id());
    let address = copy.address.to_string();
    let nameless = address.split("/p2p/").next().expect("an address");
    assert_eq!(dialled(&a, nameless).await, Err(DialError::Myself));
    copy.until("call", |event| matches!(event, Event::CallFailed { .. }).then_some(())).await;
    assert_eq!(dialled(&copy, nameless).await, Err(DialError::OwnAddress));
}

/// The port of another address belongs to another program: calls come from another port then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_at_another_address_costs_no_call() {
    let b = Peer::start(&config()).await;
    let taken = TcpListener::bind("127.0.0.2:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let mut settings = config();
    settings.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
    let a = Peer::start(&settings).await;
    for address in
        [b.address.to_string(), b.address.to_string().replace("ip4/127.0.0.1", "dns4/localhost")]
    {
        assert_eq!(dialled(&a, &address).await.as_ref(), Ok(&b.id().to_string()), "{address}");
    }
}
