//! The operations of a node on its archive, each implemented once.
//!
//! [`Archive`] joins the three parts that every operation needs: the store (bytes and catalog), the
//! network (peers to ask and to tell) and the signer (this node's publisher key). It owns the order
//! of their steps: bytes are durable before a release is signed, and a release is stored before
//! peers learn of it. The frontends translate between this type and their clients; nothing here
//! knows HTTP or the control socket.
//!
//! All callers can rely on two promises. An operation that signs runs in a task of its own, so that
//! it is either complete or not begun when its client disconnects. Concurrent callers that want the
//! same bytes share one fetch.

mod add;
mod asking;
mod audit;
mod chart;
mod collect;
mod deny;
mod error;
mod export;
mod fetch;
mod image;
mod import;
mod in_place;
mod maintenance;
mod media;
mod observer;
mod own_feed;
mod policy;
mod publish;
mod repair;
mod resolve;
mod rotation;
mod search;
mod signer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use perennial_manifest::PublisherId;
use perennial_store::Store;
use tokio_util::task::TaskTracker;

use crate::disk::{Disk, DiskError};
use crate::network::handle::Network;

pub use add::Offender;
pub(crate) use asking::PeersAnswer;
pub(crate) use audit::{Audited, Finding, Found};
pub use error::ArchiveError;
pub use export::ExportError;
pub use fetch::{FetchError, FetchedRelease};
pub use image::{Image, ImageError};
pub use maintenance::{Rebuilt, Verified};
pub use observer::Observer;
pub use publish::PublishOptions;
pub(crate) use resolve::Meaning;
pub use resolve::{Claim, FetchedBlob, Unresolved};
pub(crate) use search::FoundReleases;
pub use signer::SignError;

pub use crate::network::overview::Unreached;

pub(crate) use fetch::keep;
pub(crate) use in_place::loss_text;
pub(crate) use own_feed::note_key;
pub(crate) use policy::protocol_follows;
pub(crate) use repair::held;
pub(crate) use signer::Signer;

/// A node's archive. Clones share all state.
#[derive(Clone)]
pub struct Archive {
    store: Store,
    network: Network,
    signer: Arc<Signer>,
    fetches: Arc<fetch::Flights>,
    disk: Arc<Disk>,
    /// Tasks that outlive the caller that started them; [`Node::shutdown`](crate::Node::shutdown)
    /// waits for them.
    tasks: TaskTracker,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive of {}", self.publisher())
    }
}

impl Archive {
    pub(crate) fn new(store: Store, network: Network, signer: Signer, tasks: TaskTracker) -> Self {
        let (signer, fetches, disk) = (Arc::new(signer), Arc::default(), Arc::default());
        Self { store, network, signer, fetches, disk, tasks }
    }

    /// The store, with the bytes and the catalog, for reading. Its methods block.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The publisher whose key this node signs with. Names resolve through it as if it were
    /// followed.
    #[must_use]
    pub fn publisher(&self) -> PublisherId {
        self.signer.publisher()
    }

    /// Whether the data directory is there and its disk answers.
    ///
    /// # Errors
    /// [`DiskError`]: nothing that the catalog calls held can be read then.
    pub async fn check_disk(&self) -> Result<(), DiskError> {
        self.disk.ask(&self.store).await
    }

    /// Resolves once the disk is lost.
    pub(crate) async fn disk_lost(&self) -> DiskError {
        self.disk.lost(&self.store).await
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Runs `work` on a blocking thread, which may wait for the disk.
    pub(crate) async fn blocking<T, E>(
        &self,
        work: impl FnOnce(&Archive) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        E: Into<ArchiveError> + Send + 'static,
    {
        let archive = self.clone();
        self.tasks.spawn_blocking(move || work(&archive)).await?.map_err(Into::into)
    }
}
