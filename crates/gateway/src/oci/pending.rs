//! Pushed content that no release lists yet: blobs and manifests of images whose tag has not been
//! pushed.
//!
//! Protects them from garbage collection, and remembers the repositories that were pushed to. Kept
//! only in memory: after a restart, clients push again whatever is missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_oci::{Digest, Repository};
use perennial_store::{Added, Lease};

use super::digest_index::ContentRef;
use super::name::Named;
use crate::bounded::Bounded;

/// How long content is kept without a release.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Blobs, and repositories, pending at once, at most.
const MOST: usize = 65_536;

/// Everything that waits for a release. When full, the oldest content is dropped first.
#[derive(Debug)]
pub(crate) struct Pending {
    content: Bounded<Digest, Arc<Waiting>>,
    repositories: Bounded<Repository, ()>,
}

#[derive(Debug)]
struct Waiting {
    added: Added,
    media_type: String,
    _lease: Lease,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            content: Bounded::new(MOST).with_max_age(PATIENCE),
            repositories: Bounded::new(MOST).with_max_age(PATIENCE),
        }
    }
}

impl Pending {
    /// Records a push to a repository, which exists from then on.
    pub(crate) fn note(&self, name: Named, now: Instant) {
        if let Some(repository) = name.target() {
            self.repositories.insert(repository, (), 1, now);
        }
    }

    /// Returns whether a repository was pushed to recently.
    pub(crate) fn is_repository(&self, name: &Named) -> bool {
        let target = name.clone().target();
        target.is_some_and(|repository| self.repositories.contains(&repository))
    }

    /// Keeps content until a release lists it.
    pub(crate) fn keep(
        &self,
        digest: Digest,
        added: Added,
        media_type: String,
        lease: Lease,
        now: Instant,
    ) {
        let waiting = Arc::new(Waiting { added, media_type, _lease: lease });
        self.content.insert(digest, waiting, 1, now);
    }

    /// The pending content that a digest names.
    pub(crate) fn find(&self, digest: &Digest) -> Option<ContentRef> {
        self.content.get(digest).map(|waiting| ContentRef {
            digest: *digest,
            blob: waiting.added.blob,
            size: waiting.added.size,
            media_type: waiting.media_type.clone(),
            release: None,
        })
    }

    /// Drops content that a release now lists.
    pub(crate) fn release<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        digests.for_each(|digest| self.content.remove(digest));
    }
}
