//! What the faces need of the node around them.

use futures::future::BoxFuture;
use perennial_manifest::{BlobId, Draft, PublisherId, ReleaseId};
use perennial_store::Store;

/// The node, as the faces see it.
pub trait Backend: Send + Sync + 'static {
    /// Where the bytes and the catalog are.
    fn store(&self) -> &Store;

    /// The publisher whose key this node signs with; it trusts itself for names.
    fn publisher(&self) -> PublisherId;

    /// Brings a blob here from the swarm; ends when it is held. Those who want one blob at a time share one fetch. Dropping
    /// the future gives up, unless others wait as well.
    fn fetch(&self, blob: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>>;

    /// Brings the artifact list of a release here.
    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>>;

    /// Signs and announces a release whose blobs are in the store; it lasts once this ended.
    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, String>>;

    /// Signs that a release of ours is yanked: its names mean it no longer, its bytes stay.
    fn yank(&self, release: ReleaseId, reason: String) -> BoxFuture<'static, Result<(), String>>;

    /// Is told of a blob that turned out damaged, so that it is fetched again.
    fn damaged(&self, blob: BlobId);
}

/// A blob that is wanted from the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobRequest {
    /// A release that names it: who holds the release is asked.
    pub release: ReleaseId,
    /// Its name.
    pub blob: BlobId,
    /// Its length in bytes, as the list says.
    pub size: u64,
}

/// Why a blob did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody who can be reached holds it.
    #[error("nobody who can be reached holds it")]
    NoHolder,
    /// Something failed here.
    #[error("{0}")]
    Failed(String),
}
