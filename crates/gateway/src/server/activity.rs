//! What is known of one connection: how many requests it has in flight, since when none, when a byte last moved, and for how
//! long the client has not taken what is ready for it.
//!
//! Observes; who is ended for it is decided elsewhere.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// What a client takes before it counts as taking what it is sent: one that takes a byte now and then takes nothing.
const TAKEN: usize = 256 << 10;

/// One connection.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// Milliseconds after `begun`.
    moved: AtomicU64,
    requests: Mutex<Requests>,
    full: Mutex<Full>,
    end: Notify,
}

/// Whether bytes wait for the client to take those before them.
#[derive(Debug, Default)]
struct Full {
    now: bool,
    /// When that began, and what was taken since; none once it was enough.
    since: Option<(Instant, usize)>,
}

#[derive(Debug)]
struct Requests {
    in_flight: usize,
    /// When that last changed.
    since: Instant,
}

impl Activity {
    pub(super) fn new() -> Self {
        let begun = Instant::now();
        let requests = Mutex::new(Requests { in_flight: 0, since: begun });
        Self {
            begun,
            moved: AtomicU64::new(0),
            requests,
            full: Mutex::default(),
            end: Notify::new(),
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long it has asked for nothing; none while it is being answered.
    pub(super) fn idle(&self) -> Option<Duration> {
        let requests = self.requests();
        (requests.in_flight == 0).then(|| requests.since.elapsed())
    }

    /// For how long no byte moved either way.
    pub(super) fn still(&self) -> Duration {
        self.begun
            .elapsed()
            .saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)))
    }

    /// For how long the client has been taking less than it could; none while nothing waits for it.
    pub(super) fn not_taking(&self) -> Option<Duration> {
        let full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.since.filter(|_| full.now).map(|(since, _)| since.elapsed())
    }

    /// Notes what came of writing: how much the client took, or that it takes nothing now.
    fn note_taken(&self, taken: Option<usize>) {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.now = taken.is_none();
        full.since = match (full.since, taken) {
            (None, None) => Some((Instant::now(), 0)),
            (since, None) => since,
            (since, Some(taken)) => since
                .map(|(at, before)| (at, before.saturating_add(taken)))
                .filter(|(_, all)| *all < TAKEN),
        };
    }

    fn note_moved(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Asks for its end.
    pub(super) fn end(&self) {
        self.end.notify_one();
    }

    /// Resolves when its end is asked for, each time that it is.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// Counts a request until what this returns is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        let mut requests = self.requests();
        requests.in_flight += 1;
        requests.since = Instant::now();
        InFlight(Arc::clone(self))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut requests = self.0.requests();
        requests.in_flight = requests.in_flight.saturating_sub(1);
        requests.since = Instant::now();
    }
}

/// The body of an answer, in flight until its last byte was taken.
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) in_flight: InFlight,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        debug_assert!(self.in_flight.0.idle().is_none());
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose bytes are noted as they move.
pub(super) struct TrackedStream<T> {
    pub(super) stream: T,
    pub(super) life: Arc<Activity>,
}

impl<T: AsyncRead + Unpin> AsyncRead for TrackedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.life.note_moved();
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> TrackedStream<T> {
    fn noting(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(taken @ 1..)) => {
                self.life.note_moved();
                self.life.note_taken(Some(taken));
            }
            Poll::Pending => self.life.note_taken(None),
            Poll::Ready(_) => {}
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TrackedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.noting(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.noting(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
