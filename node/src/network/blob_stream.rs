//! What both ends of a blob stream share: limits, and a stream read and written from a blocking thread with deadlines.

use std::io;
use std::time::Duration;

use perennial_swarm::BlobStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Limits on one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest silence of the other end.
    pub(crate) stall: Duration,
}

/// Bytes read or written at a time between the stream and the blocking side.
pub(crate) const BUFFER: usize = 256 << 10;

/// A stream for a blocking thread. Every read and write has a deadline and ends at once when it is cancelled.
pub(crate) struct Blocking {
    stream: BlobStream,
    runtime: Handle,
    stall: Duration,
    cancel: CancellationToken,
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
        Self { stream, runtime, stall, cancel, written: 0 }
    }

    /// Ends our side in order.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.runtime.block_on(within(self.stall, &self.cancel, self.stream.shutdown()))
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
        outcome = tokio::time::timeout(stall, work) => outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

impl io::Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(within(self.stall, &self.cancel, self.stream.read(buf)))
    }
}

impl io::Write for Blocking {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(within(self.stall, &self.cancel, self.stream.write_all(buf)))?;
        self.written += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(within(self.stall, &self.cancel, self.stream.flush()))
    }
}
