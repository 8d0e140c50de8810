//! All releases known to this node, in pages, in the order of `perennial ls`.
//!
//! A page costs only its own rows: it begins in the index where the one before ended.

use std::collections::HashMap;

use axum::http::header;
use perennial_manifest::ReleaseId;
use perennial_store::Store;
use serde::Serialize;

use crate::document::Document;
use crate::http_error::HttpError;
use crate::rows::{JSON_VERSION, PublicRow, ReleaseRows};

/// Releases per page; a client may ask for fewer. A hundred take some milliseconds, because each
/// statement is read.
const PAGE: usize = 100;

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

#[derive(Serialize)]
struct Page {
    v: u32,
    releases: Vec<PublicRow>,
    /// The `after` parameter of the next page; `None` on the last page.
    next: Option<String>,
}

pub(super) fn page(store: &Store, asked: &PageRequest) -> Result<Document, HttpError> {
    // One more, which tells whether there is a next page.
    let Some(mut known) = store.releases_after(asked.after.as_ref(), asked.limit + 1)? else {
        let after = asked.after.map(|after| format!(" {after}")).unwrap_or_default();
        return Err(HttpError::bad_request(format!(
            "?after=: no release{after} is known here; begin again without it"
        )));
    };
    let more = known.len() > asked.limit;
    known.truncate(asked.limit);
    let mut rows = ReleaseRows::new(store);
    let releases = known.iter().map(|row| rows.public(row)).collect::<Result<Vec<_>, _>>()?;
    let next = known.last().filter(|_| more).map(|row| row.release.to_string());
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
