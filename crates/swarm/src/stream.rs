//! A stream of blobs between two peers, as Tokio reads and writes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use crate::door::Slot;

/// A bidirectional byte stream, encrypted and flow-controlled. Ends when either side or the
/// connection does.
pub struct BlobStream {
    inner: Compat<libp2p::Stream>,
    /// Held by an inbound stream until it is dropped; `None` for streams that this node opened.
    slot: Option<Slot>,
}

impl BlobStream {
    pub(crate) fn new(stream: libp2p::Stream, slot: Option<Slot>) -> Self {
        Self { inner: stream.compat(), slot }
    }

    /// Resolves if an inbound stream has lost its slot to another one, which happens only before
    /// [`BlobStream::keep_slot`]. Whoever holds the stream drops it then.
    pub fn slot_lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let lost = self.slot.as_ref().map(|slot| slot.lost().clone());
        async move {
            match lost {
                Some(lost) => lost.cancelled_owned().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Keeps the slot of an inbound stream until the stream is dropped: its request has come.
    pub fn keep_slot(&self) {
        if let Some(slot) = &self.slot {
            slot.keep();
        }
    }
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobStream")
    }
}

impl AsyncRead for BlobStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for BlobStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
