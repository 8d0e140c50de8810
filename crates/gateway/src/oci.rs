//! The registry frontend: the OCI distribution API 1.1, for docker, podman, containerd, skopeo,
//! Helm and similar clients.
//!
//! Owns the meaning of the paths below `/v2/`. Reading needs no token and changes nothing. Pushing
//! and deleting need the node's token, and a push results in a release that the node signs. Tags
//! mean what signed releases say ([`policy`]); bytes come from the store or the swarm, never from
//! another registry.
//!
//! Five modules hold what is known: [`image_catalog`] the tags in signed releases, [`digest_index`]
//! which releases list a digest, [`snapshot`] both at one moment, [`pending`] pushed content
//! without a release, [`cosign`] the tags that an image brings along.

mod accept;
mod auth;
mod closure;
mod cosign;
mod delete;
mod digest_index;
mod error;
mod image_catalog;
mod listing;
mod name;
mod pending;
mod policy;
mod publish;
mod pull;
mod push;
mod referrers;
mod snapshot;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::Semaphore;

use crate::gateway::Gateway;
use crate::host;
use error::OciError;
use name::Named;
use pending::Pending;
use pull::RegistryRequest;
use referrers::Subjects;
use snapshot::Snapshots;
use upload::Uploads;

const API_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("docker-distribution-api-version"),
    HeaderValue::from_static("registry/2.0"),
);

/// The registry frontend: the state shared by all frontends, and its own state between requests.
#[derive(Clone)]
pub(crate) struct Registry {
    gateway: Gateway,
    snapshots: Arc<Snapshots>,
    subjects: Arc<Subjects>,
    /// One permit, for queries that may read many lists or manifests.
    searching: Arc<Semaphore>,
    pending: Arc<Pending>,
    uploads: Arc<Uploads>,
}

/// The routes of the registry.
pub(crate) fn routes(gateway: Gateway) -> Router {
    let uploads = Uploads::new(gateway.backend.store().incoming_room());
    let registry = Registry {
        gateway,
        snapshots: Arc::new(Snapshots::of_entries()),
        subjects: Arc::default(),
        searching: Arc::new(Semaphore::new(1)),
        pending: Arc::default(),
        uploads: Arc::new(uploads),
    };
    Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(answer))
        .route("/v2/{*rest}", any(answer))
        .route(auth::PATH, get(auth::exchange))
        .route("/containerd/hosts.toml", get(hosts_toml))
        .with_state(registry)
}

/// The methods of read-only resources.
const READS: &str = "GET, HEAD";

type Parameters = HashMap<String, String>;

async fn answer(State(registry): State<Registry>, request: Request) -> Response {
    let mut response = registry.route(request).await.unwrap_or_else(IntoResponse::into_response);
    let (name, value) = API_VERSION;
    response.headers_mut().insert(name, value);
    response
}

/// The API's base path ends in a slash; the redirect matches the reference registry's.
async fn base() -> Response {
    let (kind, place) =
        ((header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::LOCATION, "/v2/"));
    let body = "<a href=\"/v2/\">Moved Permanently</a>.\n\n";
    (StatusCode::MOVED_PERMANENTLY, [API_VERSION], [kind, place], body).into_response()
}

