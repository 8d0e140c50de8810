//! The state shared by all frontends, and the router over them.

use std::sync::Arc;

use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::{Router, middleware};
use perennial_manifest::{PublisherId, ReleaseId, Selector, Sha256Digest};
use perennial_store::Pin;

use crate::asking::Asking;
use crate::backend::{Backend, BlobRequest, Told};
use crate::blocking::blocking;
use crate::budget::FetchBudget;
use crate::content::ReadBudget;
use crate::host::HostName;
use crate::http_error::HttpError;
use crate::lists::Lists;
use crate::token::Token;
use crate::waits::{Wait, Waits};
use crate::{access, client, feed, files, helm, oci, waits};

/// Why a node that follows all publishers, and none by its DID, lists so little.
pub const TRUSTS_NONE: &str = "this node keeps every publisher's releases and trusts none for \
                               names: tags, charts of /helm/all and /v2/_catalog are only its own, \
                               until `perennial follow DID` names publishers to trust";

/// Lists fetched to find one digest, at most.
const LEARNED: usize = 4;

/// Options of the frontends; the default serves any client and accepts no pushes.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Clients with this token may push and delete. They send it as `Authorization: Bearer`, as the
    /// password of basic authentication, or as the password exchanged at `/token`. Without a token,
    /// pushing is disabled.
    pub token: Option<Token>,
    /// Bytes per hour that anonymous requests may make the node fetch from its peers; `None` for no
    /// limit.
    pub fetch_budget: Option<u64>,
    /// Fetch for anonymous requests only what the node keeps anyway: releases of publishers that it
    /// follows, its own, and those that are pinned.
    pub only_trusted: bool,
    /// Bytes on disk of what was fetched for anonymous requests and is not kept anyway; `None` for
    /// no limit. The oldest goes.
    pub untrusted_share: Option<u64>,
    /// Requests that wait for peers at one time, at most; `None` for the default. Fewer than the
    /// connections of the server, so that what is held is served meanwhile.
    pub waits: Option<usize>,
    /// Host names that this node answers to, besides its addresses and `localhost`.
    pub hosts: Vec<HostName>,
}

/// State shared by all frontends; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) options: Arc<Options>,
    pub(crate) budget: Arc<FetchBudget>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) asking: Arc<Asking>,
    pub(crate) reads: ReadBudget,
    pub(crate) waits: Arc<Waits>,
}

impl Gateway {
    /// Refuses to fetch what no publisher signed that this node's user trusts: anybody may ask, and
    /// the bytes would lie on its disk. If the user wants it all the same, the bytes get a place in
    /// the share for such content. `what` names the content in the error.
    pub(crate) async fn find_place(
        &self,
        request: BlobRequest,
        what: &str,
        owner: bool,
    ) -> Result<(), HttpError> {
        let Options { only_trusted, untrusted_share, .. } = *self.options;
        let is_free = !only_trusted && untrusted_share.is_none();
        if owner || is_free || self.keeps(request.release).await? {
            return Ok(());
        }
        if only_trusted {
            let message = format!(
                "only publishers that this node does not follow signed {what}, which is not held; \
                 its operator can follow one of them, or pin the release"
            );
            return Err(HttpError::new(StatusCode::NOT_FOUND, message));
        }
        let Some(share) = untrusted_share else { return Ok(()) };
        if request.size > share {
            let message = format!(
                "{what} has {} bytes, and this node has {share} for what its operator does not \
                 follow",
                request.size
            );
            return Err(HttpError::new(StatusCode::NOT_FOUND, message));
        }
        let (store, BlobRequest { blob, size, .. }) = (self.backend.store().clone(), request);
        let oldest = blocking({
            let store = store.clone();
            move || Ok::<_, HttpError>(store.note_visitor(blob, size, share)?)
        });
        let oldest = oldest.await?;
        if !oldest.is_empty() {
            // Takes as long as a collection, and the request does not wait for it.
            tokio::task::spawn_blocking(move || match store.evict(&oldest) {
                Ok(report) => tracing::info!(
                    blobs = report.removed,
                    freed_bytes = report.freed_bytes,
                    "removed the oldest of what was fetched for strangers"
                ),
                Err(error) => tracing::warn!(%error, "what was fetched for strangers stays"),
            });
        }
        Ok(())
    }

    /// Whether this node keeps a release, or everything.
    async fn keeps(&self, release: Option<ReleaseId>) -> Result<bool, HttpError> {
        let (store, own) = (self.backend.store().clone(), self.backend.publisher());
        blocking(move || {
            let follows = store.follows();
            let Some(release) = release else { return Ok::<_, HttpError>(follows.all) };
            if store.pins().contains(&Pin::Release(release)) {
                return Ok(true);
            }
            let row = store.release(&release)?;
            Ok(row.is_some_and(|row| follows.covers(&row.publisher) || row.publisher == own))
        })
        .await
    }

    /// A place for a request that waits for peers; the owner needs none.
    ///
    /// # Errors
    ///
    /// 503 if there is none.
    pub(crate) fn wait(&self, owner: bool) -> Result<Option<Wait>, HttpError> {
        if owner {
            return Ok(None);
        }
        self.waits.begin(client::prefix()).map(Some)
    }

    /// What peers tell about something that this node does not know; nothing while too many
    /// requests wait for peers.
    pub(crate) async fn ask(&self, selector: Selector, publisher: Option<PublisherId>) -> Told {
        let Ok(_wait) = self.wait(false) else { return Told::default() };
        self.asking.ask(&self.backend, selector, publisher).await
    }

    /// Asks peers for releases that have a file with a digest, and fetches their lists, which show
    /// whether that is so. Returns whether a list came.
    pub(crate) async fn learn_of(&self, digest: Sha256Digest, owner: bool) -> bool {
        let told = self.ask(Selector::Sha256(digest), None).await;
        let mut came = false;
        for release in told.releases.into_iter().take(LEARNED) {
            let store = self.backend.store().clone();
            let row = blocking(move || Ok::<_, HttpError>(store.release(&release)?)).await;
            if let Ok(Some(row)) = row {
                came |= self.list(&row, owner).await.is_ok();
            }
        }
        came
    }
}

/// Builds the router of a node that has nothing to serve at the moment: it answers every request
/// with 503 and the reason.
pub fn unavailable(reason: &str) -> Router {
    let reason = reason.to_owned();
    let answer = move || async move {
        let again = [(header::RETRY_AFTER, "10")];
        (again, HttpError::unavailable(&reason)).into_response()
    };
    Router::new().fallback(answer).layer(middleware::from_fn(access::with_security_headers))
}

/// The answer to a path that no frontend has.
async fn nothing(uri: Uri) -> HttpError {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("there is nothing at {path:?}; / says what this node answers to");
    HttpError::new(StatusCode::NOT_FOUND, message)
}

/// Builds the router with all frontends. [`serve`](crate::serve) serves it.
pub fn router(backend: Arc<dyn Backend>, options: Options) -> Router {
    let budget = FetchBudget::new(options.fetch_budget);
    let waits = Waits::new(options.waits.unwrap_or(waits::MOST));
    let gateway = Gateway {
        waits,
        backend,
        options: Arc::new(options),
        budget,
        lists: Arc::default(),
        asking: Arc::default(),
        reads: ReadBudget::default(),
    };
    Router::new()
        .merge(files::routes(&gateway))
        .merge(helm::routes(&gateway))
        .merge(feed::routes(&gateway))
        .merge(oci::routes(gateway))
        .fallback(nothing)
        .layer(middleware::from_fn(client::as_client))
        .layer(middleware::from_fn(access::with_security_headers))
}
