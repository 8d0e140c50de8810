//! The activity of one connection: how many requests are in flight, how long it has had none, when
//! a byte last moved, and how long the client has left available bytes unread.
//!
//! Only observes; the server decides which connection to end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Bytes that a client has to read before it counts as reading its response. A client that reads a
/// byte now and then does not count.
const TAKEN: usize = 256 << 10;

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    began: Instant,
    end: Notify,
    finish: Notify,
    finishing: AtomicBool,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// When `in_flight` last changed.
    since: Instant,
    /// When a byte last moved.
    moved: Instant,
    /// Set while bytes wait for the client to read those before them.
    full: bool,
    /// When the client began to read more slowly than it could, and the bytes it has read since;
    /// `None` once it has read enough.
    slow: Option<(Instant, usize)>,
}

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State { in_flight: 0, since: now, moved: now, full: false, slow: None };
        Self {
            state: Mutex::new(state),
            began: now,
            end: Notify::new(),
            finish: Notify::new(),
            finishing: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the connection has had no request in flight; `None` while it has one.
    pub(super) fn idle(&self) -> Option<Instant> {
        let state = self.state();
        (state.in_flight == 0).then_some(state.since)
    }

    /// How long no byte has moved in either direction.
    pub(super) fn still(&self) -> Duration {
        self.state().moved.elapsed()
    }

    /// Since when the client has been reading more slowly than it could; `None` while no bytes wait
    /// for it.
    pub(super) fn not_taking(&self) -> Option<Instant> {
        let state = self.state();
        state.slow.filter(|_| state.full).map(|(since, _)| since)
    }

    /// Records that bytes arrived.
    fn record_read(&self) {
        self.state().moved = Instant::now();
    }

    /// Records a successful write: the number of bytes the client took.
    fn record_taken(&self, taken: usize) {
        let mut state = self.state();
        state.moved = Instant::now();
        state.full = false;
        state.slow = state
            .slow
            .map(|(since, before)| (since, before.saturating_add(taken)))
            .filter(|(_, all)| *all < TAKEN);
    }

    /// Records a blocked write: the client takes no more bytes for now.
    fn record_full(&self) {
        let mut state = self.state();
        state.full = true;
        state.slow = state.slow.or_else(|| Some((Instant::now(), 0)));
    }

    /// Requests that the connection end.
    pub(super) fn end(&self) {
        self.end.notify_one();
    }

    /// Since when there has been a connection.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Requests that the connection end after the response that it is in.
    pub(super) fn finish(&self) {
        self.finishing.store(true, Ordering::Relaxed);
        self.finish.notify_one();
    }

    /// Whether the end after the present response was requested.
    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Relaxed)
    }

    /// Resolves when the end after the present response is requested.
    pub(super) async fn finished(&self) {
        self.finish.notified().await;
    }

    /// Resolves each time the end of the connection is requested.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// Counts a request as in flight until the returned guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.since = Instant::now();
        InFlight(Arc::clone(self))
    }
}

/// A guard for one request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.since = Instant::now();
        if state.in_flight == 0 {
            // How the last answer was taken says nothing about the next one.
            (state.slow, state.full) = (None, false);
        }
    }
}

/// A response body, in flight until its last byte is taken.
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

/// A stream whose bytes are recorded as they move.
pub(super) struct TrackedStream<T> {
    pub(super) stream: T,
    pub(super) activity: Arc<Activity>,
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
            self.activity.record_read();
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> TrackedStream<T> {
    fn recorded(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(taken @ 1..)) => self.activity.record_taken(taken),
            Poll::Pending => self.activity.record_full(),
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
        self.recorded(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.recorded(outcome)
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
