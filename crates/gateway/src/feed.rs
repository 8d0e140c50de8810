//! What is new, and what is known: an Atom feed for people, JSON in pages for scripts.
//!
//! Promises that a document is made again only when entries came or follows changed.

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

use crate::content::run;
use crate::document::Document;
use crate::gateway::Gateway;
use crate::host;
use crate::http_error::HttpError;
use crate::memo::Memo;

/// What the paths here work with.
#[derive(Clone)]
struct Feed {
    gateway: Gateway,
    atom: Arc<Memo<(), Document>>,
    /// The ids of all releases in the order of the pages.
    order: Arc<Memo<(), pages::Order>>,
}

/// The routes of what is new and known.
pub(crate) fn routes(gateway: &Gateway) -> Router {
    let (atom, order) = (Arc::new(Memo::of_entries()), Arc::new(Memo::of_entries()));
    let feed = Feed { gateway: gateway.clone(), atom, order };
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
    let document = feed.atom.get((), store, move |store, follows| atom::feed(store, &own, follows));
    Ok(document.await.map_err(|e| HttpError::internal(&e))?.answer(&method, &request))
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
    let store = feed.gateway.backend.store();
    let order = feed.order.get((), store, |store, _| pages::order(store)).await;
    let (store, order) = (store.clone(), order.map_err(|e| HttpError::internal(&e))?);
    let page = run(move || pages::page(&store, &order, &asked));
    Ok(page.await.map_err(|e| HttpError::internal(&e))??.answer(&method, &request))
}

/// What a publisher's clock said. It may say anything; what is no date is the first one.
pub(crate) fn date(seconds: u64) -> DateTime<FixedOffset> {
    // after the year 9999 the formats have none
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds < 253_402_300_800);
    seconds
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or_default()
        .fixed_offset()
}
