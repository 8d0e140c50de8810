//! Receives blobs from a peer: one assignment, one stream, each group verified before it is
//! recorded as good.
//!
//! Reports to the protocol only what is on disk. Never reads further than the signed sizes allow,
//! whatever the peer sends.

use std::io::{self, BufReader, Read};
use std::time::{Duration, Instant};

use perennial_manifest::BlobId;
use perennial_protocol::{
    AssignmentId, BLOB_NOT_HELD, BLOB_OK, BLOB_REFUSED, BlobRange, BlobRequest, Bounded,
    DownloadItem, End, Input, PeerId, Report,
};
use perennial_store::{SMALL, Store, StoreError};
use perennial_swarm::{BlobStream, Handle};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::network::blob_stream::{BUFFER, Blocking};
use crate::network::handle::Network;

/// How often an assignment reports while bytes arrive.
const REPORT: Duration = Duration::from_millis(250);
/// Bytes of small blobs stored together, with one fsync.
const SMALL_BATCH: usize = 4 << 20;

/// An assignment and its dependencies.
pub(super) struct Download {
    pub(super) store: Store,
    pub(super) network: Network,
    pub(super) swarm: Handle,
    /// Longest silence of the peer.
    pub(super) stall: Duration,
    pub(super) tasks: TaskTracker,
    pub(super) assignment: AssignmentId,
    pub(super) peer: PeerId,
    pub(super) items: Vec<DownloadItem>,
    pub(super) cancel: CancellationToken,
}

impl Download {
    /// Carries out the assignment and reports its end.
    pub(super) async fn run(self) {
        let (network, assignment) = (self.network.clone(), self.assignment);
        let (report, end) = match self.open().await {
            Ok(stream) => self.receive(stream).await,
            Err(end) => (Report::default(), end),
        };
        network.input(Input::Transferred { assignment, report, end }).await;
    }

    /// Opens the stream and sends the request.
    async fn open(&self) -> Result<BlobStream, End> {
        let items = Bounded::first_of(self.items.iter().map(|item| item.range.clone()));
        let opened = async {
            let mut stream =
                self.swarm.open_blob_stream(&self.peer).await.map_err(io::Error::other)?;
            let frame = BlobRequest { items }.encode_frame().map_err(io::Error::other)?;
            stream.write_all(&frame).await?;
            stream.shutdown().await?;
            io::Result::Ok(stream)
        };
        tokio::select! {
            () = self.cancel.cancelled() => Err(End::Closed),
            opened = timeout(self.stall, opened) => match opened {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(error)) => {
                    tracing::debug!(peer = %self.peer, %error, "could not open a blob stream");
                    Err(End::Closed)
                }
                Err(_) => Err(End::Stalled),
            },
        }
    }

    /// Decodes and stores the stream's content, on a blocking thread.
    async fn receive(self, stream: BlobStream) -> (Report, End) {
        let Download { store, network, stall, tasks, assignment, items, cancel, .. } = self;
        let runtime = tokio::runtime::Handle::current();
        let received = tasks.spawn_blocking(move || {
            let input = Blocking::new(stream, runtime, stall, cancel);
            let mut tell = |report| network.input_blocking(Input::Received { assignment, report });
            let input = BufReader::with_capacity(BUFFER, input);
            let mut receiver = Receiver::new(store, input, &mut tell);
            let outcome = receiver.all(&items).and_then(|()| receiver.store_small());
            (receiver.report, outcome)
        });
        match received.await {
            Ok((report, Ok(()))) => (report, End::Finished),
            Ok((report, Err(Cut::Peer(end)))) => (report, end),
            Ok((report, Err(Cut::Local(error)))) => {
                // The node says it once, and whoever wanted the bytes is told.
                if error.is_full() {
                    tracing::debug!(%error, "what a peer sent does not fit");
                } else {
                    tracing::error!(%error, "could not store what a peer sent");
                }
                (report, End::Local)
            }
            Err(error) => {
                tracing::error!(%error, "a receiving thread ended early");
                (Report::default(), End::Local)
            }
        }
    }
}

/// Why an assignment ended early.
#[derive(Debug)]
enum Cut {
    /// The peer or the connection failed.
    Peer(End),
    /// This node's store failed.
    Local(StoreError),
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Peer(if error.kind() == io::ErrorKind::TimedOut { End::Stalled } else { End::Closed })
    }
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WrongBytes(blob) => Self::Peer(End::Lied(blob)),
            StoreError::Broken { source, .. } => source.into(),
            other => Self::Local(other),
        }
    }
}

/// One stream on its way into the store.
struct Receiver<'a, R> {
    store: Store,
    input: R,
    tell: &'a mut dyn FnMut(Report),
    report: Report,
    reported: Instant,
    /// Small blobs that are verified and not yet stored.
    small: Vec<(BlobRange, Vec<u8>)>,
    small_bytes: usize,
}

