//! Translates requests of the control socket: request → method of the archive → rows and one
//! result.
//!
//! One file per group of requests: `control/add`, `control/deny`, `control/get`, `control/list`,
//! `control/show`, `control/policy`.

mod add;
mod deny;
mod feed_notices;
mod get;
mod list;
mod policy;
mod show;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use perennial_control::BindError;
use perennial_control::{
    Add, ArtifactRow, Audit, AuditDone, AuditRow, Connect, ConnectDone, CorruptRow, Denied,
    DeniedRow, Deny, Failure, Follow, FollowRow, Follows, Forget, ForgetDone, Gc, GcDone, Get,
    GetDone, Handler, Import, ImportEvent, ImportSummary, Key, KeyRow, Listed, Listener, Ls, Merge,
    NewFeed, PeerRow, Peers, Pin, PinRow, Pins, Progress, Published, RebuildDone, RebuildIndex,
    ReleaseRow, Relocate, RelocateDone, Rotate, Search, Show, ShowDone, Shutdown, Sink, Status,
    StatusRow, Undeny, Unfollow, Unfollowed, UnmovedRow, Unpin, UnreachedRow, Verify, VerifyDone,
};
pub(crate) use perennial_control::{Client, socket_path};
use perennial_manifest::{PublisherId, PublisherRef};
use perennial_store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, ArchiveError, Claim, Observer, Unreached};
use crate::keys::Keys;

/// The handler of requests on the control socket, shared by all conversations.
#[derive(Debug)]
pub(crate) struct ControlService {
    pub(crate) archive: Archive,
    pub(crate) peer_id: String,
    pub(crate) keys: Keys,
    /// How long a collection spares unreferenced blobs, unless the request says otherwise.
    pub(crate) grace: Duration,
    /// The node runs until it is stopped, not for one command.
    pub(crate) daemon: bool,
    /// When the node started.
    pub(crate) started: Instant,
    /// The address of the faces, once they are served.
    pub(crate) http: OnceLock<SocketAddr>,
    /// Notified when a client requests that the node stop.
    pub(crate) stop: Notify,
}

/// Whether a node that runs until it is stopped serves the data directory.
pub(crate) async fn is_served(data: &Path) -> bool {
    match Client::connect(data).await {
        Ok(client) => client.call(Status, |_| ()).await.is_ok_and(|status| status.daemon),
        Err(_) => false,
    }
}

