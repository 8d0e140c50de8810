//! The HTTP server: listening, TLS, HTTP/1.1 and HTTP/2 for any router.
//!
//! Connections are bounded ([`Limits::connections`]). A slow client occupies at most one slot. When
//! all slots are taken and a new client is waiting, one connection loses its slot: the longest idle
//! of those idle for at least a second, else the one whose client has read less than it could for
//! longest, at least five seconds. A client that keeps reading its response keeps its slot. A
//! connection also ends, with or without a waiting client, when a request head takes too long, when
//! it idles for that long, or when no byte moves while a response is being sent.
//!
//! Each request carries its [`Scheme`](axum::http::uri::Scheme), `http` or `https`, in its
//! extensions. Limits on request bodies belong to the router.

mod activity;
mod connection;
mod tls;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use activity::Activity;
use connection::Connection;
pub use tls::{Tls, TlsError};

/// How long a connection has to be idle before it can lose its slot.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a client may leave a response unread before it can lose its slot.
const TAKING: Duration = Duration::from_secs(5);
/// The interval between attempts to free a slot, and the pause after a failed accept.
const RETRY: Duration = Duration::from_millis(200);

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent connections. Further clients wait in the system's accept queue until a connection
    /// ends, or loses its slot because it is idle or does not read its response.
    pub connections: usize,
    /// The longest request head in bytes, at least 8192. A longer head is answered with 431.
    pub head_bytes: usize,
    /// How long a request head may take, counted from the previous response; also how long a
    /// connection may idle.
    pub head_time: Duration,
    /// How long a response may stall, with no byte moving in either direction.
    pub stalled: Duration,
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
    let slots = Arc::new(Semaphore::new(limits.connections.max(1)));
    let connections = Connections::default();
    let (tasks, stopping, cut) =
        (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let _cut_when_dropped = cut.clone().drop_guard();
    let accepting = async {
        loop {
            let slot = slot(&slots, &connections).await;
            let stream = accept(&listener).await;
            let activity = connections.begin();
            let connection = Connection {
                activity,
                limits,
                tls: tls.clone(),
                router: router.clone(),
                stopping: stopping.clone(),
            };
            let cut = cut.clone();
            tasks.spawn(async move {
                let _slot = slot;
                cut.run_until_cancelled(connection.run(stream)).await;
            });
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

/// Waits for a free slot; if all are taken, takes the slot of the connection that needs it least.
async fn slot(slots: &Arc<Semaphore>, connections: &Connections) -> OwnedSemaphorePermit {
    loop {
        let free = Arc::clone(slots).acquire_owned();
        // The semaphore is never closed.
        if let Ok(Ok(slot)) = tokio::time::timeout(Duration::ZERO, free).await {
            return slot;
        }
        connections.end_one();
        let freed = Arc::clone(slots).acquire_owned();
        if let Ok(Ok(slot)) = tokio::time::timeout(RETRY, freed).await {
            return slot;
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Responses are written in large pieces: waiting to fill packets only adds latency.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                // Most likely out of file descriptors; closing connections free some.
                tracing::warn!(%error, "accepting a connection failed; retrying");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// The open connections.
#[derive(Debug, Default)]
struct Connections(Mutex<Vec<Weak<Activity>>>);

impl Connections {
    fn begin(&self) -> Arc<Activity> {
        let activity = Arc::new(Activity::new());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|activity| activity.strong_count() > 0);
        all.push(Arc::downgrade(&activity));
        activity
    }

    fn end_one(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let candidates = all.iter().filter_map(|activity| {
            activity.upgrade().and_then(|activity| Some((may_end(&activity)?, activity)))
        });
        if let Some((_, activity)) = candidates.max_by_key(|(rank, _)| *rank) {
            activity.end();
        }
    }
}

/// The rank of a connection that can lose its slot, or `None`: idle connections rank before slow
/// ones, and within each group the longest idle or slow ranks first.
fn may_end(activity: &Activity) -> Option<(bool, Duration)> {
    match activity.idle() {
        Some(idle) => (idle >= SETTLE).then_some((true, idle)),
        None => activity.not_taking().filter(|slow| *slow >= TAKING).map(|slow| (false, slow)),
    }
}
