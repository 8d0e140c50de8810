//! The protocol's view of this node's entries and blobs. The caller implements it: the node over
//! its store, the simulator over memory.
//!
//! Every method has to be quick (memory or a few reads), because it is called while an input is
//! handled. The catalog is read-only; changes are effects.

use perennial_manifest::{
    ArtifactListRef, BlobId, EntryId, Holding, PublisherId, ReleaseId, Selector, Sha256Digest,
};

use crate::input::Follows;
use crate::message::{BlobClaim, EntryBytes, Scope};

/// A release of a followed publisher that is not completely held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The id of its entry.
    pub release: ReleaseId,
    /// The publisher that signed it.
    pub publisher: PublisherId,
    /// The artifact list that the release names.
    pub artifacts: ArtifactListRef,
}

/// A read-only view of this node's entries and blobs.
pub trait Catalog {
    /// Increases with every entry added. While it is unchanged, [`Catalog::times`] returns the
    /// same.
    fn generation(&self) -> u64;
    /// Returns whether an entry is stored.
    fn has_entry(&self, id: &EntryId) -> bool;
    /// A stored entry as it was signed. It need not be verified again: who receives it does.
    fn entry(&self, id: &EntryId) -> Option<EntryBytes>;
    /// `(issued_at, id)` of every stored entry in a scope, in any order.
    fn times(&self, scope: &Scope) -> Vec<(u64, EntryId)>;
    /// Whether one more entry of a publisher that is not followed would be stored: all of them have
    /// one share, and each a part of it. Called for every gossip message of such a publisher, so it
    /// should read a counter.
    fn takes(&self, publisher: &PublisherId) -> bool;
    /// Whether this node takes nothing of a publisher, and passes nothing of it on. By default it
    /// denies no publisher.
    fn denies(&self, publisher: &PublisherId) -> bool {
        let _ = publisher;
        false
    }
    /// At most `limit` stored release entries that match, newest first.
    fn find(
        &self,
        selector: &Selector,
        publisher: Option<&PublisherId>,
        limit: usize,
    ) -> Vec<EntryBytes>;
    /// At most `limit` stored release entries in which all words of a text occur: in the name, the
    /// version, the registry, the names of files, or as a digest. Answers nothing by default.
    fn search(&self, text: &str, limit: usize) -> Vec<EntryBytes> {
        let _ = (text, limit);
        Vec::new()
    }
    /// How much of a release this node holds; `None` when it is denied or unknown.
    fn holding(&self, release: &ReleaseId) -> Option<Holding>;
    /// The size in bytes of a blob that is completely held and not denied.
    fn blob_size(&self, blob: &BlobId) -> Option<u64>;
    /// The held blob with this SHA-256, as computed by this node.
    fn sha256(&self, digest: &Sha256Digest) -> Option<BlobClaim>;
    /// At most `limit` releases of followed publishers that are neither held nor denied, ascending
    /// by release id, starting after `after`.
    fn wanted(&self, follows: &Follows, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted>;
    /// Of those, the releases of publishers that are followed by name, where all are followed. By
    /// default none.
    fn wanted_first(&self, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        let _ = (after, limit);
        Vec::new()
    }
}
