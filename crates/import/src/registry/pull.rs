//! An image of a repository as an origin; an interrupted blob resumes by range.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use perennial_oci::Digest;
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::answer::accepted;
use super::repository::Repository;
use crate::ImportError;
use crate::client::{Tried, why};
use crate::download::{Coding, range_of};
use crate::error::shown;
use crate::image::{Attached, Incoming, Origin, Wanted};
use crate::meter::{Meter, blocking};

/// Most chunks of a body queued between the network and the disk.
const AHEAD: usize = 16;

/// An image of a repository.
pub(super) struct Pull<'a> {
    pub(super) repository: &'a Repository,
}

impl Origin for Pull<'_> {
    async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImportError> {
        self.repository.manifest(digest).await
    }

    fn lacks(&self, _: &Digest) -> bool {
        false
    }

    async fn attached(&self, digest: &Digest) -> (Vec<Attached>, Vec<ImportError>) {
        self.repository.attached(digest).await
    }

    async fn blob(
        &self,
        wanted: &Wanted,
        mut into: Incoming,
        meter: &Meter<'_>,
    ) -> Result<Incoming, ImportError> {
        let url = self.repository.url(&format!("blobs/{}", wanted.digest))?;
        let mut furthest = into.len();
        let mut idle = 0;
        // Whether the registry gives the rest of a blob, as far as is known.
        let mut has_ranges = true;
        while !into.is_complete() {
            if !has_ranges {
                into.restart()?;
            }
            let from = into.len();
            let asked = (from > 0).then_some(from);
            let answer = self.repository.send(Method::GET, &url, "*/*", asked).await?;
            let is_lost = match answer.status() {
                StatusCode::RANGE_NOT_SATISFIABLE => true,
                StatusCode::PARTIAL_CONTENT => !goes_on(&answer, from, wanted.size),
                _ => false,
            };
            // Where a range cannot be had, all of it is asked for, once for ever: what came before
            // counts as progress no second time, so that the tries end.
            if from > 0 && is_lost {
                has_ranges = false;
                continue;
            }
            let answer = accepted(answer).await?;
            if from > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
                into.restart()?;
            }
            let is_packed = is_packed(&answer, wanted.size - into.len())?;
            has_ranges &= !is_packed;
            let (arrived, cut) = pour(answer, into, is_packed, meter).await?;
            into = arrived;
            if into.is_complete() {
                break;
            }
            if into.len() > furthest {
                (furthest, idle) = (into.len(), 0);
                continue;
            }
            idle += 1;
            let reason = format!("{} in a row nothing more came: {cut}", times(idle));
            let error = ImportError::Upstream { what: shown(&url), reason };
            let failed = Tried { times: idle, error: &error, wish: None, refused: false };
            if !self.repository.again(failed).await {
                return Err(error);
            }
        }
        Ok(into)
    }
}

fn times(number: u32) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

/// Whether a response is the requested range, of a blob of this size.
fn goes_on(answer: &Response, from: u64, size: u64) -> bool {
    range_of(answer)
        .is_some_and(|(first, total)| first == from && total.is_none_or(|total| total == size))
}

/// Whether a body is packed with gzip, and not only labelled so: a blob that is compressed itself
/// comes with the length that its manifest says.
fn is_packed(answer: &Response, rest: u64) -> Result<bool, ImportError> {
    let codings = Coding::all(answer.headers());
    if codings.is_empty() || answer.content_length() == Some(rest) {
        return Ok(false);
    }
    let what = shown(answer.url());
    match &codings[..] {
        [Coding::Gzip] => Ok(true),
        _ => {
            let all: Vec<_> = codings.iter().map(Coding::as_str).collect();
            let reason = format!(
                "the registry packs it with {}, and only gzip is unpacked here",
                all.join(", ")
            );
            Err(ImportError::Upstream { what, reason })
        }
    }
}

/// Writes a body to the file on a thread for blocking work. Also returns the reason that the body
/// ended.
async fn pour(
    mut answer: Response,
    mut into: Incoming,
    is_packed: bool,
    meter: &Meter<'_>,
) -> Result<(Incoming, String), ImportError> {
    let (send, mut receive) = mpsc::channel::<Bytes>(AHEAD);
    let writer = blocking(move || {
        if is_packed {
            unpack(receive, &mut into)?;
            return Ok(into);
        }
        while let Some(chunk) = receive.blocking_recv() {
            into.write(&chunk)?;
        }
        Ok(into)
    });
    let cut = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                let len = chunk.len() as u64;
                if send.send(chunk).await.is_err() {
                    break "the disk took no more".to_owned();
                }
                meter.bytes(len);
            }
            Ok(None) => break "it ended early".to_owned(),
            Err(error) => break why(error),
        }
    };
    drop(send);
    Ok((writer.await?, cut))
}

/// A blob that takes what a decoder gives, and keeps its own error.
struct Target<'a> {
    into: &'a mut Incoming,
    failed: Option<ImportError>,
}

impl Write for Target<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.into.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let said = io::Error::other(error.to_string());
                self.failed = Some(error);
                Err(said)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what a body packed with gzip has, as far as it unpacks. Blocking.
fn unpack(mut receive: mpsc::Receiver<Bytes>, into: &mut Incoming) -> Result<(), ImportError> {
    let mut unpacker = MultiGzDecoder::new(Target { into, failed: None });
    let mut unpacked = Ok(());
    while let (Ok(()), Some(chunk)) = (&unpacked, receive.blocking_recv()) {
        unpacked = unpacker.write_all(&chunk);
    }
    if let Err(error) = unpacked.and_then(|()| unpacker.try_finish()) {
        tracing::debug!(%error, "a packed blob does not unpack to its end");
    }
    unpacker.get_mut().failed.take().map_or(Ok(()), Err)
}
