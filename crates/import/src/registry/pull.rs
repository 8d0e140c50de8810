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
        // Whether a coding that an answer names is taken for a mere label on the blob's own bytes,
        // as Go's clients take it. What does not fit so is unpacked.
        let mut as_it_is = true;
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
            let codings = Coding::all(answer.headers());
            let is_labelled = !codings.is_empty();
            let is_packed = is_labelled && !as_it_is;
            if is_packed {
                check_codings(&answer, &codings)?;
            }
            has_ranges &= !is_packed;
            let (arrived, end) = pour(answer, into, is_packed, meter).await?;
            into = arrived;
            let is_whole = !matches!(end, End::TooMuch);
            if is_whole && into.is_complete() {
                break;
            }
            let cut = match end {
                End::TooMuch | End::Early if is_labelled && as_it_is => {
                    as_it_is = false;
                    into.restart()?;
                    continue;
                }
                End::TooMuch => return Err(into.has_too_much()?),
                End::Early => "it ended early".to_owned(),
                End::Broken(reason) => reason,
            };
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

/// Refuses codings that are not undone here.
fn check_codings(answer: &Response, codings: &[Coding]) -> Result<(), ImportError> {
    if matches!(codings, [Coding::Gzip]) {
        return Ok(());
    }
    let all: Vec<_> = codings.iter().map(Coding::as_str).collect();
    let all = all.join(", ");
    let reason = format!("the registry packs it with {all}, and only gzip is unpacked here");
    Err(ImportError::Upstream { what: shown(answer.url()), reason })
}

/// How a body ended.
enum End {
    /// Where the registry says that it ends.
    Early,
    /// With the connection, for this reason.
    Broken(String),
    /// More came than the blob has, and is not in the file.
    TooMuch,
}

/// Writes a body to the file on a thread for blocking work. Also returns how it ended.
async fn pour(
    mut answer: Response,
    mut into: Incoming,
    is_packed: bool,
    meter: &Meter<'_>,
) -> Result<(Incoming, End), ImportError> {
    let (send, mut receive) = mpsc::channel::<Bytes>(AHEAD);
    let writer = blocking(move || {
        if is_packed {
            unpack(receive, &mut into)?;
            return Ok((into, false));
        }
        while let Some(chunk) = receive.blocking_recv() {
            if !into.fits(chunk.len() as u64) {
                return Ok((into, true));
            }
            into.write(&chunk)?;
        }
        Ok((into, false))
    });
    let cut = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                let len = chunk.len() as u64;
                if send.send(chunk).await.is_err() {
                    break End::Broken("the disk took no more".to_owned());
                }
                meter.bytes(len);
            }
            Ok(None) => break End::Early,
            Err(error) => break End::Broken(why(error)),
        }
    };
    drop(send);
    let (into, is_too_much) = writer.await?;
    Ok((into, if is_too_much { End::TooMuch } else { cut }))
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
