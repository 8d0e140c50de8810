//! All releases known to this node, in pages, in the order of `perennial ls`.
//!
//! A page costs only its own rows: the order is kept until new entries arrive.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::header;
use perennial_manifest::ReleaseId;
use perennial_store::{ReleaseFilter, Store, StoreError};
use serde::Serialize;

use crate::document::Document;
use crate::http_error::HttpError;
use crate::rows::{JSON_VERSION, PublicRow, ReleaseRows};

/// Releases per page; a client may ask for fewer.
const PAGE: usize = 1_000;

/// The page that a query requests.
pub(super) struct PageRequest {
    after: Option<ReleaseId>,
    limit: usize,
}

impl PageRequest {
    pub(super) fn read(query: &HashMap<String, String>) -> Result<Self, HttpError> {
        let after = query.get("after").map(|id| {
            id.parse().map_err(|e| {
                HttpError::bad_request(format!(
                    "?after=: {e}; give the `next` of the previous page"
                ))
            })
        });
        let limit = query.get("limit").map(|limit| match limit.parse() {
            Ok(limit @ 1..) => Ok(usize::min(limit, PAGE)),
            _ => Err(HttpError::bad_request(format!(
                "?limit=: {limit:?} is not a number from 1 to {PAGE}"
            ))),
        });
        Ok(Self { after: after.transpose()?, limit: limit.transpose()?.unwrap_or(PAGE) })
    }
}

/// The ids of all releases in order.
pub(super) type Order = Arc<[ReleaseId]>;

#[derive(Serialize)]
struct Page {
    v: u32,
    releases: Vec<PublicRow>,
    /// The `after` parameter of the next page; `None` on the last page.
    next: Option<String>,
}

pub(super) fn order(store: &Store) -> Result<Order, StoreError> {
    Ok(store.releases(&ReleaseFilter::default())?.iter().map(|row| row.release).collect())
}

pub(super) fn page(
    store: &Store,
    order: &[ReleaseId],
    asked: &PageRequest,
) -> Result<Document, HttpError> {
    let from = match asked.after {
        None => 0,
        Some(after) => match order.iter().position(|id| *id == after) {
            Some(at) => at + 1,
            None => {
                return Err(HttpError::bad_request(format!(
                    "?after=: no release {after} is known here; begin again without it"
                )));
            }
        },
    };
    let ids = order.get(from..).unwrap_or_default();
    let (mut releases, mut rows) = (Vec::new(), ReleaseRows::new(store));
    for id in ids.iter().take(asked.limit) {
        let known = match store.release(id) {
            // Denied since the order was made.
            Err(StoreError::Denied(_)) => None,
            known => known?,
        };
        releases.extend(known.map(|known| rows.public(&known)).transpose()?);
    }
    let more = ids.len() > asked.limit;
    let next = ids.get(asked.limit.saturating_sub(1)).filter(|_| more).map(ToString::to_string);
    let link = next
        .as_ref()
        .map(|id| format!("<releases.json?after={id}&limit={}>; rel=\"next\"", asked.limit));
    let text = serde_json::to_vec(&Page { v: JSON_VERSION, releases, next })?;
    let document = Document::new("application/json", text);
    Ok(match link {
        Some(link) => document.with(header::LINK, link),
        None => document,
    })
}
