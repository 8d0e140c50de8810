//! Whole swarms over loopback TCP, as a node uses them: peers' actions arrive as events, limits
//! hold, shutdowns are complete. Every wait polls a condition with a deadline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod asleep;
mod crowd;
mod dialling;
mod finding;
mod gossip;
mod requests;
mod streams;

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use perennial_protocol::{Input, PeerId};
use perennial_swarm::{Config, Event, Handle, PeerAddress};
use tokio::sync::mpsc;

/// Longest wait before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A swarm with its events.
struct Peer {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    address: PeerAddress,
}

/// A configuration with a fresh key, listening on loopback.
fn config() -> Config {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let mut config = Config::new([NEXT.fetch_add(1, Ordering::Relaxed); 32]);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config
}

impl Peer {
    async fn start(config: &Config) -> Self {
        let (handle, mut events) = perennial_swarm::start(config).expect("starts");
        let listening = |event| match event {
            Event::Listening(address) => Some(address),
            _ => None,
        };
        let address = until(&mut events, "an address", listening).await;
        Self { handle, events, address }
    }

    fn id(&self) -> PeerId {
        self.handle.peer_id().clone()
    }

    /// Takes events until one matches; the others are dropped.
    async fn until<T>(&mut self, what: &str, fits: impl FnMut(Event) -> Option<T>) -> T {
        until(&mut self.events, what, fits).await
    }

    /// Takes events until an input matches; the others are dropped.
    async fn input<T>(&mut self, what: &str, mut fits: impl FnMut(Input) -> Option<T>) -> T {
        let input = |event| match event {
            Event::Input(input) => fits(input),
            _ => None,
        };
        until(&mut self.events, what, input).await
    }

    async fn connect(&mut self, other: &mut Peer) {
        self.handle.dial(&other.address).await.expect("dials");
        self.sees(&other.id()).await;
        other.sees(&self.id()).await;
    }

    async fn sees(&mut self, other: &PeerId) {
        self.until("connection", |event| match event {
            Event::Connected { peer, .. } if peer == *other => Some(()),
            _ => None,
        })
        .await;
    }
}

async fn until<T>(
    events: &mut mpsc::Receiver<Event>,
    what: &str,
    mut fits: impl FnMut(Event) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            let event = events.recv().await;
            let event = event.unwrap_or_else(|| panic!("the swarm ended before {what}"));
            if let Some(found) = fits(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("no {what} in {PATIENCE:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_and_its_end_are_events() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    assert_eq!(a.address.peer_id(), Some(a.id()), "{}", a.address);
    a.connect(&mut b).await;
    let before = Instant::now();
    b.handle.shutdown().await;
    assert!(before.elapsed() < Duration::from_secs(5));
    let gone = b.id();
    a.input("end", |input| {
        matches!(input, Input::Disconnected { peer } if peer == gone).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_addresses_of_the_machine_are_told_apart() {
    let mut any = config();
    any.listen = vec!["/ip4/0.0.0.0/tcp/0".to_owned()];
    let peer = Peer::start(&any).await;
    let address = peer.address.to_string();
    assert!(address.starts_with("/ip4/") && !address.starts_with("/ip4/0.0.0.0"), "{address}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_is_immediate_though_events_are_not_read() {
    let (mut a, b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.handle.dial(&b.address).await.expect("dials");
    a.sees(&b.id()).await;
    // More requests than any queue of `b` holds, and `b` takes no events.
    for n in 0..600 {
        requests::ask(&a, &b.id(), n).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), b.handle.shutdown()).await;
    assert!(ended.is_ok(), "shutdown waits for a user that is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_end_with_the_swarm() {
    let mut a = Peer::start(&config()).await;
    a.handle.shutdown().await;
    let drained = async { while a.events.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), drained)
        .await
        .expect("the events end though a handle is alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_peer_may_return_and_a_banned_one_may_not() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    let gone = |peer: PeerId| {
        move |input: Input| {
            matches!(input, Input::Disconnected { peer: p } if p == peer).then_some(())
        }
    };
    a.handle.disconnect(b.id()).await.expect("runs");
    a.input("end", gone(b.id())).await;
    b.input("end", gone(a.id())).await;
    a.connect(&mut b).await;
    gossip::arrives(&mut b, &mut a, b"after a disconnect").await;

    a.handle.ban(b.id(), true).await.expect("runs");
    a.input("end", gone(b.id())).await;
    b.input("end", gone(a.id())).await;
    let _ = b.handle.dial(&a.address).await;
    let mut seen = false;
    // `b` may see a connection that `a` closes at once; `a` never sees one.
    let _ = tokio::time::timeout(Duration::from_secs(2), async {
        while let Some(event) = a.events.recv().await {
            seen |= matches!(event, Event::Connected { .. });
        }
    })
    .await;
    assert!(!seen, "a banned peer is in again");
    a.handle.ban(b.id(), false).await.expect("runs");
    b.handle.dial(&a.address).await.expect("dials");
    a.sees(&b.id()).await;
}
