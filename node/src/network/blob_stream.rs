//! A blob stream as a blocking thread reads and writes it, on both sides of a transfer.
//!
//! Decoding, hashing and writing to disk run on a blocking thread, but the stream is async, so each
//! `read` and `write` here is one `block_on`, which parks the thread until the runtime wakes it.
//! Both sides wrap the stream in a buffer of [`BUFFER`] bytes: there is one `block_on` per 256 KiB
//! written, and one per read, which returns the bytes that have arrived, up to 256 KiB. The
//! alternative, a task that pumps the stream into a channel, costs a copy and a wake-up per buffer
//! instead.

use std::io;
use std::time::Duration;

use perennial_swarm::BlobStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Largest read or write between the stream and the blocking thread, in bytes.
pub(crate) const BUFFER: usize = 256 << 10;

/// A stream for a blocking thread. A read or write fails when the remote end is silent for `stall`,
/// and immediately when cancelled.
pub(crate) struct Blocking {
    stream: BlobStream,
    runtime: Handle,
    stall: Duration,
    cancel: CancellationToken,
    /// When the whole of it has to be over.
    deadline: Option<Instant>,
    /// Bytes written so far.
    pub(crate) written: u64,
}

impl Blocking {
    pub(crate) fn new(
        stream: BlobStream,
        runtime: Handle,
        stall: Duration,
        cancel: CancellationToken,
    ) -> Self {
        Self { stream, runtime, stall, cancel, deadline: None, written: 0 }
    }

    /// Makes every read and write fail after `deadline`, however fast bytes move.
    pub(crate) fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// How long the next read or write may take.
    fn patience(&self) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.map_or(self.stall, |deadline| self.stall.min(left(deadline)))
    }

    /// Closes the local side of the stream.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.runtime.block_on(within(self.patience(), &self.cancel, self.stream.shutdown()))
    }
}

async fn within<T>(
    stall: Duration,
    cancel: &CancellationToken,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        outcome = tokio::time::timeout(stall, work) => {
            outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
    }
}

impl io::Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(within(self.patience(), &self.cancel, self.stream.read(buf)))
    }
}

impl io::Write for Blocking {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(within(self.patience(), &self.cancel, self.stream.write_all(buf)))?;
        self.written += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(within(self.patience(), &self.cancel, self.stream.flush()))
    }
}
