//! A Helm repository: `/helm/<publisher or all>/index.yaml` and the charts it lists.
//!
//! Every listed chart is held and has the digest in the index; its `Chart.yaml` was read from those
//! bytes; and `all` lists no chart that publishers disagree on. The index is JSON, which is also
//! YAML, so that no string of a chart can be read as anything but a string. URLs are relative to
//! the index, so that they work under any host name and behind any proxy.

mod chart;
mod index;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use perennial_manifest::PublisherId;
use perennial_store::{Follows, Store};

use crate::access::is_owner;
use crate::content::Content;
use crate::document::Document;
use crate::files::attachment;
use crate::gateway::Gateway;
use crate::http_error::HttpError;
use crate::memo::{self, Age, Memo};
use index::Charts;

/// The state shared by the handlers of these paths.
#[derive(Clone)]
struct Helm {
    gateway: Gateway,
    read: Arc<chart::ChartsRead>,
    /// The charts of all trusted publishers, by this node's own one.
    all: Arc<Memo<PublisherId, Repository>>,
    /// The charts of one publisher. Kept apart from `all`, so that untrusted publishers' charts,
    /// whose number is unbounded, delay no request for `all`.
    of_one: Arc<Memo<PublisherId, Repository>>,
}

/// Charts and their index.
#[derive(Debug, Clone)]
struct Repository {
    charts: Arc<Charts>,
    index: Document,
}

/// The routes of the repository.
pub(crate) fn routes(gateway: &Gateway) -> Router {
    let all = Arc::new(Memo::of_blobs().concerning(memo::trusted));
    let of_one = Arc::new(Memo::of_blobs().concerning(|key, _, publisher| key == publisher));
    let helm = Helm { gateway: gateway.clone(), read: Arc::default(), all, of_one };
    Router::new()
        .route("/helm/{publisher}/index.yaml", get(index))
        .route("/helm/{publisher}/charts/{file}", get(file))
        .with_state(helm)
}

impl Helm {
    /// The charts of a publisher, or of all trusted publishers.
    async fn repository(&self, publisher: &str) -> Result<Repository, HttpError> {
        let only: Option<PublisherId> = match publisher {
            "all" => None,
            did => Some(did.parse().map_err(|e| {
                HttpError::bad_request(format!(
                    "{e}; ask for /helm/all/index.yaml or /helm/DID/index.yaml"
                ))
            })?),
        };
        let (lists, read) = (Arc::clone(&self.gateway.lists), Arc::clone(&self.read));
        let (store, own) = (self.gateway.backend.store(), self.gateway.backend.publisher());
        let make = move |(): &mut (), store: &Store, _: &Follows| {
            let charts = Charts::gather(store, &lists, &read, &own, only)?;
            let text = charts.index()?;
            let index =
                Document::new("application/yaml", text).with(header::CACHE_CONTROL, "no-cache");
            Ok::<_, HttpError>(Repository { charts: Arc::new(charts), index })
        };
        match only {
            None => self.all.get(own, Age::Generation, store, make).await,
            Some(only) => self.of_one.get(only, Age::Generation, store, make).await,
        }
    }
}

async fn index(
    State(helm): State<Helm>,
    Path(publisher): Path<String>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    Ok(helm.repository(&publisher).await?.index.answer(&method, &request))
}

async fn file(
    State(helm): State<Helm>,
    Path((publisher, file)): Path<(String, String)>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    let charts = helm.repository(&publisher).await?.charts;
    let Some((release, artifact)) = charts.file(&file) else {
        if let Some(why) = charts.denial(&file) {
            return Err(HttpError::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, why));
        }
        let message = format!("unknown: this node holds no chart {file:?} of {publisher}");
        return Err(HttpError::new(StatusCode::NOT_FOUND, message));
    };
    let content = Content {
        blob: artifact.blake3,
        size: artifact.size,
        media_type: "application/gzip".into(),
        digest: artifact.blake3.to_string(),
        release: Some(release),
        headers: vec![attachment(&file)],
    };
    let content = match file.ends_with(".prov") {
        true => Content { media_type: "text/plain; charset=utf-8".into(), ..content },
        false => content,
    };
    helm.gateway
        .answer(&method, &request, &content, is_owner(&helm.gateway.options, &request))
        .await
}
