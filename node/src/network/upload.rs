//! Serving blobs to a peer: one stream, many ranges, each group verified on its way out.
//!
//! What fails its name never leaves: the stream is cut in the middle instead, and the peer asks somebody else.

use std::io::{BufWriter, Write};

use perennial_protocol::message::{
    BLOB_NOT_HELD, BLOB_OK, BLOB_REFUSED, BlobRequest, MAX_BLOB_REQUEST,
};
use perennial_protocol::peer::PeerId;
use perennial_protocol::time::Time;
use perennial_store::{Store, StoreError};
use perennial_swarm::BlobStream;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::network::blob_stream::{BUFFER, Blocking, Limits};
use crate::network::handle::{Core, Message};

/// Answers one inbound stream.
pub(crate) async fn serve(
    store: Store,
    core: Core,
    limits: Limits,
    from: PeerId,
    mut stream: BlobStream,
    started: Instant,
) {
    let request = match timeout(limits.stall, read_request(&mut stream)).await {
        Ok(Ok(request)) => request,
        outcome => {
            tracing::debug!(%from, ?outcome, "no blob request came on a stream");
            return;
        }
    };
    let (decision, decided) = oneshot::channel();
    core.send(Message::Serve { from: from.clone(), bytes: request.bytes(), decision }).await;
    let Ok(decision) = decided.await else { return };
    let runtime = tokio::runtime::Handle::current();
    if let Some((_, start)) = decision {
        tokio::time::sleep_until(
            started + std::time::Duration::from_millis(Time::as_millis(start)),
        )
        .await;
    }
    let blocking = Blocking::new(stream, runtime, limits.stall, CancellationToken::new());
    let (peer, damage) = (from.clone(), core.damage.clone());
    let outcome = tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(BUFFER, blocking);
        let served = match decision {
            Some(_) => answer(&store, &request, &mut out),
            None => refuse(&request, &mut out),
        };
        if let Err(error) = &served {
            if let Some(StoreError::Corrupt { blob }) = error.downcast_ref() {
                damage.found(*blob);
            }
            tracing::info!(%peer, %error, "a blob stream was cut");
            // without flushing what is buffered: dropped as it is
            return out.into_parts().0.written;
        }
        match out.into_inner() {
            Ok(mut blocking) => {
                let _ = blocking.close();
                blocking.written
            }
            Err(unwritten) => unwritten.into_inner().get_ref().written,
        }
    })
    .await;
    if let Some((token, _)) = decision {
        core.send(Message::Served { from, token, bytes: outcome.unwrap_or(0) }).await;
    }
}

async fn read_request(stream: &mut BlobStream) -> std::io::Result<BlobRequest> {
    let invalid = |reason: String| std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
    let len = stream.read_u32_le().await? as usize;
    if len > MAX_BLOB_REQUEST {
        return Err(invalid(format!("a request of {len} bytes")));
    }
    let mut body = Vec::new();
    AsyncReadExt::take(stream, len as u64).read_to_end(&mut body).await?;
    BlobRequest::decode(&body).map_err(|e| invalid(e.to_string()))
}

fn answer(
    store: &Store,
    request: &BlobRequest,
    out: &mut impl Write,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
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

fn refuse(
    request: &BlobRequest,
    out: &mut impl Write,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for _ in request.items.iter() {
        out.write_all(&[BLOB_REFUSED])?;
    }
    Ok(out.flush()?)
}
