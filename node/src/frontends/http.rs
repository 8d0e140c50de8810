//! The HTTP frontend: implements `perennial_gateway`'s backend on the archive, and only translates.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
pub(crate) use perennial_gateway::TRUSTS_NONE;
use perennial_gateway::{
    Backend, BlobRequest, HealthError, Limits, Options, Router, SignError, Tls, TlsError, Token,
    TokenError, Told,
};
pub use perennial_gateway::{HostName, HostNameError};
use perennial_manifest::{Draft, PublisherId, ReleaseId, Selector};
use perennial_protocol::FetchFailure;
use perennial_store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, FetchError, PeersAnswer, PublishOptions};
use crate::config::Http;
use crate::descriptors;

/// Bytes on disk of what was fetched for anonymous requests with `--fetch-untrusted`.
const UNTRUSTED: u64 = 10 << 30;

/// A running HTTP frontend.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<()>,
}

/// Why HTTP could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is in use, or does not belong to this machine.
    #[error("HTTP cannot be served on {address}: {}", bind_text(.source))]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Why an address cannot be listened on, in words that say what is there.
fn bind_text(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "the port is taken: another program listens there".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        ErrorKind::PermissionDenied => "ports below 1024 are for root".to_owned(),
        _ => error.to_string(),
    }
}

/// Serves the archive over HTTP until `stop`.
pub(crate) async fn serve(
    archive: Archive,
    http: &Http,
    stop: CancellationToken,
) -> Result<Served, ServeError> {
    let token = http.token_file.as_deref().map(Token::in_file).transpose()?;
    let options = Options {
        token,
        fetch_budget: Some(http.fetch_budget),
        only_trusted: !http.fetch_untrusted,
        untrusted_share: Some(UNTRUSTED),
        // As many as leave most connections to those who ask for what is held.
        waits: Some(connections() * 3 / 8),
        hosts: http.names.clone(),
    };
    listen(perennial_gateway::router(Arc::new(archive), options), http, stop).await
}

/// Answers every request with 503 and the reason until `stop`.
pub(crate) async fn serve_reason(
    reason: &str,
    http: &Http,
    stop: CancellationToken,
) -> Result<Served, ServeError> {
    listen(perennial_gateway::unavailable(reason), http, stop).await
}

/// Concurrent HTTP connections, at most.
fn connections() -> usize {
    descriptors::http_connections(descriptors::raise(), Limits::default().connections)
}

async fn listen(
    router: Router,
    http: &Http,
    stop: CancellationToken,
) -> Result<Served, ServeError> {
    let bind = |source| ServeError::Bind { address: http.address, source };
    let tls = http.tls.as_ref().map(|(chain, key)| Tls::load(chain, key)).transpose()?;
    let listener = TcpListener::bind(http.address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let task = tokio::spawn(async move {
        let limits = Limits { connections: connections(), ..Limits::default() };
        perennial_gateway::serve(listener, tls, router, limits, stop.cancelled()).await;
    });
    Ok(Served { address, task })
}

impl Backend for Archive {
    fn store(&self) -> &Store {
        Archive::store(self)
    }

    fn health(&self) -> BoxFuture<'static, Result<(), HealthError>> {
        let archive = self.clone();
        async move { archive.check_disk().await.map_err(HealthError::new) }.boxed()
    }

    fn publisher(&self) -> PublisherId {
        Archive::publisher(self)
    }

    fn fetch(
        &self,
        wanted: BlobRequest,
    ) -> BoxFuture<'static, Result<(), perennial_gateway::FetchError>> {
        let (archive, BlobRequest { release, blob, size }) = (self.clone(), wanted);
        async move { archive.fetch_blob(release, blob, size).await.map_err(not_fetched) }.boxed()
    }

    fn fetch_list(
        &self,
        release: ReleaseId,
    ) -> BoxFuture<'static, Result<(), perennial_gateway::FetchError>> {
        let archive = self.clone();
        async move { Archive::fetch_list(&archive, release).await.map_err(not_fetched) }.boxed()
    }

    fn ask(&self, selector: Selector, publisher: Option<PublisherId>) -> BoxFuture<'static, Told> {
        let archive = self.clone();
        async move {
            let answer = archive.ask_peers(selector, publisher).await;
            let PeersAnswer { releases, size } = answer.unwrap_or_else(|error| {
                tracing::warn!(%error, "could not take in what peers know");
                PeersAnswer::default()
            });
            Told { releases, size }
        }
        .boxed()
    }

    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>> {
        let archive = self.clone();
        async move {
            let published = archive.publish(draft, PublishOptions::default()).await;
            published.map(|published| published.release).map_err(SignError::new)
        }
        .boxed()
    }

    fn yank(
        &self,
        release: ReleaseId,
        reason: String,
        references: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>> {
        let archive = self.clone();
        async move {
            let yanked = Archive::yank(&archive, release, reason, references).await;
            yanked.map_err(SignError::new)
        }
        .boxed()
    }
}

fn not_fetched(error: FetchError) -> perennial_gateway::FetchError {
    match error {
        FetchError::Unreached(_)
        | FetchError::Alone
        | FetchError::LostInPlace { .. }
        | FetchError::Peers(FetchFailure::NoHolder | FetchFailure::Stalled) => {
            perennial_gateway::FetchError::NoHolder
        }
        // There are no bytes to be had of a release whose list does not fit it.
        FetchError::Store(error) if matches!(*error, StoreError::InvalidList { .. }) => {
            perennial_gateway::FetchError::NoHolder
        }
        FetchError::Store(error) if error.is_full() => perennial_gateway::FetchError::NoRoom,
        other => perennial_gateway::FetchError::failed(other),
    }
}
