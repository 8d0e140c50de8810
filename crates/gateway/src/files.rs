//! Files of releases by name, and bytes by digest: `/r/…` and `/b/…`.
//!
//! A name resolves by the publishers that this node's user follows, a digest names exactly those
//! bytes, and every response is a download: no browser renders an archived page in this node's
//! origin.

mod digest;
mod digest_search;
mod disposition;
mod quota;
mod release;
mod resolve;
mod target;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use perennial_manifest::PublisherId;

use crate::access::is_owner;
use crate::document::Document;
use crate::gateway::Gateway;
use crate::host;
use crate::http_error::HttpError;
pub(crate) use disposition::attachment;
pub(crate) use target::SEGMENT;

/// The state shared by the handlers of these paths.
#[derive(Clone)]
struct Files {
    gateway: Gateway,
    sha256_checks: Arc<digest::Sha256Checks>,
    digest_search: Arc<digest_search::DigestSearch>,
    quota: Arc<quota::Quota>,
}

/// The routes of files, and of the node's documents about itself.
pub(crate) fn routes(gateway: &Gateway) -> Router {
    let files = Files {
        gateway: gateway.clone(),
        sha256_checks: Arc::default(),
        digest_search: Arc::default(),
        quota: Arc::default(),
    };
    Router::new()
        .route("/", get(about))
        .route("/healthz", get(health))
        .route("/r/{*rest}", get(of_release))
        .route("/b/{digest}", get(of_digest))
        .with_state(files)
}

const ABOUT: &str = "\
This is a node of Perennial, an archive of software releases that many keep together.

/r/NAME/VERSION/             the files of a release, as JSON
/r/NAME/VERSION/PATH         one of them
/r/NAME/VERSION/SHA256SUMS   for `sha256sum -c`
/r/NAME/VERSION/release.cbor the signed statement
/r/RELEASE-ID/...            the same, by the release's id
/b/blake3:HEX                bytes by digest
/b/sha256:HEX
/helm/all/index.yaml         a Helm repository: helm repo add NAME http://THIS-NODE/helm/all
/v2/                         an OCI registry: docker pull THIS-NODE/REGISTRY/REPOSITORY:TAG
/feed.atom                   new releases
/releases.json               all releases known here; ?after=ID&limit=N
/healthz                     answers ok, or 503 with the reason

NAME is a plain name or a percent-encoded package URL without its version. Names resolve
through the publishers that this node follows; ?publisher=DID asks for one publisher's.
";

async fn health(State(files): State<Files>) -> Result<&'static str, HttpError> {
    files.gateway.backend.health().await.map_err(|error| HttpError::unavailable(&error))?;
    Ok("ok\n")
}

async fn about(
    State(files): State<Files>,
    uri: Uri,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    host::check(&files.gateway.options.hosts, &request, uri.authority())?;
    Ok(Document::new("text/plain; charset=utf-8", ABOUT).answer(&method, &request))
}

async fn of_release(
    State(files): State<Files>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    method: Method,
    request: HeaderMap,
) -> Response {
    let answered = async {
        let only: Option<PublisherId> = query
            .get("publisher")
            .map(|did| did.parse().map_err(|e| HttpError::bad_request(format!("?publisher=: {e}"))))
            .transpose()?;
        // Still percent-encoded: an encoded `/` belongs to a name.
        let target = target::Target::read(uri.path().strip_prefix("/r/").unwrap_or_default())?;
        files.release(target, only, &method, &request).await
    };
    answered.await.unwrap_or_else(HttpError::into_response)
}

async fn of_digest(
    State(files): State<Files>,
    axum::extract::Path(digest): axum::extract::Path<String>,
    Query(query): Query<HashMap<String, String>>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    let release = query.get("release");
    let release = release
        .map(|id| id.parse().map_err(|e| HttpError::bad_request(format!("?release=: {e}"))))
        .transpose()?;
    files.digest(&digest, release, &method, &request).await
}

impl Files {
    fn is_owner(&self, request: &HeaderMap) -> bool {
        is_owner(&self.gateway.options, request)
    }
}

/// Content named by digest never changes; content under other names has to be revalidated.
fn cache_control(immutable: bool) -> (header::HeaderName, header::HeaderValue) {
    let value = if immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    (header::CACHE_CONTROL, header::HeaderValue::from_static(value))
}
