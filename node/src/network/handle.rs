//! The handle to the event loop, for all other tasks of a node.
//!
//! The queue of messages to the loop is bounded: a sender waits while it is full. Only the loop
//! touches the protocol's state. A loop that has ended takes no messages: look-ups then return
//! nothing and fetches fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use perennial_manifest::{BlobId, PublisherId, ReleaseId, Selector, SignedEntry};
use perennial_protocol::{FetchId, Follows, Holder, Input, KeepOutcome};
use perennial_swarm::{Closed, DialError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::network::fetch_handle::{FetchHandle, FetchProgress, FetchReport};
use crate::network::message::{LookupAnswer, Message};
use crate::network::overview::{Dial, Overview, Unreached};

/// Messages waiting for the loop, at most.
const QUEUE: usize = 1024;
/// How long an operation that signs waits for a reconciliation if peers are expected.
const SYNC_WAIT: Duration = Duration::from_secs(5);
/// How long a refused call of a node with this node's key may stay unexplained.
const TWIN_WAIT: Duration = Duration::from_secs(5);
/// How long a key whose feed is not here waits for the feed. A long feed takes a while.
const FEED_WAIT: Duration = Duration::from_secs(60);

/// The outcome of connecting to peers.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Set if one of the peers is connected.
    pub(crate) reached: bool,
    /// The addresses that are known to lead to no peer.
    pub(crate) unreached: Vec<Unreached>,
}

/// The loop's ends of the channels; the [`Network`] handle holds the other ends.
#[derive(Debug)]
pub(crate) struct NetworkEnds {
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) overview: watch::Sender<Overview>,
    /// Counts the batches of entries that the writer stored.
    pub(crate) stored: watch::Sender<u64>,
}

/// The handle to the event loop of a node. All clones refer to the same loop.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    messages: mpsc::Sender<Message>,
    overview: watch::Receiver<Overview>,
    stored: watch::Receiver<u64>,
    fetches: Arc<AtomicU64>,
    /// Set if names count as unknown only after peers were waited for.
    expects_peers: Arc<AtomicBool>,
    /// How long a request waits for the first peer.
    peer_wait: Duration,
    /// Set if peers can connect to this node, or be found by it.
    pub(crate) listens: bool,
}

impl Network {
    /// Creates a handle and the loop's ends of its channels.
    pub(crate) fn new(expects_peers: bool, peer_wait: Duration) -> (Network, NetworkEnds) {
        let (messages, inbox) = mpsc::channel(QUEUE);
        let (shown, overview) = watch::channel(Overview::default());
        let (counted, stored) = watch::channel(0);
        let network = Network {
            messages,
            overview,
            stored,
            fetches: Arc::default(),
            expects_peers: Arc::new(expects_peers.into()),
            peer_wait,
            listens: true,
        };
        (network, NetworkEnds { messages: inbox, overview: shown, stored: counted })
    }

    pub(crate) async fn send(&self, message: Message) {
        let _ = self.messages.send(message).await;
    }

    pub(crate) async fn input(&self, input: Input) {
        self.send(Message::Input(input)).await;
    }

    /// As `input`, from a blocking thread.
    pub(crate) fn input_blocking(&self, input: Input) {
        let _ = self.messages.blocking_send(Message::Input(input));
    }

    /// The network's state, as a channel that follows it.
    pub(crate) fn overview(&self) -> watch::Receiver<Overview> {
        self.overview.clone()
    }

    /// A counter that changes with every batch of entries stored from peers.
    pub(crate) fn stored(&self) -> watch::Receiver<u64> {
        self.stored.clone()
    }

    /// Announces entries that this node signed and stored; the releases among them are held.
    pub(crate) async fn announce(&self, signed: Vec<SignedEntry>) {
        for entry in signed {
            let release = entry.release().map(|(release, _)| release);
            self.input(Input::Publish(Box::new(entry))).await;
            if let Some(release) = release {
                self.held(release).await;
            }
        }
    }

    pub(crate) async fn held(&self, release: ReleaseId) {
        self.input(Input::Held { release }).await;
    }

    pub(crate) async fn dropped(&self, release: ReleaseId) {
        self.input(Input::Dropped { release }).await;
    }

    /// Tells that the disk has room again.
    pub(crate) async fn has_room(&self) {
        self.input(Input::Room).await;
    }

    pub(crate) async fn kept(&self, release: ReleaseId, outcome: KeepOutcome) {
        self.input(Input::Kept { release, outcome }).await;
    }

    pub(crate) async fn follow(&self, follows: Follows) {
        self.input(Input::Follows(follows)).await;
    }

