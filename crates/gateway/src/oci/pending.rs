//! Pushed content that no release lists yet: blobs and manifests of images whose tag has not been
//! pushed.
//!
//! Protects them from garbage collection, and remembers those that were deleted before a release
//! listed them. Kept only in memory: after a restart, clients push again whatever is missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_oci::{Digest, Repository};
use perennial_store::{Added, Lease};

use super::digest_index::ContentRef;
use crate::bounded::Bounded;

/// How long content is kept without a release.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Blobs pending, and manifests deleted, at once, at most.
const MOST: usize = 65_536;

/// Everything that waits for a release. When full, the oldest content is dropped first.
#[derive(Debug)]
pub(crate) struct Pending {
    content: Bounded<Digest, Arc<Waiting>>,
    deleted: Bounded<(Repository, Digest), ()>,
}

#[derive(Debug)]
struct Waiting {
    added: Added,
    media_type: String,
    _lease: Lease,
}

impl Default for Pending {
    fn default() -> Self {
        Self { content: Bounded::new(MOST).with_max_age(PATIENCE), deleted: Bounded::new(MOST) }
    }
}

impl Pending {
    /// Records that a manifest was deleted from a repository. Its bytes stay: another repository
    /// may have been pushed to as well.
    pub(crate) fn delete(&self, repository: Repository, digest: Digest, now: Instant) {
        self.deleted.insert((repository, digest), (), 1, now);
    }

    /// Records that a manifest is in a repository, again if it was deleted.
    pub(crate) fn restore(&self, repository: &Repository, digest: &Digest) {
        self.deleted.remove(&(repository.clone(), *digest));
    }

    /// Returns whether a manifest was deleted from a repository, and not pushed again.
    pub(crate) fn is_deleted(&self, repository: &Repository, digest: &Digest) -> bool {
        self.deleted.contains(&(repository.clone(), *digest))
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
            vouched: true,
        })
    }

    /// Drops content that a release now lists.
    pub(crate) fn release<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        digests.for_each(|digest| self.content.remove(digest));
    }
}