/// containerd's `_default/hosts.toml`, with this node as the mirror of every registry, at the
/// address that the client used.
async fn hosts_toml(State(registry): State<Registry>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let Some(origin) = host::origin(&registry.gateway.options.hosts, &request) else {
        let message = "the Host header names no host that could stand in hosts.toml\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    let text = format!("[host.\"{origin}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    ([(header::CONTENT_TYPE, "application/toml")], text).into_response()
}

/// The resource that a path below `/v2/<name>/` names.
enum About<'a> {
    Manifest(&'a str),
    Blob(&'a str),
    Uploads,
    Upload(&'a str),
    Tags,
    Referrers(&'a str),
}

impl About<'_> {
    /// The methods that the resource supports.
    fn methods(&self) -> &'static str {
        match self {
            // An archive deletes nothing: blobs cannot be deleted.
            Self::Blob(_) | Self::Tags | Self::Referrers(_) => READS,
            Self::Manifest(_) => "GET, HEAD, PUT, DELETE",
            Self::Uploads => "POST",
            Self::Upload(_) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }
}

/// The response to an unsupported method, and to OPTIONS, which asks for the supported ones.
fn other(known: &str, method: &Method) -> Option<Result<Response, OciError>> {
    let allow = (header::ALLOW, known.to_owned());
    if known.split(", ").any(|known| known == method.as_str()) {
        None
    } else if *method == Method::OPTIONS {
        Some(Ok(push::with(StatusCode::OK, vec![allow])))
    } else {
        let message = format!("{method} is not supported here: use {known}");
        let error = OciError::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message);
        Some(Err(error.and(vec![allow])))
    }
}

/// Splits a path from its end, because names contain slashes.
fn about(path: &str) -> Option<(&str, About<'_>)> {
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some((name, About::Tags));
    }
    if let Some(name) =
        path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads"))
    {
        return Some((name, About::Uploads));
    }
    let (above, last) = path.rsplit_once('/')?;
    if let Some(name) = above.strip_suffix("/blobs/uploads") {
        return Some((name, About::Upload(last)));
    }
    let (name, kind) = above.rsplit_once('/')?;
    match kind {
        _ if last.is_empty() => None,
        "manifests" => Some((name, About::Manifest(last))),
        "blobs" => Some((name, About::Blob(last))),
        "referrers" => Some((name, About::Referrers(last))),
        _ => None,
    }
}

impl Registry {
    async fn route(&self, request: Request) -> Result<Response, OciError> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let pairs = pairs.map(|query| query.0).map_err(|_| {
            OciError::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "the query cannot be parsed")
        })?;
        let query: Parameters = pairs.iter().cloned().collect();
        let (parts, body) = request.into_parts();
        let options = &self.gateway.options;
        let owner = crate::access::is_owner(options, &parts.headers);
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let whole = parts.uri.path();
        let path = whole.strip_prefix("/v2").unwrap_or_default().trim_start_matches('/');
        if matches!(path, "" | "_catalog") {
            return match other(READS, &parts.method) {
                Some(answer) => answer,
                None if path.is_empty() => Ok(auth::ping(options, &parts)),
                None => self.catalog(&query).await,
            };
        }
        let (name, about) = about(path).ok_or_else(|| {
            OciError::new(
                StatusCode::NOT_FOUND,
                "UNSUPPORTED",
                "no such path in the distribution API",
            )
        })?;
        if let Some(answer) = other(about.methods(), &parts.method) {
            return answer;
        }
        let ns = query.get("ns").map(String::as_str);
        let asked =
            RegistryRequest { method: &parts.method, headers: &parts.headers, owner, name, ns };
        let name = Named::parse(name, ns).ok_or_else(OciError::name)?;
        // Some clients escape the colon of a digest.
        let plain = |text: &str| text.replace("%3A", ":").replace("%3a", ":");
        match about {
            About::Manifest(reference) if reads => {
                self.manifest(&asked, &name, &plain(reference)).await
            }
            About::Blob(digest) => self.blob(&asked, &name, &plain(digest)).await,
            About::Tags => self.tags(&name, whole, &query).await,
            About::Referrers(digest) => {
                let kind = query.get("artifactType").map(String::as_str);
                self.referrers(&name, &plain(digest), kind).await
            }
            _ if !owner => Ok(auth::refuse(options, &parts)),
            About::Manifest(reference) => {
                self.change_manifest(&asked, &name, &plain(reference), &pairs, body).await
            }
            About::Uploads => self.begin_upload(&asked, name, &query, body).await,
            About::Upload(id) => self.go_on(&asked, name, id, &query, body).await,
        }
    }
}
