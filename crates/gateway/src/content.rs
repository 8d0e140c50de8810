//! Serves one blob over HTTP: conditions, ranges and bytes, from the store or, as they arrive, from
//! the swarm.
//!
//! Every group of 16 KiB is verified before any of it is sent: a damaged group ends the connection
//! before its bytes leave. A response begins once its first bytes are available, so that
//! unavailable content yields a 404 rather than a broken 200.

mod read_budget;

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use perennial_manifest::{BlobId, ReleaseId};
use perennial_store::{Arriving, OpenBlob, Store, StoreError};
use tokio::task::JoinError;

use crate::backend::{BlobRequest, FetchError};
use crate::blocking::blocking;
use crate::budget::{Charge, Wanted};
use crate::client;
use crate::gateway::Gateway;
use crate::http_error::HttpError;
use crate::range::{Head, requested};
use crate::waits::Wait;
pub(crate) use read_budget::ReadBudget;
use read_budget::ReadShare;

/// How long the first bytes from the swarm may take to arrive.
const FIRST_BYTES: Duration = Duration::from_secs(30);
/// How long each further piece may take before the connection is closed.
const NEXT_BYTES: Duration = Duration::from_secs(60);

/// Content by digest, as a frontend serves it over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// The entity tag without quotes: the digest by which the frontend names the content.
    pub(crate) digest: String,
    /// A release that lists the content, so that it can be fetched from the swarm.
    pub(crate) release: Option<ReleaseId>,
    /// Additional response headers, set by the frontend.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Content {
    /// The request to send to the swarm; `None` if no release lists the content.
    pub(crate) fn request(&self) -> Option<BlobRequest> {
        let (blob, size) = (self.blob, self.size);
        self.release.map(|release| BlobRequest { release: Some(release), blob, size })
    }
}

impl Gateway {
    /// Answers a GET or HEAD with the content. `owner`: the request carried the node's token, so no
    /// fetch budget applies.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        request: &HeaderMap,
        content: &Content,
        owner: bool,
    ) -> Result<Response, HttpError> {
        let (etag, size) = (format!("\"{}\"", content.digest), content.size);
        let requested = requested(method, request, &etag, size);
        let range = requested.bytes(size).filter(|_| *method != Method::HEAD);
        let body = match range.filter(|range| !range.is_empty()) {
            Some(range) => self.body(content, range, owner).await?,
            None => {
                self.refuse_denied(content.blob).await?;
                Body::empty()
            }
        };
        let (etag, media_type, headers) = (&*etag, &*content.media_type, &*content.headers);
        Ok(requested.respond(&Head { etag, size, media_type, headers }, body))
    }

    async fn body(
        &self,
        content: &Content,
        range: Range<u64>,
        owner: bool,
    ) -> Result<Body, HttpError> {
        let (store, blob) = (self.backend.store().clone(), content.blob);
        let mut source =
            Source { store, blob, open: None, fetch: None, share: self.reads.one_more() };
        let first = source.next(&range, range.start);
        let bytes = match source.held(first.clone()).await {
            Ok(Some(bytes)) => Ok(bytes),
            // Damaged bytes are set aside, because a peer may hold the blob intact.
            Ok(None) | Err(Interrupted::Damaged) => {
                source.fetch = Some(self.fetch(content.request(), &content.digest, owner).await?);
                source.piece(first.clone(), FIRST_BYTES).await
            }
            Err(other) => Err(other),
        };
        let bytes = bytes.map_err(|interrupted| interrupted.answer(&content.digest))?;
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

    /// Starts to fetch a blob, within the budget. `what` names the blob in errors. Without a
    /// release to ask for, the error says that no peer holds the blob.
    pub(crate) async fn fetch(
        &self,
        request: Option<BlobRequest>,
        what: &str,
        owner: bool,
    ) -> Result<Fetch, HttpError> {
        let request = request.ok_or_else(|| HttpError::no_holder(what))?;
        self.find_place(request, what, owner).await?;
        let wait = self.wait(owner)?;
        let charge = self.within_budget(request.blob, request.size, owner)?;
        // Subscribed before the fetch starts, so that no progress is missed.
        let arriving = self.backend.store().arriving(&request.blob);
        let brought = charge.brought();
        let outcome = self.backend.fetch(request).inspect(move |outcome| {
            brought.store(outcome.is_ok(), Ordering::Relaxed);
        });
        let outcome = outcome.boxed();
        Ok(Fetch { outcome, arriving, _charge: charge, _wait: wait })
    }

    /// Charges a fetch to the budget of anonymous requests.
    pub(crate) fn within_budget(
        &self,
        blob: BlobId,
        size: u64,
        owner: bool,
    ) -> Result<Charge, HttpError> {
        let client = (!owner).then(client::prefix);
        let arriving = self.backend.store().arriving(&blob);
        let here = Box::new(move || arriving.progress().verified.min(size));
        let wanted = Wanted { blob, size, client };
        self.budget.begin(wanted, here, Instant::now()).map_err(|wait| {
            let minutes = wait.as_secs().div_ceil(60);
            HttpError::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "this node has fetched its hourly limit for anonymous requests: \
                     try again in {minutes} minutes, or send the node's token"
                ),
            )
        })
    }

    async fn refuse_denied(&self, blob: BlobId) -> Result<(), HttpError> {
        let store = self.backend.store().clone();
        blocking(move || Ok(store.refuse_denied(&blob)?)).await
    }
}

