//! What a user asks over the control socket, answered.
//!
//! Owns the services that answers are made of. One file a group of requests: `control/list`, `control/show`,
//! `handler/policy`, `handler/rows`. Work that must not be half-done when the client goes away runs in a task of its own.

pub(crate) mod rows;

mod list;
mod policy;
mod show;

pub(crate) use policy::for_protocol;

use std::path::PathBuf;
use std::time::Duration;

use perennial_control::{Add, Done, ErrorCode, Failure, Handler, Import, Request, Sink};
use perennial_manifest::{Body, Merge};
use perennial_store::Store;
use tokio::sync::Notify;

use crate::archive::add as adding;
use crate::archive::import::Importing;
use crate::archive::publish::{announce, sign_failure};
use crate::archive::signer::Signer;
use crate::failure::failed;
use crate::network::handle::{Core, Message};

/// What answers are made of. Shared by all conversations.
pub(crate) struct Services {
    pub(crate) store: Store,
    pub(crate) core: Core,
    pub(crate) signer: std::sync::Arc<Signer>,
    pub(crate) peer_id: String,
    pub(crate) key_file: PathBuf,
    /// Peers to wait for before a name is said to be unknown; they may be added to.
    pub(crate) expects_peers: std::sync::atomic::AtomicBool,
    pub(crate) peer_wait: Duration,
    pub(crate) grace: Duration,
    pub(crate) stop: Notify,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Services of {}", self.peer_id)
    }
}

impl Handler for Services {
    async fn handle(&self, request: Request, sink: Sink) -> Result<Done, Failure> {
        match request {
            Request::Add(add) => self.add(add, sink).await,
            Request::Import(import) => self.import(import, sink).await,
            Request::Get(get) => self.get(get, &sink).await.map(Done::Get),
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
            Request::Merge => self.merge().await,
            Request::Verify => self.verify(sink).await,
            Request::Gc(gc) => self.gc(gc).await,
            Request::RebuildIndex => self.rebuild_index().await,
            Request::Connect { peers, wait_ms } => self.connect(peers, wait_ms).await,
            Request::Shutdown => {
                self.stop.notify_one();
                Ok(Done::Ok)
            }
        }
    }
}

impl Services {
    async fn add(&self, request: Add, sink: Sink) -> Result<Done, Failure> {
        let (store, signer, core) = (self.store.clone(), self.signer.clone(), self.core.clone());
        self.synced().await;
        let task = tokio::spawn(async move {
            let added =
                tokio::task::spawn_blocking(move || adding::add(&store, &signer, &request, &sink))
                    .await;
            let (done, signed) = added.map_err(failed)??;
            announce(&core, signed).await;
            Ok(done)
        });
        task.await.map_err(failed)?.map(Done::Add)
    }

    async fn import(&self, request: Import, sink: Sink) -> Result<Done, Failure> {
        self.synced().await;
        let (store, core, signer) = (self.store.clone(), self.core.clone(), self.signer.clone());
        // a task of its own, as `add`: what came is signed and announced though the client went away
        let task =
            tokio::spawn(
                async move { Importing { store, core, signer }.import(request, sink).await },
            );
        task.await.map_err(failed)?
    }

    async fn merge(&self) -> Result<Done, Failure> {
        let (store, signer, core) = (self.store.clone(), self.signer.clone(), self.core.clone());
        let task = tokio::task::spawn_blocking(move || {
            let feed = store.feed(&signer.publisher()).map_err(failed)?;
            if !feed.is_forked() {
                return Err(Failure::new(
                    ErrorCode::Failed,
                    "this key's feed is not forked: there is nothing to merge",
                ));
            }
            signer.sign(&store, None, Body::Merge(Merge { reason: None })).map_err(sign_failure)
        });
        announce(&core, task.await.map_err(failed)??).await;
        Ok(Done::Ok)
    }

    async fn connect(&self, peers: Vec<String>, wait_ms: u32) -> Result<Done, Failure> {
        self.expects_peers.store(true, std::sync::atomic::Ordering::SeqCst);
        for peer in peers {
            self.core.send(Message::Dial(peer)).await;
        }
        let mut overview = self.core.overview.clone();
        let wait = Duration::from_millis(u64::from(wait_ms));
        let _ =
            tokio::time::timeout(wait, overview.wait_for(|overview| !overview.peers.is_empty()))
                .await;
        Ok(Done::Ok)
    }

    /// Waits for a reconciliation where peers are expected.
    async fn synced(&self) {
        // a key that was used elsewhere shows once a peer was asked: wait for the reconciliation that is on its way
        if self.expects_peers.load(std::sync::atomic::Ordering::SeqCst) {
            self.connected().await;
            let mut overview = self.core.overview.clone();
            let _ = tokio::time::timeout(
                SYNC_WAIT,
                overview.wait_for(|overview| overview.synced > 0 || overview.peers.is_empty()),
            )
            .await;
        }
    }

    /// Waits for a first peer where peers are expected, for a while.
    pub(crate) async fn connected(&self) {
        if self.expects_peers.load(std::sync::atomic::Ordering::SeqCst) {
            let mut overview = self.core.overview.clone();
            let _ = tokio::time::timeout(
                self.peer_wait,
                overview.wait_for(|overview| !overview.peers.is_empty()),
            )
            .await;
        }
    }
}

/// How long `add` waits for a reconciliation where peers are expected.
const SYNC_WAIT: Duration = Duration::from_secs(5);
