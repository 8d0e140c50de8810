//! The node as the faces see it: its store, its peers to fetch from, its key to sign with.
//!
//! Promises that all who want one blob at a time share one fetch. Decides nothing about HTTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use perennial_gateway::{Backend, BlobRequest, FetchError, Limits, Options, Tls};
use perennial_manifest::{BlobId, Draft, PublisherId, ReleaseId};
use perennial_protocol::effect::FetchFailure;
use perennial_store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::fetch::{self as keep, fetch_blob, fetch_list};
use crate::archive::publish::{Terms, announce, release, yank};
use crate::archive::signer::Signer;
use crate::config::Http;
use crate::network::handle::Core;

type Fetch = BoxFuture<'static, Result<(), FetchError>>;

/// What the faces get of a node.
pub(crate) struct Faces {
    store: Store,
    core: Core,
    signer: Arc<Signer>,
    /// Fetches that somebody waits for.
    under_way: Mutex<HashMap<BlobRequest, WeakShared<Fetch>>>,
}

/// Faces that are being served.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<()>,
}

/// Why the faces cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("--http {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate or its key is no good.
    #[error(transparent)]
    Tls(#[from] perennial_gateway::TlsError),
    /// The token cannot be read.
    #[error("{}: {reason}", path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Faces {
    pub(crate) fn new(store: Store, core: Core, signer: Arc<Signer>) -> Self {
        Self { store, core, signer, under_way: Mutex::default() }
    }

    /// Serves the faces until `stop`.
    pub(crate) async fn serve(
        self,
        how: &Http,
        stop: CancellationToken,
    ) -> Result<Served, ServeError> {
        let bind = |source| ServeError::Bind { address: how.address, source };
        let tls = how.tls.as_ref().map(|(chain, key)| Tls::load(chain, key)).transpose()?;
        let token = how.token_file.as_deref().map(read_token).transpose()?;
        let listener = TcpListener::bind(how.address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let options =
            Options { token, fetch_budget: Some(how.fetch_budget), hosts: how.names.clone() };
        let router = perennial_gateway::router(Arc::new(self), options);
        let task = tokio::spawn(async move {
            perennial_gateway::serve(listener, tls, router, Limits::default(), stop.cancelled())
                .await;
        });
        Ok(Served { address, task })
    }

    fn shared(&self, wanted: BlobRequest) -> Shared<Fetch> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, fetch| fetch.upgrade().is_some());
        if let Some(fetch) = under_way.get(&wanted).and_then(WeakShared::upgrade) {
            return fetch;
        }
        let (store, core) = (self.store.clone(), self.core.clone());
        let fetch = async move {
            let BlobRequest { release, blob, size } = wanted;
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

    fn fetch(&self, blob: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>> {
        self.shared(blob).boxed()
    }

    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        let (store, core) = (self.store.clone(), self.core.clone());
        async move { fetch_list(&store, &core, release, &|_| {}).await.map(drop).map_err(refused) }
            .boxed()
    }

    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, String>> {
        let (store, core, signer) = (self.store.clone(), self.core.clone(), self.signer.clone());
        // a task of its own: a client that goes away leaves nothing half-announced
        let task = tokio::spawn(async move {
            let task = tokio::task::spawn_blocking(move || {
                release(&store, &signer, draft, Terms::default())
            });
            let (done, signed) =
                task.await.map_err(|e| e.to_string())?.map_err(|failure| failure.message)?;
            announce(&core, signed).await;
            done.release.parse().map_err(|_| format!("{} is no release id", done.release))
        });
        async move { task.await.map_err(|e| e.to_string())? }.boxed()
    }

    fn yank(&self, release: ReleaseId, reason: String) -> BoxFuture<'static, Result<(), String>> {
        let (store, core, signer) = (self.store.clone(), self.core.clone(), self.signer.clone());
        let task = tokio::spawn(async move {
            let task = tokio::task::spawn_blocking(move || yank(&store, &signer, release, reason));
            let signed =
                task.await.map_err(|e| e.to_string())?.map_err(|failure| failure.message)?;
            announce(&core, signed).await;
            Ok(())
        });
        async move { task.await.map_err(|e| e.to_string())? }.boxed()
    }

    fn damaged(&self, blob: BlobId) {
        self.core.damage.found(blob);
    }
}

/// A token is a line of a file that only its owner may read: an argument would be seen by everybody on the machine.
fn read_token(path: &Path) -> Result<String, ServeError> {
    let at = |reason: String| ServeError::Token { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
    let token = text.trim();
    if token.len() < 16 {
        return Err(at(
            "a token has at least 16 characters; make one with `openssl rand -hex 32`".to_owned()
        ));
    }
    Ok(token.to_owned())
}

fn refused(error: keep::FetchError) -> FetchError {
    match error {
        keep::FetchError::Peers(FetchFailure::NoHolder | FetchFailure::Stalled) => {
            FetchError::NoHolder
        }
        other => FetchError::Failed(other.to_string()),
    }
}
