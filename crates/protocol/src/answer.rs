//! Answers the requests of peers from the catalog alone. Stateless; the caller has checked the
//! limits.

use perennial_manifest::{PublisherId, Selector};

use crate::catalog::Catalog;
use crate::message::{
    Bounded, EntryBytes, MAX_ENTRIES_BYTES, MAX_FOUND, Refusal, Request, Response, Scope,
};
use crate::sync::set::{self, Sealed, Set};

/// A request that the catalog alone can answer, on any thread.
#[derive(Clone)]
pub struct Question {
    request: Request,
    /// The entries to compare with the peer's, if they are at hand.
    set: Option<Set>,
}

/// The response to a question, and the set of entries that was made for it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The response to the peer.
    pub response: Response,
    /// For [`Input::Answered`](crate::Input::Answered).
    pub sealed: Option<Sealed>,
}

impl Question {
    pub(crate) const fn new(request: Request) -> Self {
        Self { request, set: None }
    }

    /// The scope whose entries are compared with the peer's.
    pub(crate) const fn scope(&self) -> Option<&Scope> {
        match &self.request {
            Request::Reconcile { scope, .. } => Some(scope),
            _ => None,
        }
    }

    /// Adds the entries of its scope, if they are at hand.
    pub(crate) fn with_set(self, set: Option<Set>) -> Self {
        Self { set, ..self }
    }

    /// Answers it. Takes some milliseconds, and reads the disk: all entries of a scope for the
    /// first round of a reconciliation.
    #[must_use]
    pub fn answer(self, catalog: &dyn Catalog) -> Answer {
        if let Request::Reconcile { scope, message } = self.request {
            return reconcile(scope, &message, self.set, catalog);
        }
        Answer { response: respond(&self.request, catalog), sealed: None }
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({:?})", self.request)
    }
}

/// One round as the responder.
fn reconcile(scope: Scope, message: &[u8], set: Option<Set>, catalog: &dyn Catalog) -> Answer {
    let malformed = Response::Refused { reason: Refusal::Malformed };
    if !scope.is_sorted() {
        return Answer { response: malformed, sealed: None };
    }
    let (set, sealed) = match set {
        Some(set) => (set, None),
        None => {
            let sealed = Sealed::new(scope, catalog);
            (Set::clone(sealed.set()), Some(sealed))
        }
    };
    let response =
        set::answer(&set, message).map_or(malformed, |message| Response::Reconcile { message });
    Answer { response, sealed }
}

fn respond(request: &Request, catalog: &dyn Catalog) -> Response {
    match request {
        // Answered by `reconcile`.
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