    /// Asks peers for the meanings of a name or digest.
    pub(crate) async fn lookup(
        &self,
        selector: Selector,
        publisher: Option<PublisherId>,
    ) -> LookupAnswer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Lookup { selector, publisher, answer }).await;
        answered.await.unwrap_or_default()
    }

    /// Asks peers for releases by words. Their entries are not stored.
    pub(crate) async fn search(&self, text: String) -> LookupAnswer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Search { text, answer }).await;
        answered.await.unwrap_or_default()
    }

    /// Asks peers which of them hold a release, and which of these blobs.
    pub(crate) async fn census(
        &self,
        release: ReleaseId,
        blobs: Vec<(BlobId, u64)>,
    ) -> Vec<Holder> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Census { release, blobs, answer }).await;
        answered.await.unwrap_or_default()
    }

    /// Starts a fetch whose blobs are named afterwards. Dropping the handle cancels it. `None` if
    /// the loop has ended.
    pub(crate) async fn fetch(
        &self,
        release: Option<ReleaseId>,
        progress: watch::Sender<FetchProgress>,
    ) -> Option<FetchHandle> {
        let fetch = FetchId(self.fetches.fetch_add(1, Ordering::Relaxed));
        let (report, news) = FetchReport::new(progress);
        self.messages.send(Message::Fetch { fetch, report }).await.ok()?;
        Some(FetchHandle::new(fetch, release, self.clone(), news))
    }

    /// Dials peers now and whenever they are not connected, and waits until one of them answers or
    /// all have failed, for a bounded time. Returns those that did not answer, unless `wait` is
    /// zero.
    pub(crate) async fn connect(&self, addresses: Vec<String>, wait: Duration) -> Connection {
        self.expects_peers.store(true, Ordering::SeqCst);
        let mut dials = FuturesUnordered::new();
        for given in addresses {
            let (outcome, told) = oneshot::channel();
            self.send(Message::Dial { given: given.clone(), outcome }).await;
            dials.push(async move {
                let told = told.await.unwrap_or(Err(DialError::Closed(Closed)));
                (given, told)
            });
        }
        let mut connection = Connection::default();
        if wait.is_zero() {
            return connection;
        }
        let give_up = Instant::now() + wait;
        while let Ok(Some((address, told))) = timeout_at(give_up, dials.next()).await {
            match told {
                // Dialling reports before the connection is announced.
                Ok(peer) => {
                    let mut overview = self.overview();
                    let up = overview.wait_for(|now| now.peers.contains_key(&peer));
                    connection.reached = matches!(timeout_at(give_up, up).await, Ok(Ok(_)));
                    break;
                }
                Err(error) => {
                    connection.unreached.push(Unreached { address, reason: error.to_string() });
                }
            }
        }
        if !connection.reached && !dials.is_empty() {
            let pending = self.overview().borrow().dials.clone();
            let trying = pending.into_iter().filter(|(_, dial)| *dial == Dial::Trying);
            connection.unreached.extend(trying.map(|(address, _)| {
                let reason = format!("no answer after {} s", wait.as_secs());
                Unreached { address, reason }
            }));
        }
        connection
    }

    /// If peers are expected, waits for the first of them, for a bounded time, or until all
    /// addresses have failed. Returns the addresses that do not answer if no peer at all is
    /// connected.
    pub(crate) async fn connected(&self) -> Vec<Unreached> {
        let mut overview = self.overview();
        if self.expects_peers.load(Ordering::SeqCst) {
            let settled = overview.wait_for(|now| !now.peers.is_empty() || now.is_cut_off());
            let _ = timeout(self.peer_wait, settled).await;
        }
        let now = overview.borrow();
        if now.peers.is_empty() { now.unreached() } else { Vec::new() }
    }

    /// Whether no peer is connected, and none can be.
    pub(crate) fn is_cut_off(&self) -> bool {
        !self.listens && self.is_alone()
    }

    /// Whether no peer is connected, and none is expected.
    pub(crate) fn is_alone(&self) -> bool {
        !self.expects_peers.load(Ordering::SeqCst) && self.overview.borrow().peers.is_empty()
    }

    /// The address of another node that uses this node's keys, if one was seen lately.
    pub(crate) async fn twin(&self) -> Option<String> {
        let mut overview = self.overview();
        let sure = overview.wait_for(|now| now.twin.is_some() || !now.may_have_twin);
        let _ = timeout(TWIN_WAIT, sure).await;
        overview.borrow().twin.clone()
    }

    /// Waits for the first reconciliation with a connected peer. Returns whether there was one.
    pub(crate) async fn reconciled(&self) -> bool {
        let mut overview = self.overview();
        let done = overview.wait_for(|now| now.synced > 0 || now.peers.is_empty());
        let _ = timeout(FEED_WAIT, done).await;
        overview.borrow().synced > 0
    }

    /// If peers are expected, waits for a reconciliation, which reveals entries that another
    /// machine signed with this node's key.
    pub(crate) async fn synced(&self) {
        if self.expects_peers.load(Ordering::SeqCst) {
            self.connected().await;
            let mut overview = self.overview();
            let synced = overview.wait_for(|now| now.synced > 0 || now.peers.is_empty());
            let _ = timeout(SYNC_WAIT, synced).await;
        }
    }
}
