//! A peer that no node knows: a fresh key, an address of its choice, and answers that are free to
//! choose.
//!
//! Speaks through `perennial_swarm`, so that its bytes are those of any peer; what it says is up to
//! its [`Conduct`]. It calls through a relay in this process, because libp2p binds no call to an
//! address: the node sees it at `127.x.y.z`. Ends with its owner.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perennial_protocol::{
    Input, PeerId, Refusal, Request, RequestFailure, RequestId, Response, Token,
};
use perennial_swarm::{BlobStream, Config, Event, Handle, PeerAddress};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

/// How long a call may take before it counts as refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a stranger does with a request of the node.
#[derive(Debug)]
pub enum Answer {
    /// Answers at once.
    Now(Response),
    /// Answers after this time.
    Late(Duration, Response),
    /// Leaves the node waiting.
    Never,
}

/// How a stranger behaves when it is asked.
pub trait Conduct: Send + Sync + 'static {
    /// The answer to a request.
    fn answer(&self, request: &Request) -> Answer {
        let _ = request;
        Answer::Now(Response::Refused { reason: Refusal::Busy })
    }

    /// What it does on a stream on which the node asks for blobs. The default hangs up.
    fn serve(&self, stream: BlobStream) -> BoxFuture<'static, ()> {
        drop(stream);
        std::future::ready(()).boxed()
    }
}

/// Is busy, whatever it is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Busy;

impl Conduct for Busy {}

/// The answers that are waited for.
type Asked = Mutex<HashMap<RequestId, oneshot::Sender<Result<Response, RequestFailure>>>>;

/// A peer that is connected to a node, or was.
#[derive(Debug)]
pub struct Stranger {
    handle: Handle,
    node: PeerId,
    asked: Arc<Asked>,
    next: AtomicU64,
    ended: watch::Receiver<bool>,
    tasks: [AbortHandle; 2],
}

impl Stranger {
    /// Calls the node at `address` (a multiaddress that ends in its peer id) from an address of
    /// this machine, under a fresh key. None if it is not let in.
    pub async fn call(from: Ipv4Addr, address: &str, conduct: Arc<dyn Conduct>) -> Option<Self> {
        let to = socket_address(address);
        let called: PeerAddress = address.parse().expect("a multiaddress");
        let node = called.peer_id().expect("it ends in the peer id");
        let listener = TcpListener::bind("127.0.0.1:0").await.ok()?;
        let port = listener.local_addr().ok()?.port();
        let relay = tokio::spawn(relay(listener, from, to)).abort_handle();
        let relayed = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{node}");
        let relayed: PeerAddress = relayed.parse().expect("a multiaddress");
        let (handle, mut events) =
            perennial_swarm::start(&Config::new(rand::random())).expect("a swarm");
        let (end, ended) = watch::channel(false);
        let asked: Arc<Asked> = Arc::default();
        let (swarm, waiting) = (handle.clone(), asked.clone());
        let reading = tokio::spawn(async move {
            let mut answers = JoinSet::new();
            while let Some(event) = events.recv().await {
                while answers.try_join_next().is_some() {}
                match event {
                    Event::Input(Input::Disconnected { .. }) => drop(end.send(true)),
                    Event::Input(Input::Request { token, request, .. }) => {
                        answers.spawn(answer(swarm.clone(), token, conduct.answer(&request)));
                    }
                    Event::Input(Input::Response { id, result, .. }) => {
                        let waits = lock(&waiting).remove(&id);
                        // Who asked may have left.
                        let _ = waits.map(|waits| waits.send(result));
                    }
                    Event::BlobStream { stream, .. } => drop(answers.spawn(conduct.serve(stream))),
                    _ => {}
                }
            }
        });
        let tasks = [relay, reading.abort_handle()];
        let stranger = Self { handle, node, asked, next: AtomicU64::new(0), ended, tasks };
        let dialled = tokio::time::timeout(PATIENCE, stranger.handle.dial(&relayed)).await;
        matches!(dialled, Ok(Ok(_))).then_some(stranger)
    }

    /// Sends a request, and waits for what becomes of it.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn ask(&self, request: Request) -> Result<Response, RequestFailure> {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (waits, answered) = oneshot::channel();
        lock(&self.asked).insert(id, waits);
        if self.handle.request(self.node.clone(), id, request).await.is_err() {
            return Err(RequestFailure::Disconnected);
        }
        answered.await.unwrap_or(Err(RequestFailure::Disconnected))
    }

    /// Gossips these bytes; into nothing as long as the node has not said what it listens to.
    pub async fn gossip(&self, bytes: Vec<u8>) {
        // The swarm ends with this stranger.
        let _ = self.handle.publish(bytes).await;
    }

    /// Opens a stream for blobs, if it can be had.
    pub async fn open_stream(&self) -> Option<BlobStream> {
        self.handle.open_blob_stream(&self.node).await.ok()
    }

    /// Resolves when the connection has ended.
    pub async fn gone(&self) {
        // The sender ends with the swarm, and the connection with it.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // The swarm ends with the reader of its events.
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(swarm: Handle, token: Token, answer: Answer) {
    let response = match answer {
        Answer::Now(response) => response,
        Answer::Late(after, response) => {
            tokio::time::sleep(after).await;
            response
        }
        Answer::Never => return,
    };
    let _ = swarm.respond(token, response).await;
}

/// The address and port of a multiaddress of TCP over IPv4.
///
/// # Panics
/// If it is another one.
#[must_use]
pub fn socket_address(multiaddress: &str) -> SocketAddr {
    let mut parts = multiaddress.split('/').skip(2).step_by(2);
    let ip: Ipv4Addr = parts.next().and_then(|ip| ip.parse().ok()).expect("an IPv4 address");
    let port: u16 = parts.next().and_then(|port| port.parse().ok()).expect("a port");
    SocketAddrV4::new(ip, port).into()
}

/// Connects to `to` from an address of this machine.
///
/// # Errors
/// Those of the system.
pub async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddrV4::new(from, 0).into())?;
    socket.connect(to).await
}

/// Passes on whatever is called at the listener, from an address of its own.
async fn relay(listener: TcpListener, from: Ipv4Addr, to: SocketAddr) {
    let mut calls = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        calls.spawn(async move {
            let Ok(mut far) = connect_from(from, to).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            // Whichever end breaks off first ends the other one.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
