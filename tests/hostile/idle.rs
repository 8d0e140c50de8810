//! 140 identities of one stranger connect to a node and say nothing, and as many calls never get as
//! far as a handshake.
//!
//! Newcomers get in and catch up, and a follower that was there before stays.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::runtime::Runtime;

use perennial_protocol::Input;
use perennial_swarm::{Config, Event, PeerAddress};
use perennial_tests::{
    Daemon, add, count, field, perennial, publisher, text, wait_until, write_tree,
};

const IDENTITIES: usize = 140;
const LIMIT: Duration = Duration::from_secs(40);

/// Connects under fresh identities, each of which comes again when it is sent away.
fn idle_identities(runtime: &Runtime, to: &str) {
    let to: PeerAddress = to.parse().expect("an address");
    runtime.block_on(async {
        for _ in 0..IDENTITIES {
            let (swarm, mut events) =
                perennial_swarm::start(&Config::new(rand::random())).expect("a swarm");
            // One that is refused is there all the same.
            let _ = swarm.dial(&to).await;
            let to = to.clone();
            tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    if let Event::Input(Input::Disconnected { .. }) = event {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        let _ = swarm.dial(&to).await;
                    }
                }
            });
        }
    });
}

fn socket_of(address: &str) -> SocketAddr {
    let mut parts = address.split('/').skip(2);
    let ip = parts.next().expect("an address");
    let port = parts.nth(1).expect("a port");
    format!("{ip}:{port}").parse().expect("a socket address")
}

#[test]
fn idle_identities_shut_neither_newcomers_nor_followers_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let victim = Daemon::start(&at("victim"), &[]);
    let who = publisher(victim.data());
    let source = write_tree(&at("src"), 50, &[90_000, 10]);
    add(victim.data(), &source, "tool", "1");
    let args = ["--peer", victim.address(), "--follow", &who];
    let early = Daemon::start(&at("early"), &args);
    wait_until(LIMIT, "the follower catches up", || {
        (count(early.data(), "held") == 1).then_some(())
    });

    let runtime = Runtime::new().expect("a runtime");
    idle_identities(&runtime, victim.address());
    let socket = socket_of(victim.address());
    let silent: Vec<_> =
        (0..100).map(|_| TcpStream::connect(socket).expect("it listens")).collect();
    let late = Daemon::start(&at("late"), &args);
    wait_until(LIMIT, "a newcomer catches up", || (count(late.data(), "held") == 1).then_some(()));
    // What is added now comes to both.
    let source = write_tree(&at("src2"), 51, &[90_000]);
    let added = add(victim.data(), &source, "tool", "2");
    for follower in [&early, &late] {
        wait_until(LIMIT, "a new release", || (count(follower.data(), "held") == 2).then_some(()));
    }
    let out = at("out");
    let got = ["--peer", victim.address(), "get", field(&added, "release"), "-o", text(&out)];
    perennial(&at("fresh"), &got).ok();
    // Nobody is blamed for coming where it is crowded.
    let peers = perennial(victim.data(), &["peers"]).ok().rows();
    assert!(peers.len() <= 128, "{} peers", peers.len());
    assert!(peers.iter().all(|peer| peer["faults"] == 0), "{peers:?}");
    drop((silent, runtime));
    assert!(!victim.log().contains("panicked"), "{}", victim.log());
}
