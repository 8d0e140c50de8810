//! New and known releases: an Atom feed for people, JSON pages for scripts.
//!
//! The feed is recomputed only after entries of trusted publishers have arrived, or follows or what
//! is denied have changed.

mod atom;
mod pages;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, FixedOffset};
use perennial_manifest::PublisherId;

use crate::blocking::blocking;
use crate::document::Document;
use crate::gateway::Gateway;
use crate::host;
use crate::http_error::HttpError;
use crate::memo::{self, Age, Memo};

/// The state shared by the handlers of these paths.
#[derive(Clone)]
struct Feed {
    gateway: Gateway,
    /// By this node's own publisher.
    atom: Arc<Memo<PublisherId, Document>>,
}

/// The routes of new and known releases.
pub(crate) fn routes(gateway: &Gateway) -> Router {
    let atom = Arc::new(Memo::of_entries().concerning(memo::trusted));
    let feed = Feed { gateway: gateway.clone(), atom };
    Router::new()
        .route("/feed.atom", get(new_releases))
        .route("/releases.json", get(known))
        .with_state(feed)
}

async fn new_releases(
    Shared(feed): Shared<Feed>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    let own = feed.gateway.backend.publisher();
    let store = feed.gateway.backend.store();
    let document = feed.atom.get(own, Age::Generation, store, move |(), store, follows| {
        Ok::<_, HttpError>(atom::feed(store, &own, follows)?)
    });
    let document: Document = document.await?;
    Ok(document.answer(&method, &request))
}

async fn known(
    Shared(feed): Shared<Feed>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    host::check(&feed.gateway.options.hosts, &request, uri.authority())?;
    let asked = pages::PageRequest::read(&query)?;
    let store = feed.gateway.backend.store().clone();
    let page = blocking(move || pages::page(&store, &asked)).await?;
    Ok(page.answer(&method, &request))
}

/// Converts a publisher's timestamp, which may be any number; one beyond the calendar becomes 1970.
pub(crate) fn date(seconds: u64) -> DateTime<FixedOffset> {
    // The formats have no dates after the year 9999.
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds < 253_402_300_800);
    seconds
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or_default()
        .fixed_offset()
}
