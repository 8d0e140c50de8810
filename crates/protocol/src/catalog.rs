//! What the protocol may ask about what this node holds and knows. The caller answers: the node over its store,
//! the simulator from memory.
//!
//! Every method must be quick (memory or a few reads): it is called while an input is handled. Nothing here
//! changes anything; changes are effects.

use perennial_manifest::{
    ArtifactListRef, BlobId, EntryId, Holding, PublisherId, ReleaseId, Selector, Sha256Digest,
    SignedEntry,
};

use crate::input::Follows;
use crate::message::{BlobClaim, Scope};

/// A release of a followed publisher whose bytes are not all here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The release.
    pub release: ReleaseId,
    /// Who signed it.
    pub publisher: PublisherId,
    /// Its artifact list.
    pub artifacts: ArtifactListRef,
}

/// A read-only view of this node's entries and blobs.
pub trait Catalog {
    /// Grows whenever an entry was added. Equal generations promise equal answers of [`Catalog::times`].
    fn generation(&self) -> u64;
    /// Is this entry stored?
    fn has_entry(&self, id: &EntryId) -> bool;
    /// A stored entry.
    fn entry(&self, id: &EntryId) -> Option<SignedEntry>;
    /// `(issued_at, id)` of every stored entry in a scope, in any order.
    fn times(&self, scope: &Scope) -> Vec<(u64, EntryId)>;
    /// How many entries are stored of publishers that are not followed. May be a cached number.
    fn strangers(&self, follows: &Follows) -> u64;
    /// Stored release entries that match, newest first, at most `limit`.
    fn find(
        &self,
        selector: &Selector,
        publisher: Option<&PublisherId>,
        limit: usize,
    ) -> Vec<SignedEntry>;
    /// How much of a release is held here; `None` when it is denied or not known.
    fn holding(&self, release: &ReleaseId) -> Option<Holding>;
    /// Size of a blob whose every byte is held here, unless it is denied.
    fn blob_size(&self, blob: &BlobId) -> Option<u64>;
    /// The held blob with this SHA-256, by this node's own hashing.
    fn sha256(&self, digest: &Sha256Digest) -> Option<BlobClaim>;
    /// Releases of followed publishers that are not held and not denied, ascending by release id, those after
    /// `after` (all when `None`), at most `limit`.
    fn wanted(&self, follows: &Follows, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted>;
}