impl<'a, R: Read> Receiver<'a, R> {
    fn new(store: Store, input: R, tell: &'a mut dyn FnMut(Report)) -> Self {
        Self {
            store,
            input,
            tell,
            report: Report::default(),
            reported: Instant::now(),
            small: Vec::new(),
            small_bytes: 0,
        }
    }

    fn all(&mut self, items: &[DownloadItem]) -> Result<(), Cut> {
        for DownloadItem { range: item, size } in items {
            let mut status = [0];
            self.input.read_exact(&mut status)?;
            match status[0] {
                BLOB_OK => {}
                BLOB_NOT_HELD => {
                    self.report.not_held.push(item.blob);
                    continue;
                }
                BLOB_REFUSED => return Err(Cut::Peer(End::Overload)),
                _ => return Err(Cut::Peer(End::Lied(item.blob))),
            }
            let mut claimed = [0; 8];
            self.input.read_exact(&mut claimed)?;
            if u64::from_le_bytes(claimed) != *size {
                return Err(Cut::Peer(End::WrongSize(item.blob)));
            }
            if *size <= SMALL {
                let bytes = Store::decode_small(item.blob, *size, &mut self.input)?;
                self.small_bytes += bytes.len();
                self.small.push((item.clone(), bytes));
                if self.small_bytes >= SMALL_BATCH {
                    self.store_small()?;
                }
            } else {
                self.large(item, *size)?;
            }
        }
        Ok(())
    }

    fn store_small(&mut self) -> Result<(), Cut> {
        let (items, bytes): (Vec<_>, Vec<_>) = std::mem::take(&mut self.small).into_iter().unzip();
        self.small_bytes = 0;
        if !items.is_empty() {
            // The fetch's lease protects them.
            drop(self.store.add_small(bytes)?);
            self.report.verified.extend(items);
            self.tell();
        }
        Ok(())
    }

    fn large(&mut self, item: &BlobRange, size: u64) -> Result<(), Cut> {
        let blob = item.blob;
        let partial = self.store.partial(blob, size)?;
        let ranges: Vec<_> = item.ranges.iter().map(|(start, end)| *start..*end).collect();
        let mut arrived = Arrived::new(&ranges);
        let (store, input, tell) = (&self.store, &mut self.input, &mut *self.tell);
        let (report, reported) = (&mut self.report, &mut self.reported);
        let outcome = partial.decode(&ranges, input, &mut |bytes| {
            arrived.add(bytes);
            // Before it is reported: a blob whose ranges were all reported is in its final place,
            // whichever stream brought the last of them, and however that stream ends.
            if partial.is_complete() {
                store.complete(&partial)?;
            }
            if reported.elapsed() >= REPORT {
                *reported = Instant::now();
                report.verified.extend(arrived.take(blob));
                tell(std::mem::take(report));
            }
            Ok(())
        });
        self.report.verified.extend(arrived.take(blob));
        Ok(outcome?)
    }

    fn tell(&mut self) {
        self.reported = Instant::now();
        (self.tell)(std::mem::take(&mut self.report));
    }
}

/// The ranges that have arrived. The encoding sends them in order, so a byte count suffices.
struct Arrived<'a> {
    ranges: &'a [std::ops::Range<u64>],
    /// The index of the range being filled, the offset up to which it is filled, and the offset up
    /// to which it was reported.
    at: usize,
    to: u64,
    told: u64,
    done: Vec<(u64, u64)>,
}

impl<'a> Arrived<'a> {
    fn new(ranges: &'a [std::ops::Range<u64>]) -> Self {
        let start = ranges.first().map_or(0, |range| range.start);
        Self { ranges, at: 0, to: start, told: start, done: Vec::new() }
    }

    fn add(&mut self, mut bytes: u64) {
        while let Some(range) = self.ranges.get(self.at) {
            let step = bytes.min(range.end - self.to);
            self.to += step;
            bytes -= step;
            if self.to < range.end {
                return;
            }
            if self.told < range.end {
                self.done.push((self.told, range.end));
            }
            self.at += 1;
            let next = self.ranges.get(self.at).map_or(range.end, |range| range.start);
            (self.to, self.told) = (next, next);
            if bytes == 0 {
                return;
            }
        }
    }

    /// The ranges that arrived since the last call.
    fn take(&mut self, blob: BlobId) -> Option<BlobRange> {
        if self.told < self.to {
            self.done.push((self.told, self.to));
            self.told = self.to;
        }
        let ranges = std::mem::take(&mut self.done);
        (!ranges.is_empty()).then(|| BlobRange { blob, ranges: Bounded::first_of(ranges) })
    }
}

#[cfg(test)]
mod tests;
