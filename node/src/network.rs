//! The one task that owns the protocol's state: what happened goes in, what it decides is carried out.
//!
//! Nothing here waits for disk or for a peer: stores, streams and transfers run in tasks of their own, and their outcomes come
//! back as messages. Every queue into the loop has a bound, so whoever is too fast waits.

pub(crate) mod blob_stream;
pub(crate) mod catalog;
pub(crate) mod download;
pub(crate) mod handle;
pub(crate) mod upload;

mod bans;
mod effects;

use std::collections::HashMap;
use std::time::Duration;

use perennial_manifest::{BlobId, ReleaseId};
use perennial_protocol::catalog::Catalog;
use perennial_protocol::effect::{Holder, Progress};
use perennial_protocol::input::{CensusId, FetchId, Input, LookupId, Token};
use perennial_protocol::node::Node as Protocol;
use perennial_protocol::peer::PeerId;
use perennial_protocol::time::Time;
use perennial_protocol::transfer::AssignmentId;
use perennial_store::Store;
use perennial_swarm::{Event, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::bans::Bans;
use crate::network::blob_stream::Limits;
use crate::network::catalog::CatalogView;
use crate::network::handle::{Core, FetchNews, LookupAnswer, Message, Overview, PeerInfo};

/// A fetch and who waits for it.
struct Waiting {
    news: mpsc::Sender<FetchNews>,
    progress: watch::Sender<Option<Progress>>,
    release: Option<ReleaseId>,
    blobs: Vec<BlobId>,
}

pub(crate) struct EventLoop {
    pub(crate) store: Store,
    pub(crate) swarm: Handle,
    pub(crate) core: Core,
    pub(crate) limits: Limits,
    pub(crate) peers: Vec<String>,
    protocol: Protocol,
    catalog: CatalogView,
    started: Instant,
    wake: Option<Instant>,
    next_id: u64,
    lookups: HashMap<LookupId, oneshot::Sender<LookupAnswer>>,
    censuses: HashMap<CensusId, oneshot::Sender<Vec<Holder>>>,
    fetches: HashMap<FetchId, Waiting>,
    /// Sizes of blobs that fetches named, and how many named them.
    sizes: HashMap<BlobId, (u64, usize)>,
    assignments: HashMap<AssignmentId, CancellationToken>,
    serving: HashMap<Token, oneshot::Sender<Option<(Token, Time)>>>,
    banned: Bans,
    overview: watch::Sender<Overview>,
}

/// How often the configured peers that are not connected are dialled again.
const REDIAL: Duration = Duration::from_secs(15);
/// Tokens of blob streams are ours; those of requests are the swarm's, which counts from 1.
const STREAM_TOKENS: u64 = 1 << 63;

impl EventLoop {
    pub(crate) fn new(
        store: Store,
        swarm: Handle,
        core: Core,
        limits: Limits,
        peers: Vec<String>,
        protocol: Protocol,
        overview: watch::Sender<Overview>,
    ) -> Self {
        Self {
            catalog: CatalogView(store.clone()),
            store,
            swarm,
            core,
            limits,
            peers,
            protocol,
            started: Instant::now(),
            wake: None,
            next_id: 0,
            lookups: HashMap::new(),
            censuses: HashMap::new(),
            fetches: HashMap::new(),
            sizes: HashMap::new(),
            assignments: HashMap::new(),
            serving: HashMap::new(),
            banned: Bans::default(),
            overview,
        }
    }

    /// Runs until it is stopped.
    pub(crate) async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut messages: mpsc::Receiver<Message>,
        stop: CancellationToken,
    ) {
        let mut redial = tokio::time::interval(REDIAL);
        loop {
            let wake = self.wake;
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => self.on_event(event).await,
                    None => return,
                },
                message = messages.recv() => match message {
                    Some(message) => self.on_message(message).await,
                    None => return,
                },
                () = async { tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)).await }, if wake.is_some() => {
                    self.wake = None;
                    self.input(Input::Tick).await;
                }
                _ = redial.tick() => {
                    for peer in self.banned.over(self.now()) {
                        let _ = self.swarm.ban(peer, false).await;
                    }
                    self.redial().await;
                }
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

    async fn redial(&mut self) {
        let connected: Vec<String> =
            self.overview.borrow().peers.keys().map(|peer| peer.to_string()).collect();
        for address in &self.peers {
            let there = address
                .rsplit_once("/p2p/")
                .is_some_and(|(_, id)| connected.iter().any(|peer| peer == id));
            // an address without a peer id is dialled while nobody is connected: the swarm closes what is double
            let wanted =
                if address.contains("/p2p/") { !there } else { connected.len() < self.peers.len() };
            if wanted && let Err(reason) = self.swarm.dial(address).await {
                tracing::warn!(%address, %reason, "a peer could not be dialled");
            }
        }
    }

    async fn input(&mut self, input: Input) {
        let now = self.now();
        let effects = self.protocol.handle(now, input, &self.catalog as &dyn Catalog);
        for effect in effects {
            self.effect(effect).await;
        }
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Listening(address) => {
                self.overview.send_modify(|overview| overview.addresses.push(address));
            }
            Event::Connected { peer, prefix, address } => {
                if self.banned.contains(&peer) {
                    // it came in before the swarm heard of the ban
                    let _ = self.swarm.disconnect(peer).await;
                    return;
                }
                let info = PeerInfo { address, ..PeerInfo::default() };
                self.overview.send_modify(|overview| {
                    overview.peers.insert(peer.clone(), info);
                });
                self.input(Input::Connected { peer, prefix }).await;
            }
            Event::Disconnected { peer } => {
                self.overview.send_modify(|overview| {
                    overview.peers.remove(&peer);
                });
                self.input(Input::Disconnected { peer }).await;
            }
            Event::Gossip { from, message, bytes } => {
                self.input(Input::Gossip { from, message, bytes }).await;
            }
            Event::Request { from, token, request } => {
                self.input(Input::Request { from, token, request }).await;
            }
            Event::Response { from, id, result } => {
                self.input(Input::Response { from, id, result }).await
            }
            Event::BlobStream { from, stream } => {
                tokio::spawn(crate::network::upload::serve(
                    self.store.clone(),
                    self.core.clone(),
                    self.limits,
                    from,
                    stream,
                    self.started,
                ));
            }
            Event::Providers { key, peers, done } => {
                let release = perennial_manifest::EntryId::from_bytes(key).into();
                self.input(Input::Providers { release, peers, done }).await;
            }
        }
    }

    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Lookup { selector, publisher, answer } => {
                let lookup = LookupId(self.id());
                self.lookups.insert(lookup, answer);
                self.input(Input::Lookup { lookup, selector, publisher }).await;
            }
            Message::Census { release, blobs, answer } => {
                let census = CensusId(self.id());
                self.censuses.insert(census, answer);
                self.input(Input::Census { census, release, blobs }).await;
            }
            Message::Fetch { release, news, progress, id } => {
                let fetch = self.id();
                self.fetches
                    .insert(FetchId(fetch), Waiting { news, progress, release, blobs: Vec::new() });
                let _ = id.send(fetch);
            }
            Message::FetchBlobs { fetch, blobs, last } => {
                let fetch = FetchId(fetch);
                let Some(waiting) = self.fetches.get_mut(&fetch) else { return };
                for wanted in &blobs {
                    self.sizes.entry(wanted.blob).or_insert((wanted.size, 0)).1 += 1;
                    waiting.blobs.push(wanted.blob);
                }
                let release = waiting.release;
                self.input(Input::Fetch { fetch, release, blobs, last }).await;
            }
            Message::CancelFetch { fetch } => {
                if self.forget(FetchId(fetch)).is_some() {
                    self.input(Input::Cancel { fetch: FetchId(fetch) }).await;
                }
            }
            Message::Publish(signed) => self.input(Input::Publish(signed)).await,
            Message::Follows(follows) => self.input(Input::Follows(follows)).await,
            Message::Held(release) => self.input(Input::Held { release }).await,
            Message::Dropped(release) => self.input(Input::Dropped { release }).await,
            Message::Kept { release, outcome } => {
                self.input(Input::Kept { release, outcome }).await
            }
            Message::Stored { batch, verdicts } => {
                self.input(Input::Stored { batch, verdicts }).await
            }
            Message::Received { assignment, report } => {
                self.input(Input::Received { assignment, report }).await;
            }
            Message::Transferred { assignment, peer, report, end } => {
                self.assignments.remove(&assignment);
                tracing::debug!(%peer, ?end, "an assignment ended");
                self.input(Input::Transferred { assignment, report, end }).await;
            }
            Message::Serve { from, bytes, decision } => {
                let token = Token(STREAM_TOKENS | self.id());
                self.serving.insert(token, decision);
                self.input(Input::BlobStream { from, token, bytes }).await;
            }
            Message::Served { from, token, bytes } => {
                self.count(&from, |info| info.sent += bytes);
                self.input(Input::Served { token, bytes }).await;
            }
            Message::Dial(address) => {
                if let Err(reason) = self.swarm.dial(&address).await {
                    tracing::warn!(%address, %reason, "a peer could not be dialled");
                }
                if !self.peers.contains(&address) && self.peers.len() < 64 {
                    self.peers.push(address);
                }
            }
        }
    }

    fn count(&self, peer: &PeerId, change: impl FnOnce(&mut PeerInfo)) {
        self.overview.send_modify(|overview| {
            if let Some(info) = overview.peers.get_mut(peer) {
                change(info);
            }
        });
    }

    /// Takes a fetch off the books.
    fn forget(&mut self, fetch: FetchId) -> Option<Waiting> {
        let waiting = self.fetches.remove(&fetch)?;
        for blob in &waiting.blobs {
            if let Some(size) = self.sizes.get_mut(blob) {
                size.1 -= 1;
                if size.1 == 0 {
                    self.sizes.remove(blob);
                }
            }
        }
        Some(waiting)
    }
}
