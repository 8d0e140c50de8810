//! The control socket's requests, translated: request → method of the archive → rows and one result.
//!
//! One file per group of requests: `control/add`, `control/get`, `control/list`, `control/show`, `control/policy`.

mod add;
mod get;
mod list;
mod policy;
mod rows;
mod show;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use perennial_control::{Done, ErrorCode, Failure, Handler, Request, Sink};
use perennial_store::{Store, StoreError};
use tokio::sync::Notify;

use crate::archive::{Archive, ArchiveError, Claim, ErrorKind, Observer, Progress, Stage};

/// What answers are made of. Shared by all conversations.
#[derive(Debug)]
pub(crate) struct ControlService {
    pub(crate) archive: Archive,
    pub(crate) peer_id: String,
    pub(crate) key_file: PathBuf,
    /// How long a collection spares what nothing refers to, unless the request says otherwise.
    pub(crate) grace: Duration,
    /// Notified when a client asks the node to stop.
    pub(crate) stop: Notify,
}

impl Handler for ControlService {
    async fn handle(&self, request: Request, sink: Sink) -> Result<Done, Failure> {
        match request {
            Request::Add(add) => self.add(add, sink).await,
            Request::Import(import) => self.import(import, sink).await,
            Request::Get(get) => self.get(get, sink).await,
            Request::Ls(ls) => self.ls(ls, &sink).await,
            Request::Show { selector, publisher } => {
                self.show(&selector, publisher.as_deref(), &sink).await
            }
            Request::Search { text, limit } => self.search(text, limit, &sink).await,
            Request::Follow(follow) => self.follow(follow).await,
            Request::Unfollow { target } => self.unfollow(target).await,
            Request::Follows => self.follows(&sink).await,
            Request::Pin { selector, publisher } => {
                self.pin(&selector, publisher.as_deref(), true, &sink).await
            }
            Request::Unpin { selector, publisher } => {
                self.pin(&selector, publisher.as_deref(), false, &sink).await
            }
            Request::Pins => self.pins(&sink).await,
            Request::Status => self.status().await,
            Request::Peers => self.peers(&sink).await,
            Request::Key => self.key().await,
            Request::Merge => self.archive.merge().await.map(|()| Done::Ok).map_err(failure),
            Request::Verify => self.verify(sink).await,
            Request::Gc(gc) => self.gc(gc).await,
            Request::RebuildIndex => self.rebuild_index().await,
            Request::Connect { peers, wait_ms } => {
                let wait = Duration::from_millis(wait_ms.into());
                self.archive.network().connect(peers, wait).await;
                Ok(Done::Ok)
            }
            Request::Shutdown => {
                self.stop.notify_one();
                Ok(Done::Ok)
            }
        }
    }
}

impl ControlService {
    /// Runs work on the store that only reads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        self.archive.blocking(move |archive| work(archive.store())).await.map_err(failure)
    }
}

/// A request that makes no sense.
fn usage(error: impl ToString) -> Failure {
    Failure::new(ErrorCode::Usage, error.to_string())
}

/// An error of the archive, as the client is told.
pub(crate) fn failure(error: impl Into<ArchiveError>) -> Failure {
    let error = error.into();
    let code = match error.kind() {
        ErrorKind::Failed => ErrorCode::Failed,
        ErrorKind::Usage => ErrorCode::Usage,
        ErrorKind::Ambiguous => ErrorCode::Ambiguous,
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::Strangers => ErrorCode::Strangers,
        ErrorKind::Verification => ErrorCode::Verification,
        ErrorKind::Conflict => ErrorCode::Conflict,
        ErrorKind::Unreachable => ErrorCode::Unreachable,
    };
    let failure = Failure::new(code, error.to_string());
    let failure = match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    failure.claims(error.claims().iter().map(claim).collect())
}

fn claim(claim: &Claim) -> perennial_control::Claim {
    let candidate = &claim.candidate;
    perennial_control::Claim {
        release: candidate.release.to_string(),
        purl: candidate.purl.to_string(),
        publisher: candidate.publisher.to_string(),
        kind: claim.kind,
        name: claim.name.clone(),
        list: candidate.artifacts.to_string(),
        artifacts: claim.artifacts,
        bytes: claim.bytes,
        issued_at: claim.issued_at,
        forked: candidate.forked,
    }
}

/// A client as the archive observes it.
struct Client(Sink);

/// The observer of an operation that reports to a client.
fn observer(sink: &Sink) -> Arc<dyn Observer> {
    Arc::new(Client(sink.clone()))
}

impl Observer for Client {
    fn progress(&self, progress: Progress) {
        let stage = match progress.stage {
            Stage::Connecting => perennial_control::Stage::Connecting,
            Stage::Finding => perennial_control::Stage::Finding,
            Stage::Storing => perennial_control::Stage::Storing,
            Stage::Importing => perennial_control::Stage::Importing,
            Stage::Fetching => perennial_control::Stage::Fetching,
            Stage::Writing => perennial_control::Stage::Writing,
            Stage::Verifying => perennial_control::Stage::Verifying,
        };
        let Progress { bytes, total_bytes, items, total_items, peers, .. } = progress;
        let told =
            perennial_control::Progress { stage, bytes, total_bytes, items, total_items, peers };
        self.0.progress(told);
    }

    fn has_left(&self) -> bool {
        self.0.is_closed()
    }
}