/// A blob being fetched.
pub(crate) struct Fetch {
    pub(crate) outcome: BoxFuture<'static, Result<(), FetchError>>,
    arriving: Arriving,
    _charge: Charge,
    _wait: Option<Wait>,
}

/// The source of a response's bytes.
struct Source {
    store: Store,
    blob: BlobId,
    /// The blob, once it is in the store.
    open: Option<OpenBlob>,
    /// The fetch, while the blob is arriving.
    fetch: Option<Fetch>,
    share: ReadShare,
}

/// Why a response has no further bytes.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the bytes held here are damaged")]
    Damaged,
    #[error("no reachable peer holds these bytes")]
    NoHolder,
    #[error("the bytes did not arrive in time")]
    Late,
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Fetch(FetchError),
    #[error(transparent)]
    Panicked(#[from] JoinError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { .. } => Self::Damaged,
            other => Self::Store(other),
        }
    }
}

impl Interrupted {
    /// The response to a request whose first bytes did not arrive.
    fn answer(self, what: &str) -> HttpError {
        match self {
            Self::Damaged | Self::NoHolder | Self::Late => HttpError::no_holder(what),
            Self::Store(error) => error.into(),
            Self::Fetch(error) => HttpError::fetch(&error, what),
            Self::Panicked(error) => error.into(),
        }
    }
}

impl Source {
    /// The next piece of a range to read, given that all bytes before `at` were read.
    fn next(&self, range: &Range<u64>, at: u64) -> Range<u64> {
        at..range.end.min(at.saturating_add(self.share.piece()))
    }

    /// Returns a piece as soon as it is available.
    async fn piece(&mut self, range: Range<u64>, patience: Duration) -> Result<Bytes, Interrupted> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let arriving = self.fetch.as_ref().map(|fetch| &fetch.arriving);
            if (self.open.is_some() || arriving.is_none_or(|arriving| arriving.progress().complete))
                && let Some(bytes) = self.held(range.clone()).await?
            {
                return Ok(bytes);
            }
            if let Some(bytes) = self.arrived(range.clone()).await? {
                return Ok(bytes);
            }
            let Some(fetch) = &mut self.fetch else { return Err(Interrupted::NoHolder) };
            tokio::select! {
                outcome = &mut fetch.outcome => {
                    self.fetch = None;
                    match outcome {
                        Ok(()) => {}
                        Err(FetchError::NoHolder) => return Err(Interrupted::NoHolder),
                        Err(error) => return Err(Interrupted::Fetch(error)),
                    }
                }
                () = fetch.arriving.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Err(Interrupted::Late),
            }
        }
    }

    /// A piece of the blob, if the store holds the whole blob.
    async fn held(&mut self, range: Range<u64>) -> Result<Option<Bytes>, Interrupted> {
        let (store, blob, open) = (self.store.clone(), self.blob, self.open.take());
        let read = blocking(move || {
            let open = match open {
                Some(open) => Some(open),
                None => store.open_blob(&blob)?,
            };
            let bytes = open.as_ref().map(|open| open.read(range)).transpose()?;
            Ok::<_, Interrupted>((open, bytes.map(Bytes::from)))
        });
        let bytes;
        (self.open, bytes) = read.await?;
        Ok(bytes)
    }

    /// A piece of a blob being fetched, if the whole piece has arrived.
    async fn arrived(&mut self, range: Range<u64>) -> Result<Option<Bytes>, Interrupted> {
        let length = range.end - range.start;
        let arriving = self.fetch.as_ref().map(|fetch| &fetch.arriving);
        if arriving.is_none_or(|arriving| arriving.readable(range.clone()) < length) {
            return Ok(None);
        }
        let (store, blob) = (self.store.clone(), self.blob);
        let read = blocking(move || Ok::<_, Interrupted>(store.read_arriving(&blob, range)?));
        Ok(read.await?.map(Bytes::from))
    }
}
