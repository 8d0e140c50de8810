//! The event loop: the one task that owns the protocol's state.
//!
//! Each event enters as an [`Input`]; `perennial_protocol` decides, and answers with effects, which
//! the loop carries out in order (`effects`). No other task touches that state, so it needs no lock
//! and every run has one order of events.
//!
//! # Tasks and queues
//!
//! ```text
//! swarm driver ───────── events ──┐                  ┌── commands ─► swarm driver
//! archive, frontends ─┐           ├──► event loop ───┼── batches ──► writer: one task
//! writer, streams ────┴─ messages ┘                  └── a task per blob stream
//! ```
//!
//! - *events* (bounded by the swarm): connections, gossip, requests and responses of peers. While
//!   the queue is full, the driver stops polling the network, so that TCP and QUIC push back on the
//!   peers.
//! - *messages* (1,024): inputs and queries of this node's other tasks, through the handle
//!   `Network`. A sender waits while the queue is full. The loop never waits for anything behind
//!   such a sender, so the two cannot deadlock.
//! - *commands* (bounded by the swarm): the loop waits while this queue is full. The driver never
//!   waits for the loop when it takes commands, so the wait is short.
//! - *batches* (1,024, `writer`): entries to store, in the order decided. The loop never waits: a
//!   batch that finds the queue full is reported as not stored, and its entries are requested
//!   again. The protocol has at most 512 batches of gossip and one of each reconciliation under
//!   way, so this does not happen in practice.
//! - *news* (64 per fetch): to the task that waits for a fetch. The loop drops news of single blobs
//!   when the queue is full; the end of a fetch is sent from a task of its own.
//!
//! Everything that takes time (writing entries, blob streams, fetching a release) is a task whose
//! outcome comes back as a message. Tasks run in a `TaskTracker`, which `Node::shutdown` waits for.
//!
//! # What the loop reads
//!
//! The loop writes nothing to disk and waits for no peer. Whatever peers ask for is read on other
//! threads, a few at a time, when the protocol gives it its turn, and so are the entries that a
//! reconciliation compares. The loop itself does *read*: handling an input may query the catalog
//! (`catalog`), which reads sled's cache, or pack files in the page cache, inline. Each read is
//! bounded, and none grows with the archive; `cargo bench -p perennial-tests -- loop` prints the
//! cost of each with 100,000 entries known.
//!
//! | read | when | bound |
//! |---|---|---|
//! | `has_entry` | each gossip message, each id of a reconciliation | one look-up in memory |
//! | `takes` | gossip of publishers not followed, their histories | a counter in memory |
//! | `wanted` | looking for releases to keep | a page of 256 rows |

pub(crate) mod catalog;
pub(crate) mod dial;
pub(crate) mod fetch_handle;
pub(crate) mod handle;
pub(crate) mod message;
pub(crate) mod overview;

mod bans;
mod blob_stream;
mod calls;
mod download;
mod effects;
mod twin;
mod upload;
mod writer;

use std::collections::HashMap;
use std::time::Duration;

use perennial_manifest::ReleaseId;
use perennial_protocol::{
    AssignmentId, BlobRange, CensusId, FetchId, Holder, Input, LookupId, Node as Protocol, PeerId,
    Report, Time, Token,
};
use perennial_store::Store;
use perennial_swarm::{Event, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::bans::Bans;
use self::catalog::CatalogView;
use self::dial::DialList;
use self::fetch_handle::FetchReport;
use self::handle::{Network, NetworkEnds};
use self::message::{LookupAnswer, Message};
use self::overview::{Dial, Overview, PeerInfo};
use self::twin::{End, Mirror};
use self::writer::Writer;

/// How often unconnected peers are dialled again and expired bans are lifted.
const REDIAL: Duration = Duration::from_secs(15);

/// The dependencies of an event loop.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) swarm: Handle,
    pub(crate) network: Network,
    pub(crate) ends: NetworkEnds,
    pub(crate) protocol: Protocol,
    /// Addresses of peers to stay connected to.
    pub(crate) peers: DialList,
    /// Longest silence of the remote end of a blob stream.
    pub(crate) stall: Duration,
    /// Whether releases of followed publishers are fetched unasked.
    pub(crate) keeps: bool,
    /// Starts to keep a release of a followed publisher; must not wait.
    pub(crate) keep: Box<dyn Fn(ReleaseId) + Send>,
    /// Runs the tasks of blob streams.
    pub(crate) tasks: TaskTracker,
}

