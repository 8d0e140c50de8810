//! One blob as an HTTP answer: conditions, ranges, and its bytes, from here or from the swarm while they arrive.
//!
//! Promises that every group of 16 KiB is verified before any of it is sent: what turns out wrong ends the connection
//! before its bytes leave. An answer begins once its first bytes are at hand, so that what cannot be had is a 404 and not a
//! broken 200.

mod read_budget;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use perennial_manifest::{BlobId, ReleaseId};
use perennial_store::{BlobState, OpenBlob, StoreError};

use crate::backend::{Backend, BlobRequest, FetchError};
use crate::budget::Charge;
use crate::gateway::Gateway;
use crate::http_error::HttpError;
use crate::range::{Wanted, wanted};
pub(crate) use read_budget::ReadBudget;
use read_budget::ReadShare;

/// How often it is looked whether bytes arrived.
const LOOK: Duration = Duration::from_millis(20);
/// How long the first bytes may take that come from the swarm.
const FIRST_BYTES: Duration = Duration::from_secs(30);
/// How long bytes may take after that before the connection is given up.
const NEXT_BYTES: Duration = Duration::from_secs(60);

/// Some content by digest, as a face gives it out.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// The entity tag without quotes: the digest that the face names it by.
    pub(crate) digest: String,
    /// A release that names it, where it may be fetched from the swarm.
    pub(crate) release: Option<ReleaseId>,
    /// Headers of the face's own.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Gateway {
    /// Answers a GET or HEAD for some content. `owner`: whether the request may cost more than anonymous ones.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        request: &HeaderMap,
        content: &Content,
        owner: bool,
    ) -> Result<Response, HttpError> {
        let state = self.refuse_denied(content.blob).await?;
        let etag = format!("\"{}\"", content.digest);
        let (status, range) = match wanted(method, request, &etag, content.size) {
            Wanted::All => (StatusCode::OK, 0..content.size),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
            Wanted::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, 0..0),
            Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        };
        let bytes = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        let body = match bytes && *method != Method::HEAD {
            true => self.body(content, state, range.clone(), owner).await?,
            false => Body::empty(),
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let mut set = |name, value: String| {
            // a value that is no header text is left out: nothing of it is needed to use the bytes
            let _ = HeaderValue::try_from(value).map(|value| headers.insert(name, value));
        };
        set(header::ETAG, etag);
        match status {
            StatusCode::PARTIAL_CONTENT => {
                let (first, last) = (range.start, range.end.saturating_sub(1));
                set(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", content.size));
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                set(header::CONTENT_RANGE, format!("bytes */{}", content.size));
            }
            _ => {}
        }
        if bytes {
            set(header::ACCEPT_RANGES, "bytes".into());
            set(header::CONTENT_TYPE, content.media_type.clone());
            set(header::CONTENT_LENGTH, (range.end - range.start).to_string());
        }
        headers.extend(content.headers.iter().cloned());
        Ok(response)
    }

    async fn body(
        &self,
        content: &Content,
        state: BlobState,
        range: Range<u64>,
        owner: bool,
    ) -> Result<Body, HttpError> {
        if range.is_empty() {
            return Ok(Body::empty());
        }
        let mut source = Source {
            backend: Arc::clone(&self.backend),
            blob: content.blob,
            open: None,
            fetch: None,
            share: self.reads.one_more(),
        };
        let first = source.next(&range, range.start);
        if !matches!(state, BlobState::Held { .. }) {
            source.fetch = Some(self.fetch(content, owner)?);
        }
        let bytes = match source.piece(first.clone(), FIRST_BYTES).await {
            Err(Cut::Damaged) if source.fetch.is_none() => {
                // it was set aside: others may have it whole
                source.fetch = Some(self.fetch(content, owner)?);
                source.piece(first.clone(), FIRST_BYTES).await
            }
            other => other,
        };
        let bytes = bytes.map_err(|cut| match cut {
            Cut::Failed(error) => HttpError::internal(&error),
            Cut::Damaged | Cut::NoHolder | Cut::Late => HttpError::no_holder(&content.digest),
        })?;
        let rest = stream::unfold((source, first.end), move |(mut source, at)| {
            let next = source.next(&range, at);
            async move {
                if next.is_empty() {
                    return None;
                }
                let end = next.end;
                let bytes = source.piece(next, NEXT_BYTES).await;
                Some((bytes.map_err(std::io::Error::other), (source, end)))
            }
        });
        Ok(Body::from_stream(stream::once(async { Ok(bytes) }).chain(rest)))
    }

    /// Has the content brought here.
    pub(crate) fn fetch(&self, content: &Content, owner: bool) -> Result<Fetch, HttpError> {
        let Some(release) = content.release else {
            return Err(HttpError::no_holder(&content.digest));
        };
        let fetched = BlobRequest { release, blob: content.blob, size: content.size };
        let waiting = self.within_budget(content.blob, content.size, owner)?;
        Ok(Fetch { outcome: self.backend.fetch(fetched), _waiting: waiting })
    }

    /// Counts what is about to be fetched for a request.
    pub(crate) fn within_budget(
        &self,
        blob: BlobId,
        size: u64,
        owner: bool,
    ) -> Result<Charge, HttpError> {
        self.budget.begin(blob, size, owner, Instant::now()).map_err(|wait| {
            let minutes = wait.as_secs().div_ceil(60);
            HttpError::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("the bytes an hour that this node fetches for anonymous requests are spent: try again in {minutes} minutes, or ask with its token"),
            )
        })
    }

    /// Refuses what the user refuses, however it is asked for.
    async fn refuse_denied(&self, blob: BlobId) -> Result<BlobState, HttpError> {
        let store = self.backend.store().clone();
        match run(move || store.blob_state(&blob)).await.map_err(|e| HttpError::internal(&e))? {
            BlobState::Denied => {
                let message = format!("{blob} is on this node's deny list");
                Err(HttpError::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, message))
            }
            state => Ok(state),
        }
    }
}

