//! Multiplexes streams over one connection: yamux as all of libp2p speaks it, with larger frames.
//!
//! libp2p's own yamux splits writes at 16 KiB and has no setting for it; large transfers then spend
//! half of their time on frames. The bytes on the wire are `/yamux/1.0.0`, so any libp2p node can
//! be a peer. Decides nothing.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use tokio::time::Sleep;
use yamux::{Connection, ConnectionError, Mode};

/// Largest frame sent, in bytes. The receiver bounds the bytes in flight by its window, whatever
/// the size of frames.
const FRAME: usize = 256 << 10;
/// Concurrent streams per connection, at most.
const MAX_STREAMS: usize = 128;
/// Bytes in flight to this node over all streams of one connection: the window that yamux
/// guarantees each of them, and what they may grow by together as the round trip requires, 320 MB/s
/// at 100 ms.
const MAX_WINDOW: usize = MAX_STREAMS * (256 << 10) + (32 << 20);
/// Inbound streams waiting to be accepted, at most; further ones are reset. A peer opens no more
/// than this before it is answered.
const MAX_WAITING: usize = 256;

/// The upgrade of a secured connection to one with many streams.
#[derive(Debug, Clone)]
pub(crate) struct Config(yamux::Config);

impl Default for Config {
    fn default() -> Self {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(MAX_WINDOW));
        config.set_split_send_size(FRAME);
        Self(config)
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_inbound(self, connection: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(Connection::new(connection, self.0, Mode::Server))))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_outbound(self, connection: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(Connection::new(connection, self.0, Mode::Client))))
    }
}

/// How long a connection may take to end in good order. A peer that takes no bytes lets it end
/// never, and keeps its socket.
const CLOSE: Duration = Duration::from_secs(5);

/// A connection with many streams.
#[derive(Debug)]
pub(crate) struct Muxer<C> {
    connection: Connection<C>,
    /// yamux makes progress only while it is polled for inbound streams, and libp2p polls for
    /// progress and for inbound streams separately: streams that arrive in between wait here.
    waiting: VecDeque<yamux::Stream>,
    taker: Option<Waker>,
    /// When the end is no longer waited for, once it was asked for.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(connection: Connection<C>) -> Self {
        Self { connection, waiting: VecDeque::new(), taker: None, closing: None }
    }

    fn poll_connection(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection
            .poll_next_inbound(cx)
            .map(|next| next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = yamux::Stream;
    type Error = ConnectionError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, ConnectionError>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let polled = self.poll_connection(cx);
        if polled.is_pending() {
            self.taker = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionError>> {
        let give_up = self.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE)));
        if give_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(ConnectionError::Io(io::ErrorKind::TimedOut.into())));
        }
        self.connection.poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let stream = std::task::ready!(self.poll_connection(cx))?;
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(stream);
            if let Some(taker) = self.taker.take() {
                taker.wake();
            }
        } else {
            tracing::debug!(%stream, "stream reset: too many");
        }
        // More work may remain: poll again after every other task had a turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::AsyncWriteExt;
    use tokio_util::compat::TokioAsyncReadCompatExt;

    use super::*;

    /// The peer takes nothing: what the end has to send first is never sent.
    #[tokio::test]
    async fn a_connection_ends_though_its_peer_takes_nothing() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let yamux = Connection::new(ours.compat(), Config::default().0, Mode::Client);
        let mut muxer = Muxer::new(yamux);
        let mut stream =
            poll_fn(|cx| Pin::new(&mut muxer).poll_outbound(cx)).await.expect("a stream");
        stream.write_all(&[7; 1000]).await.expect("it is in the queue");
        let closed = poll_fn(|cx| Pin::new(&mut muxer).poll_close(cx));
        let closed = tokio::time::timeout(CLOSE * 3, closed).await.expect("it ends");
        assert!(matches!(closed, Err(ConnectionError::Io(_))), "{closed:?}");
    }
}
