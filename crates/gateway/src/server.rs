//! The HTTP server: listening, TLS, HTTP/1.1 and HTTP/2 for any router.
//!
//! Connections are bounded ([`Limits::connections`]), and so are those of clients of one address
//! prefix, which have half of them; clients on this machine, where a proxy may be, share nothing
//! with each other. When all places are taken, a new client gets that of the connection that needs
//! it least: of the most crowded prefix, the longest idle of those idle for at least a second, else
//! the one whose client has read less than it could for longest, at least five seconds. If there is
//! none, the client waits in a short line, while connections end with the response that they are
//! in; if none ends in time, it is answered with 503. A client that keeps reading its response
//! keeps its place.
//!
//! A connection also ends, with or without a waiting client, when a request head takes too long,
//! when it idles for that long, when no byte moves while a response is being sent, and when its
//! client takes less than 256 KiB in ten minutes although there is more.
//!
//! Each request carries its [`Scheme`](axum::http::uri::Scheme), `http` or `https`, in its
//! extensions. Limits on request bodies belong to the router.

mod activity;
mod connection;
mod line;
mod open;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use perennial_protocol::Prefix;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::unavailable;
use activity::Activity;
use connection::Connection;
use line::Line;
use open::Open;
pub use tls::{Tls, TlsError};

/// The interval between attempts to find a place for those in line, and the pause after a failed
/// accept.
const RETRY: Duration = Duration::from_millis(200);
/// Clients that are being told to come back, at most; more are hung up on.
const TOLD: usize = 32;
/// What they are told.
const BUSY: &str = "all connections of this node are in use: try again in a moment";
/// How long it may take to tell a client to come back.
const TELLING: Duration = Duration::from_secs(5);

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent connections, of which clients of one address prefix get half. Further clients
    /// wait a few seconds for a place, and are then answered with 503.
    pub connections: usize,
    /// The longest request head in bytes, at least 8192. A longer head is answered with 431.
    pub head_bytes: usize,
    /// How long a request head may take, counted from the previous response; also how long a
    /// connection may idle.
    pub head_time: Duration,
    /// How long a response may stall, with no byte moving in either direction.
    pub stalled: Duration,
    /// How long a client may take for 256 KiB of a response while there is more to take.
    pub slowest: Duration,
    /// How long a request without a body may wait for its response to begin.
    pub answer_time: Duration,
    /// How long requests in flight may continue after the server is asked to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head_bytes: 32 << 10,
            head_time: Duration::from_secs(60),
            // Longer than the gateway waits for bytes from the swarm.
            stalled: Duration::from_secs(120),
            slowest: Duration::from_secs(600),
            // Longer than any frontend waits for peers.
            answer_time: Duration::from_secs(120),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop` resolves, then lets requests in flight finish for [`Limits::grace`].
/// Dropping the future closes all connections.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let open = Arc::new(Open::new(limits.connections));
    let (tasks, stopping, cut) =
        (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let _cut_when_dropped = cut.clone().drop_guard();
    let connection = |router: &Router, activity, prefix, limits| Connection {
        activity,
        limits,
        tls: tls.clone(),
        router: router.clone(),
        stopping: stopping.clone(),
        prefix,
    };
    let (busy, told) = (unavailable(BUSY), Arc::new(Semaphore::new(TOLD)));
    let turn_away = |stream: TcpStream| {
        let Ok(turn) = Arc::clone(&told).try_acquire_owned() else { return };
        let limits = Limits { head_time: TELLING, ..limits };
        let activity = Arc::new(Activity::new());
        let connection = connection(&busy, activity, Prefix::NONE, limits);
        let cut = cut.clone();
        tasks.spawn(async move {
            let _turn = turn;
            let telling = tokio::time::timeout(TELLING, connection.run(stream));
            cut.run_until_cancelled(telling).await;
        });
    };
    let accepting = async {
        let mut line = Line::default();
        loop {
            tokio::select! {
                (stream, address) = accept(&listener) => {
                    let prefix = Prefix::of(address.ip());
                    if let Some(last) = line.push(stream, prefix, Instant::now()) {
                        turn_away(last);
                    }
                }
                () = open.freed() => {}
                () = tokio::time::sleep(RETRY), if line.len() > 0 => {}
            }
            while let Some((stream, prefix, place)) = line.next(&open) {
                let connection = connection(&router, Arc::clone(&place.activity), prefix, limits);
                let cut = cut.clone();
                tasks.spawn(async move {
                    let _place = place;
                    cut.run_until_cancelled(connection.run(stream)).await;
                });
            }
            open.rotate(line.len());
            while let Some(late) = line.overdue(Instant::now()) {
                turn_away(late);
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop => {}
    }
    drop(listener);
    stopping.cancel();
    tasks.close();
    if tokio::time::timeout(limits.grace, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections did not finish in time and are cut");
        cut.cancel();
        tasks.wait().await;
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Responses are written in large pieces: waiting to fill packets only adds latency.
                let _ = stream.set_nodelay(true);
                return (stream, address);
            }
            Err(error) => {
                // Most likely out of file descriptors; closing connections free some.
                tracing::warn!(%error, "accepting a connection failed; retrying");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