/// Serves the control socket of a data directory until `stop`, or one in the folder `other` where
/// the directory cannot hold it. The caller holds the directory's lock.
pub(crate) fn serve(
    service: Arc<ControlService>,
    data: &Path,
    other: Option<&Path>,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, BindError> {
    let listener = Listener::bind(data, other)?;
    if !listener.path().starts_with(data) {
        tracing::info!(
            path = %listener.path().display(),
            "the control socket lies outside the data directory, which cannot hold it"
        );
    }
    Ok(tokio::spawn(async move { listener.serve(service, stop.cancelled()).await }))
}

impl Handler for ControlService {
    async fn add(&self, request: Add, sink: Sink) -> Result<Published, Failure> {
        add::add(self, request, &sink).await
    }

    async fn import(
        &self,
        request: Import,
        sink: Sink<ImportEvent>,
    ) -> Result<ImportSummary, Failure> {
        add::import(self, request, &sink).await
    }

    async fn get(&self, request: Get, sink: Sink) -> Result<GetDone, Failure> {
        get::get(self, request, &sink).await
    }

    async fn ls(&self, request: Ls, sink: Sink<ReleaseRow>) -> Result<Listed, Failure> {
        list::ls(self, request, &sink).await
    }

    async fn show(&self, request: Show, sink: Sink<ArtifactRow>) -> Result<ShowDone, Failure> {
        show::show(self, request, &sink).await
    }

    async fn search(&self, request: Search, sink: Sink<ReleaseRow>) -> Result<Listed, Failure> {
        list::search(self, request, &sink).await
    }

    async fn follow(&self, request: Follow, _: Sink) -> Result<(), Failure> {
        policy::follow(self, request).await
    }

    async fn forget(&self, request: Forget, _: Sink) -> Result<ForgetDone, Failure> {
        policy::forget(self, request).await
    }

    async fn unfollow(&self, request: Unfollow, _: Sink) -> Result<Unfollowed, Failure> {
        policy::unfollow(self, request).await
    }

    async fn follows(&self, _: Follows, sink: Sink<FollowRow>) -> Result<Listed, Failure> {
        list::follows(self, &sink).await
    }

    async fn pin(&self, request: Pin, sink: Sink) -> Result<PinRow, Failure> {
        policy::pin(self, request, &sink).await
    }

    async fn unpin(&self, request: Unpin, sink: Sink) -> Result<PinRow, Failure> {
        policy::unpin(self, request, &sink).await
    }

    async fn pins(&self, _: Pins, sink: Sink<PinRow>) -> Result<Listed, Failure> {
        list::pins(self, &sink).await
    }

    async fn deny(&self, request: Deny, _: Sink) -> Result<DeniedRow, Failure> {
        deny::deny(self, request).await
    }

    async fn undeny(&self, request: Undeny, _: Sink) -> Result<DeniedRow, Failure> {
        deny::undeny(self, request).await
    }

    async fn denied(&self, request: Denied, sink: Sink<DeniedRow>) -> Result<Listed, Failure> {
        deny::denied(self, request, &sink).await
    }

    async fn status(&self, _: Status, _: Sink) -> Result<StatusRow, Failure> {
        list::status(self).await
    }

    async fn peers(&self, _: Peers, sink: Sink<PeerRow>) -> Result<Listed, Failure> {
        list::peers(self, &sink).await
    }

    async fn key(&self, _: Key, _: Sink) -> Result<KeyRow, Failure> {
        list::key(self).await
    }

    async fn audit(&self, _: Audit, sink: Sink<AuditRow>) -> Result<AuditDone, Failure> {
        policy::audit(self, &sink).await
    }

    async fn rotate(&self, _: Rotate, _: Sink) -> Result<KeyRow, Failure> {
        let previous = self.archive.publisher();
        let file = self.archive.rotate(self.keys.clone()).await.map_err(failure)?;
        let row = list::key(self).await?;
        let previous_file = Some(file.display().to_string());
        Ok(KeyRow { previous: Some(previous), previous_file, ..row })
    }

    async fn merge(&self, _: Merge, _: Sink) -> Result<(), Failure> {
        self.archive.merge().await.map_err(failure)
    }

    async fn verify(&self, _: Verify, sink: Sink<CorruptRow>) -> Result<VerifyDone, Failure> {
        policy::verify(self, &sink).await
    }

    async fn relocate(
        &self,
        request: Relocate,
        sink: Sink<UnmovedRow>,
    ) -> Result<RelocateDone, Failure> {
        policy::relocate(self, request, &sink).await
    }

    async fn gc(&self, request: Gc, _: Sink) -> Result<GcDone, Failure> {
        policy::gc(self, request).await
    }

    async fn rebuild_index(&self, _: RebuildIndex, _: Sink) -> Result<RebuildDone, Failure> {
        policy::rebuild_index(self).await
    }

    async fn new_feed(&self, _: NewFeed, _: Sink) -> Result<(), Failure> {
        self.archive.begin_feed().await.map_err(failure)
    }

    async fn connect(&self, request: Connect, _: Sink) -> Result<ConnectDone, Failure> {
        let wait = Duration::from_millis(request.wait_ms.into());
        let connection = self.archive.network().connect(request.peers, wait).await;
        let row = |Unreached { address, reason }| UnreachedRow { address, reason };
        Ok(ConnectDone {
            reached: connection.reached || wait.is_zero(),
            unreached: connection.unreached.into_iter().map(row).collect(),
        })
    }

    async fn shutdown(&self, _: Shutdown, _: Sink) -> Result<(), Failure> {
        self.stop.notify_one();
        Ok(())
    }
}

impl ControlService {
    /// Runs read-only work on the store, if its disk is there: what it lists is not of use else.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        // The node of a single command has just opened its files.
        if self.daemon {
            self.archive.check_disk().await.map_err(failure)?;
        }
        self.archive.blocking(move |archive| work(archive.store())).await.map_err(failure)
    }

    /// Resolves the publisher that a request names, if any.
    fn publisher(&self, named: Option<&PublisherRef>) -> Result<Option<PublisherId>, Failure> {
        named.map(|named| self.archive.publisher_named(named)).transpose().map_err(failure)
    }
}

/// Converts an error of the archive to the form that clients receive.
pub(crate) fn failure(error: impl Into<ArchiveError>) -> Failure {
    let error = error.into();
    let failure = Failure::new(error.kind(), error.to_string());
    let failure = match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    failure.details(error.details()).claims(error.claims().iter().map(claim).collect())
}

fn claim(claim: &Claim) -> perennial_control::Claim {
    let candidate = &claim.candidate;
    perennial_control::Claim {
        release: candidate.release,
        purl: candidate.purl.clone(),
        publisher: candidate.publisher,
        kind: claim.kind,
        name: claim.name.clone(),
        list: candidate.artifacts.blob,
        artifacts: claim.artifacts,
        bytes: claim.bytes,
        issued_at: claim.issued_at,
        forked: candidate.forked,
    }
}

/// A client's sink, as an observer of archive operations.
struct Watcher<I>(Sink<I>);

/// The observer that reports an operation's progress to a client.
fn observer<I: Send + 'static>(sink: &Sink<I>) -> Arc<dyn Observer> {
    Arc::new(Watcher(sink.clone()))
}

impl<I: Send + 'static> Observer for Watcher<I> {
    fn progress(&self, progress: Progress) {
        self.0.progress(progress);
    }

    fn has_left(&self) -> bool {
        self.0.is_closed()
    }
}
