//! More callers than there are places: newcomers get in, and those that earned a place stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perennial_protocol::{Input, Standing};
use perennial_swarm::{Config, Event, Handle, PeerAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, Peer, config, requests};

/// An identity that connects and does nothing from then on.
async fn idle(to: &PeerAddress) -> Handle {
    let (handle, mut events) = perennial_swarm::start(&Config::new(rand_seed())).expect("starts");
    handle.dial(to).await.expect("dials");
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    handle
}

/// Seeds that `config` does not use.
fn rand_seed() -> [u8; 32] {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let mut seed = [255; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_identities_shut_nobody_out() {
    let mut server = Peer::start(&config()).await;
    let (mut friend, mut newcomer) = (Peer::start(&config()).await, Peer::start(&config()).await);
    friend.connect(&mut server).await;
    server.handle.earned(friend.id(), Standing::Useful).await.expect("runs");
    let (to, friend_id) = (server.address.clone(), friend.id());
    // The server answers whoever asks, and tells if the friend is gone.
    let lost = Arc::new(AtomicUsize::new(0));
    let (handle, seen) = (server.handle.clone(), Arc::clone(&lost));
    let serving = tokio::spawn(async move {
        while let Some(event) = server.events.recv().await {
            match event {
                Event::Input(Input::Request { token, .. }) => {
                    let response = perennial_protocol::Response::Sha256 { blob: None };
                    handle.respond(token, response).await.expect("runs");
                }
                Event::Input(Input::Disconnected { peer }) if peer == friend_id => {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                _ => {}
            }
        }
    });
    let mut crowd = Vec::new();
    for _ in 0..140 {
        crowd.push(idle(&to).await);
    }
    newcomer.handle.dial(&to).await.expect("dials");
    newcomer.sees(&to.peer_id().expect("named")).await;
    for n in 0..3 {
        requests::ask(&newcomer, &to.peer_id().expect("named"), n).await;
        requests::answered(&mut newcomer, n).await.expect("an answer");
    }
    // More of the same: whoever asked for something is not the first to go.
    for _ in 0..60 {
        crowd.push(idle(&to).await);
    }
    requests::ask(&newcomer, &to.peer_id().expect("named"), 9).await;
    requests::answered(&mut newcomer, 9).await.expect("an answer");
    assert_eq!(lost.load(Ordering::SeqCst), 0, "a useful peer lost its place");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_say_nothing_keep_nobody_out() {
    let mut server = Peer::start(&config()).await;
    let mut parts = server.address.to_string();
    let port = parts.split_off(parts.find("/tcp/").expect("TCP") + "/tcp/".len());
    let port: u16 = port.split('/').next().expect("a port").parse().expect("a port");
    let mut silent = tokio::task::JoinSet::new();
    let (began, mut all_began) = tokio::sync::mpsc::channel(200);
    for _ in 0..200 {
        let began = began.clone();
        silent.spawn(async move {
            let mut first = Some(began);
            loop {
                let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                if let Some(began) = first.take() {
                    let _ = began.send(()).await;
                }
                // Until it is hung up on.
                let mut byte = [0; 64];
                while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
                drop(stream);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    for _ in 0..200 {
        all_began.recv().await.expect("they run");
    }
    for _ in 0..3 {
        let mut newcomer = Peer::start(&config()).await;
        let dialled = async {
            // One that is overrun on the way calls again, as nodes do.
            while newcomer.handle.dial(&server.address).await.is_err() {}
        };
        tokio::time::timeout(PATIENCE / 4, dialled).await.expect("a connection soon");
        server.sees(&newcomer.id()).await;
        newcomer.sees(&server.id()).await;
    }
    silent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_has_a_deadline_over_the_whole_of_it() {
    let server = Peer::start(&config()).await;
    let text = server.address.to_string();
    let port = text.split('/').skip_while(|part| *part != "tcp").nth(1).expect("a port");
    let mut stream =
        TcpStream::connect(("127.0.0.1", port.parse::<u16>().expect("a port"))).await.unwrap();
    // A byte of the negotiation every half second, for longer than the deadline.
    let (mut reading, mut writing) = stream.split();
    let trickle = async {
        for byte in b"\x13/multistream/1.0.0\n".iter().chain(std::iter::repeat(&b'/')) {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let ended = async {
        let mut all = Vec::new();
        let _ = reading.read_to_end(&mut all).await;
    };
    let both = async {
        tokio::select! {
            () = trickle => {}
            () = ended => {}
        }
    };
    // Less than libp2p's own ten seconds.
    tokio::time::timeout(Duration::from_secs(9), both).await.expect("it is hung up on");
}
