//! Answers the requests of peers from the catalog alone. Stateless; the caller has checked the
//! limits.

use perennial_manifest::{PublisherId, Selector};

use crate::catalog::Catalog;
use crate::message::{
    Bounded, EntryBytes, MAX_ENTRIES_BYTES, MAX_FOUND, Refusal, Request, Response,
};

/// A request that the catalog alone can answer, on any thread.
#[derive(Debug, Clone)]
pub struct Question(Request);

impl Question {
    /// A request as a question; the request again if it is a round of a reconciliation, which the
    /// node answers itself.
    pub(crate) fn new(request: Request) -> Result<Self, Request> {
        match request {
            Request::Reconcile { .. } => Err(request),
            other => Ok(Self(other)),
        }
    }

    /// The response. May take some milliseconds, and reads the disk.
    #[must_use]
    pub fn answer(&self, catalog: &dyn Catalog) -> Response {
        match &self.0 {
            // `new` makes no question of it.
            Request::Reconcile { .. } => Response::Refused { reason: Refusal::Malformed },
            Request::Entries { ids } => {
                let mut room = MAX_ENTRIES_BYTES;
                let mut entries = Vec::new();
                for entry in ids.iter().filter_map(|id| catalog.entry(id)) {
                    if entry.0.len() > room {
                        break;
                    }
                    room -= entry.0.len();
                    entries.push(entry);
                }
                Response::Entries { entries: Bounded::first_of(entries) }
            }
            Request::Find { selector, publisher, limit } => {
                find(selector, publisher.as_ref(), *limit, catalog)
            }
            Request::Have { releases, blobs } => {
                let releases = releases.iter().map(|release| catalog.holding(release));
                let blobs = blobs.iter().map(|blob| catalog.blob_size(blob));
                Response::Have {
                    releases: Bounded::first_of(releases),
                    blobs: Bounded::first_of(blobs),
                }
            }
            Request::Search { text, limit } => {
                let limit = usize::from(*limit).min(MAX_FOUND);
                found(catalog.search(text, limit), limit)
            }
            Request::ResolveSha256 { digest } => Response::Sha256 { blob: catalog.sha256(digest) },
        }
    }
}

fn find(
    selector: &str,
    publisher: Option<&PublisherId>,
    limit: u16,
    catalog: &dyn Catalog,
) -> Response {
    let Ok(selector) = selector.parse::<Selector>() else {
        return Response::Refused { reason: Refusal::Malformed };
    };
    let limit = usize::from(limit).min(MAX_FOUND);
    found(catalog.find(&selector, publisher, limit), limit)
}

fn found(entries: Vec<EntryBytes>, limit: usize) -> Response {
    Response::Found { entries: Bounded::first_of(entries.into_iter().take(limit)) }
}
