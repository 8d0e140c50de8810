//! The interface between the frontends and the node around them.

use std::error::Error;
use std::future::ready;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use perennial_manifest::{BlobId, Draft, PublisherId, ReleaseId, Selector};
use perennial_store::Store;

/// The node, as seen by the frontends.
pub trait Backend: Send + Sync + 'static {
    /// The store that holds the node's bytes and catalog.
    fn store(&self) -> &Store;

    /// Whether the node can read what it holds. By default it always can.
    ///
    /// # Errors
    ///
    /// [`HealthError`] says why not.
    fn health(&self) -> BoxFuture<'static, Result<(), HealthError>> {
        ready(Ok(())).boxed()
    }

    /// The publisher whose key this node signs with, trusted for names.
    fn publisher(&self) -> PublisherId;

    /// Fetches a blob from the swarm and resolves once it is held. Concurrent requests for one blob
    /// share one fetch. Dropping the future cancels the fetch, unless other requests wait for it.
    ///
    /// # Errors
    ///
    /// [`FetchError::NoHolder`] if no reachable peer has the blob, [`FetchError::Failed`] if this
    /// node could not fetch or store it.
    fn fetch(&self, blob: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>>;

    /// Fetches the artifact list of a release.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>>;

    /// Asks connected peers about a name, a release id or a digest that this node does not know,
    /// and takes the statements that they send into the store, where trust decides what they are
    /// worth. By default no peer is there to ask.
    fn ask(&self, selector: Selector, publisher: Option<PublisherId>) -> BoxFuture<'static, Told> {
        let _ = (selector, publisher);
        ready(Told::default()).boxed()
    }

    /// Signs and announces a release whose blobs are in the store. The release is durable once the
    /// future resolves; dropping the future does not interrupt it.
    ///
    /// # Errors
    ///
    /// [`SignError`] if nothing was signed.
    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>>;

    /// Signs that one of this node's own releases is yanked: its names no longer resolve to it, but
    /// its bytes stay. `references` say what else was withdrawn with it, for programs.
    ///
    /// # Errors
    ///
    /// [`SignError`] if nothing was signed.
    fn yank(
        &self,
        release: ReleaseId,
        reason: String,
        references: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>>;
}

/// What peers told about a selector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The releases that it names, or that have a file with the digest, as peers say. All of them
    /// are in the store now.
    pub releases: Vec<ReleaseId>,
    /// The length of the blob that it names, as most peers say that hold it.
    pub size: Option<u64>,
}

/// Why a node cannot read what it holds.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HealthError(Box<dyn Error + Send + Sync>);

impl HealthError {
    /// Wraps the node's own error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// A blob to fetch from the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobRequest {
    /// A release that lists the blob; its holders are asked. Without one, all peers are.
    pub release: Option<ReleaseId>,
    /// The blob's BLAKE3 id.
    pub blob: BlobId,
    /// The blob's length in bytes, as the list, or else a peer, claims.
    pub size: u64,
}

/// Why a blob was not fetched.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No reachable peer holds the blob.
    #[error("no reachable peer holds these bytes")]
    NoHolder,
    /// This node has no room for the blob.
    #[error("this node has no room for these bytes")]
    NoRoom,
    /// This node failed: a disk that does not answer, for example.
    #[error(transparent)]
    Failed(Arc<dyn Error + Send + Sync>),
}

impl FetchError {
    /// Wraps a failure of this node.
    pub fn failed(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed(Arc::new(source))
    }
}

/// Why a statement was not signed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SignError(Box<dyn Error + Send + Sync>);

impl SignError {
    /// Wraps the node's own error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
