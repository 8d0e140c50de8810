//! The node as the faces see it: its store, its peers to fetch from, its key to sign with.
//!
//! Promises that all who want one blob at a time share one fetch. Decides nothing about HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use perennial_gateway::{Backend, FetchError, Fetched};
use perennial_manifest::{BlobId, Draft, PublisherId, ReleaseId};
use perennial_protocol::effect::FetchFailure;
use perennial_store::Store;

use crate::core::Core;
use crate::keep::{self, fetch_blob, fetch_list};
use crate::releasing::{Terms, announce, release, yank};
use crate::signing::Signer;

type Fetch = BoxFuture<'static, Result<(), FetchError>>;

/// What the faces get of a node.
pub(crate) struct Faces {
    pub(crate) store: Store,
    pub(crate) core: Core,
    pub(crate) signer: Arc<Signer>,
    /// Fetches that somebody waits for.
    pub(crate) under_way: Mutex<HashMap<Fetched, WeakShared<Fetch>>>,
}

impl Faces {
    fn shared(&self, wanted: Fetched) -> Shared<Fetch> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, fetch| fetch.strong_count().is_some_and(|count| count > 0));
        if let Some(fetch) = under_way.get(&wanted).and_then(WeakShared::upgrade) {
            return fetch;
        }
        let (store, core) = (self.store.clone(), self.core.clone());
        let fetch = async move {
            let Fetched { release, blob, size } = wanted;
            fetch_blob(&store, &core, release, blob, size).await.map_err(refused)
        };
        let fetch = fetch.boxed().shared();
        under_way.extend(fetch.downgrade().map(|weak| (wanted, weak)));
        fetch
    }
}

impl Backend for Faces {
    fn store(&self) -> &Store {
        &self.store
    }

    fn publisher(&self) -> PublisherId {
        self.signer.publisher()
    }

    fn fetch(&self, blob: Fetched) -> BoxFuture<'static, Result<(), FetchError>> {
        self.shared(blob).boxed()
    }

    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        let (store, core) = (self.store.clone(), self.core.clone());
        async move { fetch_list(&store, &core, release, &|_| {}).await.map(drop).map_err(refused) }.boxed()
    }

    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, String>> {
        let (store, core, signer) = (self.store.clone(), self.core.clone(), self.signer.clone());
        // a task of its own: a client that goes away leaves nothing half-announced
        let task = tokio::spawn(async move {
            let task = tokio::task::spawn_blocking(move || release(&store, &signer, draft, Terms::default()));
            let (done, signed) = task.await.map_err(|e| e.to_string())?.map_err(|failure| failure.message)?;
            announce(&core, signed).await;
            done.release.parse().map_err(|_| format!("{} is no release id", done.release))
        });
        async move { task.await.map_err(|e| e.to_string())? }.boxed()
    }

    fn yank(&self, release: ReleaseId, reason: String) -> BoxFuture<'static, Result<(), String>> {
        let (store, core, signer) = (self.store.clone(), self.core.clone(), self.signer.clone());
        let task = tokio::spawn(async move {
            let task = tokio::task::spawn_blocking(move || yank(&store, &signer, release, reason));
            let signed = task.await.map_err(|e| e.to_string())?.map_err(|failure| failure.message)?;
            announce(&core, signed).await;
            Ok(())
        });
        async move { task.await.map_err(|e| e.to_string())? }.boxed()
    }

    fn damaged(&self, blob: BlobId) {
        self.core.damage.found(blob);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: keep::FetchError) -> FetchError {
    match error {
        keep::FetchError::Peers(FetchFailure::NoHolder | FetchFailure::Stalled) => FetchError::NoHolder,
        other => FetchError::Failed(other.to_string()),
    }
}