/// The protocol's state, and this node's records for the ids it uses.
pub(crate) struct EventLoop {
    store: Store,
    swarm: Handle,
    network: Network,
    stall: Duration,
    keep: Box<dyn Fn(ReleaseId) + Send>,
    tasks: TaskTracker,
    protocol: Protocol,
    catalog: CatalogView,
    writer: Writer,
    messages: mpsc::Receiver<Message>,
    overview: watch::Sender<Overview>,
    started: Instant,
    wake: Option<Instant>,
    next_id: u64,
    lookups: HashMap<LookupId, oneshot::Sender<LookupAnswer>>,
    censuses: HashMap<CensusId, oneshot::Sender<Vec<Holder>>>,
    fetches: HashMap<FetchId, FetchReport>,
    downloads: HashMap<AssignmentId, Running>,
    serving: HashMap<Token, oneshot::Sender<Option<(Token, Time)>>>,
    banned: Bans,
    dial: DialList,
    mirror: Mirror,
}

/// A download under way.
struct Running {
    peer: PeerId,
    cancel: CancellationToken,
}

impl EventLoop {
    /// Creates a loop that has not begun to run, and starts the writer of entries.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { store, swarm, network, ends, protocol, peers, stall, keeps, keep, tasks } =
            parts;
        let (writer, writing) = Writer::new(store.clone(), network.clone(), ends.stored);
        tasks.spawn(writing);
        ends.overview.send_modify(|overview| {
            overview.dials = peers.given().map(|given| (given.to_owned(), Dial::Trying)).collect();
        });
        Self {
            catalog: CatalogView { store: store.clone(), keeps },
            store,
            swarm,
            network,
            stall,
            keep,
            tasks,
            protocol,
            writer,
            messages: ends.messages,
            overview: ends.overview,
            started: Instant::now(),
            wake: None,
            next_id: 0,
            lookups: HashMap::new(),
            censuses: HashMap::new(),
            fetches: HashMap::new(),
            downloads: HashMap::new(),
            serving: HashMap::new(),
            banned: Bans::default(),
            dial: peers,
            mirror: Mirror::default(),
        }
    }

    /// Runs until `stop` is cancelled or the swarm ends.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut redial = interval(REDIAL);
        redial.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = self.wake;
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => self.on_event(event).await,
                    None => return,
                },
                message = self.messages.recv() => match message {
                    Some(message) => self.on_message(message).await,
                    None => return,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.wake = None;
                    self.input(Input::Tick).await;
                }
                _ = redial.tick() => self.redial().await,
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn at(&self, time: Time) -> Instant {
        self.started + Duration::from_millis(time.as_millis())
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Passes an input to the protocol and carries out the effects.
    async fn input(&mut self, input: Input) {
        self.account(&input);
        let effects = self.protocol.handle(self.now(), input, &self.catalog);
        for effect in effects {
            self.effect(effect).await;
        }
    }

    /// Updates this node's own records (peers, fetches, downloads) from an input.
    fn account(&mut self, input: &Input) {
        match input {
            Input::Disconnected { peer } => {
                self.overview.send_modify(|overview| {
                    overview.peers.remove(peer);
                });
            }
            Input::Cancel { fetch } => drop(self.fetches.remove(fetch)),
            Input::Received { assignment, report } => self.count_received(*assignment, report),
            Input::Transferred { assignment, report, end } => {
                self.count_received(*assignment, report);
                self.downloads.remove(assignment);
                tracing::debug!(assignment = assignment.0, ?end, "download ended");
            }
            _ => {}
        }
    }

    /// Counts the bytes that a peer sent, however many fetches wait for them.
    fn count_received(&self, assignment: AssignmentId, report: &Report) {
        let bytes = report.verified.iter().map(BlobRange::bytes).fold(0, u64::saturating_add);
        if let (Some(Running { peer, .. }), 1..) = (self.downloads.get(&assignment), bytes) {
            self.overview.send_modify(|overview| overview.received_from(peer, bytes));
        }
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.input(input).await,
            Event::Listening(address) => {
                let address = address.to_string();
                self.overview.send_modify(|overview| overview.addresses.push(address));
            }
            Event::NotListening(address) => {
                let address = address.to_string();
                self.overview
                    .send_modify(|overview| overview.addresses.retain(|other| *other != address));
            }
            Event::CallFailed { address, myself } => {
                let end = if myself { End::Called } else { End::Failed };
                self.refused_call(end, &address.to_string());
            }
            Event::Connected { peer, prefix, address } => {
                if self.banned.contains(&peer) {
                    // The peer connected before the swarm learned of the ban.
                    let _ = self.swarm.disconnect(peer).await;
                    return;
                }
                let info = PeerInfo { address: address.to_string(), ..PeerInfo::default() };
                self.overview.send_modify(|overview| {
                    overview.peers.insert(peer.clone(), info);
                });
                self.input(Input::Connected { peer, prefix }).await;
            }
            Event::BlobStream { from, stream } => {
                let upload = upload::Upload {
                    store: self.store.clone(),
                    network: self.network.clone(),
                    stall: self.stall,
                    from,
                    started: self.started,
                    tasks: self.tasks.clone(),
                };
                self.tasks.spawn(upload.serve(stream));
            }
        }
    }
}
