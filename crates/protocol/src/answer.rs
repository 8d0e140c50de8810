//! Answers the requests of peers from the catalog alone. Stateless; the caller has checked the
//! limits.

use perennial_manifest::{PublisherId, Selector};

use crate::catalog::Catalog;
use crate::message::{
    Bounded, EntryBytes, MAX_ENTRIES_BYTES, MAX_FOUND, Refusal, Request, Response,
};
use crate::sync::Reconciler;
use crate::time::Time;

/// The response to a request.
pub(crate) fn answer(
    now: Time,
    request: &Request,
    sync: &mut Reconciler,
    catalog: &dyn Catalog,
) -> Response {
    match request {
        Request::Reconcile { scope, message } => sync.answer(now, scope, message, catalog),
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
        Request::Have { releases, blobs } => Response::Have {
            releases: Bounded::first_of(releases.iter().map(|release| catalog.holding(release))),
            blobs: Bounded::first_of(blobs.iter().map(|blob| catalog.blob_size(blob))),
        },
        Request::Search { text, limit } => {
            let limit = usize::from(*limit).min(MAX_FOUND);
            found(catalog.search(text, limit), limit)
        }
        Request::ResolveSha256 { digest } => Response::Sha256 { blob: catalog.sha256(digest) },
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
