//! Requests: answered in both directions on one connection. An oversized frame fails only its own
//! request.

use perennial_manifest::Sha256Digest;
use perennial_protocol::{Input, PeerId, Request, RequestFailure, RequestId, Response};

use super::{Peer, config};

fn question(n: u64) -> Request {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_le_bytes());
    Request::ResolveSha256 { digest: Sha256Digest::from_bytes(digest) }
}

pub(crate) async fn ask(from: &Peer, to: &PeerId, n: u64) {
    from.handle.request(to.clone(), RequestId(n), question(n)).await.expect("runs");
}

async fn answer(peer: &mut Peer, response: Response) -> Request {
    let (token, request) = peer
        .input("request", |input| match input {
            Input::Request { token, request, .. } => Some((token, request)),
            _ => None,
        })
        .await;
    peer.handle.respond(token, response).await.expect("runs");
    request
}

pub(crate) async fn answered(peer: &mut Peer, n: u64) -> Result<Response, RequestFailure> {
    peer.input("response", |input| match input {
        Input::Response { id: RequestId(id), result, .. } if id == n => Some(result),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_request_and_respond() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    for n in 0..3 {
        ask(&a, &b.id(), n).await;
        assert_eq!(answer(&mut b, Response::Sha256 { blob: None }).await, question(n));
        assert_eq!(answered(&mut a, n).await, Ok(Response::Sha256 { blob: None }));
        ask(&b, &a.id(), n).await;
        assert_eq!(answer(&mut a, Response::Sha256 { blob: None }).await, question(n));
        assert_eq!(answered(&mut b, n).await, Ok(Response::Sha256 { blob: None }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_message_fails_and_the_connection_survives() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    ask(&a, &b.id(), 1).await;
    let long = Response::Reconcile { message: vec![0; perennial_protocol::MAX_RESPONSE + 1] };
    answer(&mut b, long).await;
    assert!(answered(&mut a, 1).await.is_err());
    ask(&a, &b.id(), 2).await;
    answer(&mut b, Response::Sha256 { blob: None }).await;
    assert!(answered(&mut a, 2).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_an_absent_peer_fails() {
    let mut a = Peer::start(&config()).await;
    let mut b = Peer::start(&config()).await;
    ask(&a, &b.id(), 1).await;
    assert_eq!(answered(&mut a, 1).await, Err(RequestFailure::Disconnected));
    a.connect(&mut b).await;
    ask(&a, &b.id(), 2).await;
    b.input("request", |input| matches!(input, Input::Request { .. }).then_some(())).await;
    b.handle.shutdown().await;
    assert_eq!(answered(&mut a, 2).await, Err(RequestFailure::Disconnected));
}

/// Both sides send all their requests before taking an event: no queue may wait for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_sent_before_events_are_read_do_not_block_the_swarm() {
    const MANY: u64 = 600;
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    let b_id = b.id();
    let (from, to) = (&a, &b);
    let both = async {
        tokio::join!(
            async {
                for n in 0..MANY {
                    ask(from, &b_id, n).await;
                }
            },
            async {
                for n in 0..MANY {
                    ask(to, &from.id(), n).await;
                }
            },
        )
    };
    tokio::time::timeout(super::PATIENCE, both)
        .await
        .expect("commands are taken though events wait");
}
