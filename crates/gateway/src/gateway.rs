//! The state shared by all frontends, and the router over them.

use std::sync::Arc;

use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::{Router, middleware};
use perennial_manifest::{PublisherId, Selector, Sha256Digest};

use crate::asking::Asking;
use crate::backend::{Backend, Told};
use crate::blocking::blocking;
use crate::budget::FetchBudget;
use crate::content::ReadBudget;
use crate::host::HostName;
use crate::http_error::HttpError;
use crate::lists::Lists;
use crate::token::Token;
use crate::{access, feed, files, helm, oci};

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
}

impl Gateway {
    /// What peers tell about something that this node does not know.
    pub(crate) async fn ask(&self, selector: Selector, publisher: Option<PublisherId>) -> Told {
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
    let gateway = Gateway {
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
        .layer(middleware::from_fn(access::with_security_headers))
}