/// Content on its way here.
pub(crate) struct Fetch {
    pub(crate) outcome: BoxFuture<'static, Result<(), FetchError>>,
    _waiting: Charge,
}

/// Where the bytes of an answer come from.
struct Source {
    backend: Arc<dyn Backend>,
    blob: BlobId,
    /// The blob, once it is here.
    open: Option<OpenBlob>,
    /// Runs while the bytes are on their way here.
    fetch: Option<Fetch>,
    share: ReadShare,
}

/// Why bytes do not come.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the bytes here are damaged")]
    Damaged,
    #[error("nobody who can be reached holds it")]
    NoHolder,
    #[error("the bytes did not come in time")]
    Late,
    #[error("{0}")]
    Failed(String),
}

impl Source {
    /// What is read next of a range of which the bytes before `at` were read.
    fn next(&self, range: &Range<u64>, at: u64) -> Range<u64> {
        at..range.end.min(at.saturating_add(self.share.piece()))
    }

    /// A piece, as soon as it is here.
    async fn piece(&mut self, range: Range<u64>, patience: Duration) -> Result<Bytes, Cut> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some(bytes) = self.read(range.clone()).await? {
                return Ok(bytes);
            }
            let Some(fetch) = &mut self.fetch else { return Err(Cut::NoHolder) };
            tokio::select! {
                outcome = &mut fetch.outcome => {
                    self.fetch = None;
                    match outcome {
                        Ok(()) => {}
                        Err(FetchError::NoHolder) => return Err(Cut::NoHolder),
                        Err(FetchError::Failed(error)) => return Err(Cut::Failed(error)),
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
                () = tokio::time::sleep_until(deadline) => return Err(Cut::Late),
            }
        }
    }

    /// A piece, if it is here.
    async fn read(&mut self, range: Range<u64>) -> Result<Option<Bytes>, Cut> {
        let (store, blob, open) = (self.backend.store().clone(), self.blob, self.open.take());
        let read = run(move || {
            let open = match open {
                Some(open) => Some(open),
                None => store.open_blob(&blob)?,
            };
            let bytes = match &open {
                Some(open) => Some(open.read(range)?),
                None => store.read_arriving(&blob, range)?,
            };
            Ok((open, bytes.map(Bytes::from)))
        });
        match read.await {
            Ok((open, bytes)) => {
                self.open = open;
                Ok(bytes)
            }
            Err(StoreError::Corrupt { blob }) => {
                self.backend.damaged(blob);
                Err(Cut::Damaged)
            }
            Err(error) => Err(Cut::Failed(error.to_string())),
        }
    }
}

/// Work of the store, off the threads that answer requests.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let task = tokio::task::spawn_blocking(work).map(|joined| match joined {
        Ok(outcome) => outcome,
        Err(error) => Err(StoreError::Index(error.to_string())),
    });
    task.await
}
