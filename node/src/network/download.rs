//! Receiving blobs from a peer: one assignment, one stream, each group verified before it is written as good.
//!
//! Reports to the protocol only what is on disk. Never reads further than the signed sizes allow, whatever the peer sends.

use std::io::{self, BufReader, Read};
use std::time::{Duration, Instant};

use perennial_manifest::BlobId;
use perennial_protocol::message::{
    BLOB_NOT_HELD, BLOB_OK, BLOB_REFUSED, BlobRange, BlobRequest, Bounded,
};
use perennial_protocol::peer::PeerId;
use perennial_protocol::transfer::{AssignmentId, End, Report};
use perennial_store::{SMALL, Store, StoreError};
use perennial_swarm::Handle;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::network::blob_stream::{BUFFER, Blocking, Limits};
use crate::network::handle::{Core, Message};

/// How often an assignment reports while bytes flow.
const REPORT: Duration = Duration::from_millis(250);

/// What is to be fetched from whom.
pub(crate) struct Job {
    pub(crate) assignment: AssignmentId,
    pub(crate) peer: PeerId,
    /// Each with the size of its blob.
    pub(crate) items: Vec<(u64, BlobRange)>,
    pub(crate) cancel: CancellationToken,
    pub(crate) limits: Limits,
}

/// Carries an assignment out and reports its end.
pub(crate) async fn receive(store: Store, core: Core, swarm: Handle, job: Job) {
    let Job { assignment, peer, items, cancel, limits } = job;
    let transferred =
        |report, end| Message::Transferred { assignment, peer: peer.clone(), report, end };
    let request =
        BlobRequest { items: Bounded::first_of(items.iter().map(|(_, item)| item.clone())) };
    let opened = async {
        let mut stream = swarm.open_blob_stream(&peer).await.map_err(io::Error::other)?;
        let frame = request.encode_frame().map_err(io::Error::other)?;
        stream.write_all(&frame).await?;
        stream.shutdown().await?;
        io::Result::Ok(stream)
    };
    let stream = tokio::select! {
        () = cancel.cancelled() => return core.send(transferred(Report::default(), End::Closed)).await,
        opened = timeout(limits.stall, opened) => match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "no blob stream");
                return core.send(transferred(Report::default(), End::Closed)).await;
            }
            Err(_) => return core.send(transferred(Report::default(), End::Stalled)).await,
        },
    };
    let input = Blocking::new(stream, tokio::runtime::Handle::current(), limits.stall, cancel);
    let to = core.clone();
    let read = tokio::task::spawn_blocking(move || {
        let input = BufReader::with_capacity(BUFFER, input);
        let mut receiver = Receiver {
            store,
            core: to,
            assignment,
            input,
            report: Report::default(),
            reported: Instant::now(),
            small: Vec::new(),
            small_bytes: 0,
        };
        let outcome = receiver.all(&items).and_then(|()| receiver.store_small());
        (outcome.err(), receiver.report)
    })
    .await;
    let (error, report) = read
        .unwrap_or((Some(Cut::Local("the receiving thread panicked".into())), Report::default()));
    let end = match error {
        None => End::Finished,
        Some(Cut::Peer(end)) => end,
        Some(Cut::Local(reason)) => {
            tracing::error!(%reason, "what a peer sent could not be stored");
            End::Local
        }
    };
    core.send(transferred(report, end)).await;
}

/// Why an assignment ended early.
#[derive(Debug)]
enum Cut {
    Peer(End),
    Local(String),
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
            other => Self::Local(other.to_string()),
        }
    }
}

struct Receiver {
    store: Store,
    core: Core,
    assignment: AssignmentId,
    input: BufReader<Blocking>,
    report: Report,
    reported: Instant,
    /// Small blobs that verified and are not stored yet: many go behind one fsync.
    small: Vec<(BlobRange, Vec<u8>)>,
    small_bytes: usize,
}

/// Small blobs are stored once they have so many bytes together.
const SMALL_BATCH: usize = 4 << 20;

impl Receiver {
    fn all(&mut self, items: &[(u64, BlobRange)]) -> Result<(), Cut> {
        for (size, item) in items {
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
            // leases of the fetch cover them from here on
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
        let (input, report, reported) = (&mut self.input, &mut self.report, &mut self.reported);
        let (core, assignment) = (&self.core, self.assignment);
        let outcome = partial.decode(&ranges, input, &mut |bytes| {
            arrived.add(bytes);
            if reported.elapsed() >= REPORT {
                *reported = Instant::now();
                report.verified.extend(arrived.take(blob));
                let report = std::mem::take(report);
                core.send_blocking(Message::Received { assignment, report });
            }
        });
        // before the last ranges are reported, so that a blob that is said to be done is in its place
        if outcome.is_ok() && partial.is_complete() {
            self.store.complete(&partial)?;
        }
        self.report.verified.extend(arrived.take(blob));
        Ok(outcome?)
    }

    fn tell(&mut self) {
        self.reported = Instant::now();
        let report = std::mem::take(&mut self.report);
        self.core.send_blocking(Message::Received { assignment: self.assignment, report });
    }
}

/// Which ranges have arrived: the encoding brings them in order, so a count of bytes tells.
struct Arrived<'a> {
    ranges: &'a [std::ops::Range<u64>],
    /// The range being filled, how far it came, and how much of it was told.
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

    /// What arrived since it was last asked.
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
mod tests {
    use super::*;

    #[test]
    fn a_count_of_bytes_tells_which_ranges_arrived() {
        let ranges = [0..32768, 65536..90000];
        let mut arrived = Arrived::new(&ranges);
        let blob = BlobId::of(b"x");
        let told =
            |arrived: &mut Arrived<'_>| arrived.take(blob).map(|range| range.ranges.into_vec());
        arrived.add(16384);
        assert_eq!(told(&mut arrived), Some(vec![(0, 16384)]));
        assert_eq!(told(&mut arrived), None);
        arrived.add(16384);
        arrived.add(16384);
        assert_eq!(told(&mut arrived), Some(vec![(16384, 32768), (65536, 81920)]));
        arrived.add(90000 - 81920);
        assert_eq!(told(&mut arrived), Some(vec![(81920, 90000)]));
        arrived.add(5);
        assert_eq!(told(&mut arrived), None);
    }
}
