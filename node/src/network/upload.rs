//! Serves blobs to a peer: one stream, many ranges, each group verified before it is sent.
//!
//! Bytes that fail verification never leave: the stream is cut instead, and the peer asks another
//! peer.

use std::io::{BufWriter, Write};
use std::time::Duration;

use perennial_protocol::{
    BLOB_NOT_HELD, BLOB_OK, BLOB_REFUSED, BlobRequest, MAX_BLOB_REQUEST, PeerId, frame_length,
};
use perennial_store::{Store, StoreError};
use perennial_swarm::BlobStream;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::network::blob_stream::{BUFFER, Blocking};
use crate::network::handle::Network;
use crate::network::message::Message;

/// How long a peer may take to say what it wants: a few KiB at most, the first packet of its
/// stream. Counts from the first byte to the last.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Most bytes that a stream may ask for: several times what a node of ours asks for at once. Places
/// and turns are planned by what is asked, which costs a peer nothing to name.
const MOST: u64 = 256 << 20;
/// How long a peer may take for an answer of any length.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Bytes a second that a peer has to take, over the whole of an answer. The slowest line that a
/// follower may have, with all four of its streams at work.
const SLOWEST: u64 = 8 << 10;

/// How long a peer may take for an answer of so many bytes, whatever it takes in between.
fn time_for(bytes: u64) -> Duration {
    ANSWER_TIME + Duration::from_secs(bytes / SLOWEST)
}

/// One inbound stream and the dependencies for answering it.
pub(super) struct Upload {
    pub(super) store: Store,
    pub(super) network: Network,
    /// Longest silence of the peer.
    pub(super) stall: Duration,
    pub(super) from: PeerId,
    /// The start of the protocol's clock.
    pub(super) started: Instant,
    pub(super) tasks: TaskTracker,
}

/// Why a stream was cut.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] std::io::Error),
}

impl Upload {
    /// Reads the request, asks the protocol whether and when to serve it, and sends the ranges.
    pub(super) async fn serve(self, mut stream: BlobStream) {
        let Upload { store, network, stall, from, started, tasks } = self;
        let lost = stream.slot_lost();
        let read = timeout(REQUEST_TIME, read_request(&mut stream));
        let request = tokio::select! {
            outcome = read => match outcome {
                Ok(Ok(request)) => request,
                outcome => {
                    tracing::debug!(%from, ?outcome, "a blob stream brought no valid request");
                    return;
                }
            },
            () = lost => {
                tracing::debug!(%from, "a silent blob stream lost its slot");
                return;
            }
        };
        if request.bytes() > MOST {
            tracing::debug!(%from, bytes = request.bytes(), "a blob stream asked for too much");
            return;
        }
        stream.keep_slot();
        let (decision, decided) = oneshot::channel();
        network.send(Message::Serve { from: from.clone(), bytes: request.bytes(), decision }).await;
        let Ok(decision) = decided.await else { return };
        if let Some((_, start)) = decision {
            sleep_until(started + Duration::from_millis(start.as_millis())).await;
        }
        let deadline = Instant::now() + time_for(request.bytes());
        let stream = Blocking::new(stream, Handle::current(), stall, CancellationToken::new())
            .until(deadline);
        let peer = from.clone();
        let sent = tasks.spawn_blocking(move || {
            let mut out = BufWriter::with_capacity(BUFFER, stream);
            let served = match decision {
                Some(_) => answer(&store, &request, &mut out),
                None => refuse(&request, &mut out),
            };
            if let Err(error) = served {
                tracing::info!(%peer, %error, "blob stream cut");
                // The buffer is not flushed: it may hold the beginning of a damaged group.
                return out.into_parts().0.written;
            }
            match out.into_inner() {
                Ok(mut stream) => {
                    let _ = stream.close();
                    stream.written
                }
                Err(unwritten) => unwritten.into_inner().get_ref().written,
            }
        });
        let bytes = sent.await.unwrap_or(0);
        if let Some((token, _)) = decision {
            network.send(Message::Served { from, token, bytes }).await;
        }
    }
}

async fn read_request(stream: &mut BlobStream) -> std::io::Result<BlobRequest> {
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    let length = frame_length(prefix, MAX_BLOB_REQUEST).map_err(invalid)?;
    let mut body = Vec::new();
    AsyncReadExt::take(stream, length as u64).read_to_end(&mut body).await?;
    BlobRequest::decode(&body).map_err(invalid)
}

fn answer(store: &Store, request: &BlobRequest, out: &mut impl Write) -> Result<(), Cut> {
    for item in request.items.iter() {
        let Some(size) = store.blob_size(&item.blob)? else {
            out.write_all(&[BLOB_NOT_HELD])?;
            continue;
        };
        if item.ranges.iter().any(|(_, end)| *end > size) {
            out.write_all(&[BLOB_REFUSED])?;
            continue;
        }
        out.write_all(&[BLOB_OK])?;
        out.write_all(&size.to_le_bytes())?;
        let ranges: Vec<_> = item.ranges.iter().map(|(start, end)| *start..*end).collect();
        store.encode(&item.blob, &ranges, &mut *out)?;
    }
    out.flush()?;
    Ok(())
}

fn refuse(request: &BlobRequest, out: &mut impl Write) -> Result<(), Cut> {
    for _ in request.items.iter() {
        out.write_all(&[BLOB_REFUSED])?;
    }
    Ok(out.flush()?)
}
