//! An image of a repository as an origin; an interrupted blob resumes by range.

use bytes::Bytes;
use perennial_oci::Digest;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::answer::accepted;
use super::repository::Repository;
use crate::ImportError;
use crate::client::{Tried, why};
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
        let mut last = "it has no bytes after those that came".to_owned();
        while !into.is_complete() {
            let from = into.len();
            let asked = (from > 0).then_some(from);
            let answer = self.repository.send(Method::GET, &url, "*/*", asked).await?;
            if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE && from > 0 {
                into.restart()?;
                furthest = 0;
            } else {
                let answer = accepted(answer).await?;
                if from > 0 && !goes_on(&answer, from) {
                    into.restart()?;
                }
                let (arrived, cut) = pour(answer, into, meter).await?;
                into = arrived;
                if into.is_complete() {
                    break;
                }
                if into.len() > furthest {
                    (furthest, idle) = (into.len(), 0);
                    continue;
                }
                last = cut;
            }
            idle += 1;
            let reason = format!("{} in a row nothing more came: {last}", times(idle));
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

/// Whether a response is the requested range.
fn goes_on(answer: &Response, from: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let starts =
        range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok());
    answer.status() == StatusCode::PARTIAL_CONTENT && starts == Some(from)
}

/// Writes a body to the file on a thread for blocking work. Also returns the reason that the body
/// ended.
async fn pour(
    mut answer: Response,
    mut into: Incoming,
    meter: &Meter<'_>,
) -> Result<(Incoming, String), ImportError> {
    let (send, mut receive) = mpsc::channel::<Bytes>(AHEAD);
    let writer = blocking(move || {
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
