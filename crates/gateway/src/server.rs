//! Connections: taken up to a number, each within its limits, and ended.
//!
//! Owns listening, TLS and HTTP/1.1 and 2 for a router of any faces, and tells each request's extensions whether it came by
//! `http` or `https`. Promises that a client that is slow, silent or greedy costs
//! one place of a bounded number, and that its place goes to the next who comes while it asks for nothing or does not take
//! what it asked for. How much a request may carry is for the faces to say.

mod activity;
mod connection;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use activity::Activity;
use connection::Connection;
pub use tls::{Tls, TlsError};

/// How long a connection is left alone before its place may be given away.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a client may leave an answer untaken before its place may be given away.
const TAKING: Duration = Duration::from_secs(5);
/// How often it is looked for a place while there is none; also how long accepting rests when the system refuses.
const LOOK: Duration = Duration::from_millis(200);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many there may be; more wait in the system's queue until one ends, or until one is ended that asks for nothing or
    /// does not take its answer.
    pub connections: usize,
    /// Longest head of a request in bytes (at least 8192); a longer one is answered with 431.
    pub head_bytes: usize,
    /// How long the head of a request may take, counted from the answer before it: so also how long a connection may idle.
    pub head_time: Duration,
    /// How long a connection may stand still, with no byte moving either way, while it is being answered.
    pub stalled: Duration,
    /// How long those who are being answered have left after the stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head_bytes: 32 << 10,
            head_time: Duration::from_secs(60),
            // longer than bytes from the swarm may take
            stalled: Duration::from_secs(120),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop`, then lets those who are being answered finish for [`Limits::grace`]. Dropping it ends all connections.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections.max(1)));
    let lives = Connections::default();
    let (tasks, stopping, cut) =
        (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let _cut_when_dropped = cut.clone().drop_guard();
    let accepting = async {
        loop {
            let place = place(&places, &lives).await;
            let stream = accept(&listener).await;
            let life = lives.begin();
            let connection = Connection {
                life,
                limits,
                tls: tls.clone(),
                router: router.clone(),
                stopping: stopping.clone(),
            };
            let cut = cut.clone();
            tasks.spawn(async move {
                let _place = place;
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
        tracing::warn!(
            connections = tasks.len(),
            "cutting connections that did not finish in time"
        );
        cut.cancel();
        tasks.wait().await;
    }
}

/// A place for one more connection, if need be that of the one which needs its own the least.
async fn place(places: &Arc<Semaphore>, lives: &Connections) -> OwnedSemaphorePermit {
    loop {
        let free = Arc::clone(places).acquire_owned();
        // the semaphore is never closed
        if let Ok(Ok(place)) = tokio::time::timeout(Duration::ZERO, free).await {
            return place;
        }
        lives.end_one();
        let freed = Arc::clone(places).acquire_owned();
        if let Ok(Ok(place)) = tokio::time::timeout(LOOK, freed).await {
            return place;
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // answers are written in pieces; waiting to fill packets helps nobody
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                // out of file descriptors, most likely: connections that end free some
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// The connections there are.
#[derive(Debug, Default)]
struct Connections(Mutex<Vec<std::sync::Weak<Activity>>>);

impl Connections {
    fn begin(&self) -> Arc<Activity> {
        let life = Arc::new(Activity::new());
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lives.retain(|life| life.strong_count() > 0);
        lives.push(Arc::downgrade(&life));
        life
    }

    fn end_one(&self) {
        let lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = lives
            .iter()
            .filter_map(|life| life.upgrade().and_then(|life| Some((may_end(&life)?, life))));
        if let Some((_, life)) = may.max_by_key(|(least, _)| *least) {
            life.end();
        }
    }
}

/// Whether a connection's place may be given away, and how well: rather one that asks for nothing than one that is slow, and
/// of those the one that has been so for the longest time.
fn may_end(life: &Activity) -> Option<(bool, Duration)> {
    match life.idle() {
        Some(idle) => (idle >= SETTLE).then_some((true, idle)),
        None => life.not_taking().filter(|slow| *slow >= TAKING).map(|slow| (false, slow)),
    }
}
