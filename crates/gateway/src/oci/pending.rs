//! What was pushed and is not part of a release yet: blobs and manifests of an image whose tag is still to come.
//!
//! Keeps them from being collected, and knows the repositories that were pushed to. In memory: a client that is cut off pushes again what then is missed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perennial_store::{Added, Lease};

use super::digest::Digest;
use super::digest_index::ContentRef;
use super::name::{Named, Repository};

/// How long something waits for its release.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Most that waits at once.
const MOST: usize = 65_536;

/// All that waits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<HashMap<Digest, Waiting>>,
    repositories: Mutex<HashMap<Repository, Instant>>,
}

#[derive(Debug)]
struct Waiting {
    added: Added,
    media_type: String,
    since: Instant,
    _lease: Lease,
}

impl Pending {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Digest, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn repositories(&self) -> MutexGuard<'_, HashMap<Repository, Instant>> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that something was pushed to a repository, which exists from then on.
    pub(crate) fn note(&self, name: Named, now: Instant) {
        let mut repositories = self.repositories();
        repositories.retain(|_, since| now.duration_since(*since) < PATIENCE);
        if repositories.len() < MOST {
            repositories.extend(name.target().map(|repository| (repository, now)));
        }
    }

    /// Whether something was pushed to a repository lately.
    pub(crate) fn is_repository(&self, name: &Named) -> bool {
        name.clone()
            .target()
            .is_some_and(|repository| self.repositories().contains_key(&repository))
    }

    /// Keeps something until a release names it. Where there are too many, the oldest go.
    pub(crate) fn keep(
        &self,
        digest: Digest,
        added: Added,
        media_type: String,
        lease: Lease,
        now: Instant,
    ) {
        let mut waiting = self.waiting();
        waiting.retain(|_, held| now.duration_since(held.since) < PATIENCE);
        if waiting.len() >= MOST
            && let Some(oldest) =
                waiting.iter().min_by_key(|(_, held)| held.since).map(|(digest, _)| *digest)
        {
            waiting.remove(&oldest);
        }
        waiting.insert(digest, Waiting { added, media_type, since: now, _lease: lease });
    }

    /// What a digest names among them.
    pub(crate) fn find(&self, digest: &Digest) -> Option<ContentRef> {
        self.waiting().get(digest).map(|held| ContentRef {
            digest: *digest,
            blob: held.added.blob,
            size: held.added.size,
            media_type: held.media_type.clone(),
            release: None,
        })
    }

    /// Lets go of what a release names now.
    pub(crate) fn release<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        let mut waiting = self.waiting();
        for digest in digests {
            waiting.remove(digest);
        }
    }
}
