//! The router: one input in, effects out. Owns the machines; its own state is only the connected
//! peers.
//!
//! Decides nothing that a machine could decide. Every machine's state is bounded; [`Node::load`]
//! reports its size. [`Node::handle`] returns `WakeAt` whenever the next moment of interest has
//! changed.
//!
//! ```text
//!  Input                    machine                          Effect
//!  Gossip, Publish ───────► gossip ────────────────────────► ReportGossip, Publish, Store
//!  Request, BlobStream ───► limits ──► questions ──────────► Answer, Serve, RefuseServe
//!  Connected, Stored, … ──► sync (one exchange per peer) ──► Send, Store, Synced
//!  Response ──► requests ─► the machine that asked
//!  Fetch, Cancel ─────────► fetch ──► find (holders) ──────► Send, FindProviders, Dial
//!  Received, Transferred ─►   └─────► transfer (ranges) ───► StartDownload, StopDownload
//!                                                            BlobDone, FetchDone, FetchFailed
//!  Lookup, Search, Census ► find/lookup, find/census ──────► Send, LookupDone, CensusDone
//!  Follows, Kept, … ──────► keep ──────────────────────────► Keep
//!  Held, Dropped ─────────► placement ─────────────────────► Provide, StopProviding
//!  any offence ───────────► reputation ────────────────────► Penalise, Ban
//!  Chosen, what peers bring ► places (who has earned one) ─► Earned
//!  Tick ──────────────────► whatever is due ───────────────► WakeAt
//! ```

mod events;
mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batches::Batches;
use crate::catalog::Catalog;
use crate::effect::Effect;
use crate::effects::Effects;
use crate::fetch::Fetches;
use crate::find::census::Censuses;
use crate::find::lookup::{Asked, Lookups};
use crate::gossip::Gossip;
use crate::input::{Follows, Input, RequestFailure};
use crate::keep::Keep;
use crate::limits::Limits;
use crate::peer::PeerId;
use crate::places::{Guest, Standing, Standings};
use crate::prefix::Prefix;
use crate::questions::Questions;
use crate::reputation::Reputation;
use crate::requests::Requests;
use crate::sync::Reconciler;
use crate::time::Time;

pub use load::Load;

/// Peers known to the machines at a time, at most; the network layer's own limit is lower.
pub(crate) const PEERS: usize = 1024;
/// How often the rate limiters are swept of buckets that no longer limit anything.
pub(crate) const SWEEP: Duration = Duration::from_secs(60);

/// The settings of a node.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's own peer id.
    pub me: PeerId,
    /// Breaks ties, so that nodes in equal situations choose differently.
    pub seed: u64,
    /// Cap on all blob streams served together, in bytes per second; `None` for no cap.
    pub upload: Option<u64>,
}

/// The network decisions of one node, without a network.
///
/// ```
/// use perennial_manifest::{
///     BlobId, EntryId, Holding, PublisherId, ReleaseId, Selector, Sha256Digest,
/// };
/// use perennial_protocol::{
///     BlobClaim, Catalog, Config, Effect, EntryBytes, Follows, Input, Node, Prefix, Request,
///     Scope, Sealed, Time, Wanted,
/// };
///
/// /// A node that holds nothing yet.
/// struct Empty;
///
/// impl Catalog for Empty {
///     fn generation(&self) -> u64 { 0 }
///     fn has_entry(&self, _: &EntryId) -> bool { false }
///     fn entry(&self, _: &EntryId) -> Option<EntryBytes> { None }
///     fn times(&self, _: &Scope) -> Vec<(u64, EntryId)> { Vec::new() }
///     fn takes(&self, _: &PublisherId) -> bool { true }
///     fn find(&self, _: &Selector, _: Option<&PublisherId>, _: usize) -> Vec<EntryBytes> {
///         Vec::new()
///     }
///     fn holding(&self, _: &ReleaseId) -> Option<Holding> { None }
///     fn blob_size(&self, _: &BlobId) -> Option<u64> { None }
///     fn sha256(&self, _: &Sha256Digest) -> Option<BlobClaim> { None }
///     fn wanted(&self, _: &Follows, _: Option<&ReleaseId>, _: usize) -> Vec<Wanted> {
///         Vec::new()
///     }
/// }
///
/// let mut node = Node::new(Config { me: "me".parse()?, seed: 7, upload: None });
/// node.handle(Time::ZERO, Input::Follows(Follows::All), &Empty);
///
/// // A peer connects: the node reads its entries, to ask the peer what it has that they lack.
/// let connected = Input::Connected { peer: "peer".parse()?, prefix: Prefix::default() };
/// let effects = node.handle(Time::from_millis(5), connected, &Empty);
/// assert!(effects.iter().any(|effect| matches!(effect, Effect::Seal { scope: Scope::All })));
/// let sealed = Some(Sealed::new(Scope::All, &Empty));
/// let read = Input::Sealed { scope: Scope::All, sealed };
/// let effects = node.handle(Time::from_millis(6), read, &Empty);
/// assert!(effects.iter().any(|effect| matches!(
///     effect,
///     Effect::Send { request: Request::Reconcile { scope: Scope::All, .. }, .. }
/// )));
/// # Ok::<(), perennial_protocol::PeerIdError>(())
/// ```
#[derive(Debug)]
pub struct Node {
    me: PeerId,
    follows: Follows,
    peers: BTreeMap<PeerId, Prefix>,
    requests: Requests,
    batches: Batches,
    gossip: Gossip,
    sync: Reconciler,
    fetches: Fetches,
    lookups: Lookups,
    censuses: Censuses,
    keep: Keep,
    questions: Questions,
    limits: Limits,
    reputation: Reputation,
    standings: Standings,
    sweep: Time,
    wake: Time,
}

impl Node {
    /// A node that knows no peer and follows no publisher.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { me, seed, upload } = config;
        Self {
            follows: Follows::default(),
            peers: BTreeMap::new(),
            requests: Requests::default(),
            batches: Batches::default(),
            gossip: Gossip::default(),
            sync: Reconciler::default(),
            fetches: Fetches::new(me.clone(), seed),
            lookups: Lookups::default(),
            censuses: Censuses::new(me.clone()),
            keep: Keep::new(me.clone()),
            questions: Questions::default(),
            limits: Limits::new(upload),
            reputation: Reputation::default(),
            standings: Standings::default(),
            sweep: Time::ZERO,
            wake: Time::NEVER,
            me,
        }
    }

    /// Handles one input. `now` must not decrease from call to call.
    pub fn handle(&mut self, now: Time, input: Input, catalog: &dyn Catalog) -> Vec<Effect> {
        let mut list = Vec::new();
        let mut requests = std::mem::take(&mut self.requests);
        let mut batches = std::mem::take(&mut self.batches);
        let mut out =
            Effects { now, list: &mut list, requests: &mut requests, batches: &mut batches };
        if matches!(input, Input::Tick) {
            // A tick may come slightly early: the same moment is then requested again.
            self.wake = Time::NEVER;
        }
        self.input(input, catalog, &mut out);
        self.run_due(catalog, &mut out);
        (self.requests, self.batches) = (requests, batches);
        if self.wake <= now {
            // The moment has been reached, and may be requested again.
            self.wake = Time::NEVER;
        }
        let wake = self.next().max(now);
        if wake != self.wake {
            self.wake = wake;
            if wake < Time::NEVER {
                list.push(Effect::WakeAt(wake));
            }
        }
        list
    }

    fn input(&mut self, input: Input, catalog: &dyn Catalog, out: &mut Effects<'_>) {
        match input {
            Input::Connected { peer, prefix } => self.connected(peer, prefix, out),
            Input::Disconnected { peer } => self.disconnected(&peer, out),
            Input::Gossip { from, message, bytes } => {
                self.gossip(&from, message, &bytes, catalog, out);
            }
            Input::Request { from, token, request } => {
                self.request(&from, token, request, out);
            }
            Input::Answered { token, sealed } => self.answered(token, sealed, out),
            Input::Sealed { scope, sealed } => {
                let ended = self.sync.sealed(&scope, sealed, catalog, out);
                self.exchanges_ended(ended, out);
            }
            Input::Response { from, id, result } => {
                if let Some(waiting) = out.requests.finish(id, &from) {
                    self.response(&waiting, result, catalog, out);
                }
            }
            Input::BlobStream { from, token, bytes } => {
                out.push(match self.limits.serve(out.now, &from, token, bytes) {
                    Some(start) => Effect::Serve { token, start },
                    None => Effect::RefuseServe { token },
                });
            }
            Input::Served { token, bytes } => self.limits.served(token, bytes),
            Input::Follows(follows) => {
                self.follows = follows;
                self.sync.all_due(out.now);
                self.keep.look(out.now);
            }
            Input::Publish(entry) => self.publish(&entry, out),
            Input::Chosen { peer } => self.earned(&peer, Standing::Chosen, out),
            Input::Stored { batch, verdicts } => self.stored(batch, &verdicts, catalog, out),
            Input::Lookup { lookup, selector, publisher } => {
                let asked = Asked::Meaning(selector, publisher);
                self.lookups.start(lookup, asked, &self.connected_peers(), out);
            }
            Input::Search { lookup, text } => {
                self.lookups.start(lookup, Asked::Words(text), &self.connected_peers(), out);
            }
            Input::Census { census, release, blobs } => {
                self.censuses.start(census, release, blobs, &self.connected_peers(), out);
            }
            Input::Fetch { fetch, release, blobs, last } => {
                self.fetches.start(fetch, release, blobs, last, &self.connected_peers(), out);
            }
            Input::Cancel { fetch } => self.fetches.cancel(fetch, out),
            Input::Received { assignment, report } => {
                self.brought(assignment, &report, out);
                self.fetches.received(assignment, report, None, out);
            }
            Input::Transferred { assignment, report, end } => {
                self.brought(assignment, &report, out);
                self.fetches.received(assignment, report, Some(end), out);
            }
            Input::Providers { release, peers, done } => {
                self.fetches.find.providers(&release, &peers, done, &self.connected_peers(), out);
                self.lookups.providers(&release, &peers, done, out);
                self.censuses.providers(&release, &peers, done, out);
            }
            Input::Room => self.keep.try_soon(out.now),
            Input::Kept { release, outcome } => self.keep.ended(out.now, &release, outcome),
            Input::Held { release } => self.held(release, out),
            Input::Dropped { release } => {
                out.push(Effect::StopProviding { release });
                self.keep.look(out.now);
            }
            Input::Tick => {}
        }
    }

    /// Runs the work that time or the input has made due.
    fn run_due(&mut self, catalog: &dyn Catalog, out: &mut Effects<'_>) {
        for waiting in out.requests.lost(out.now, None) {
            self.response(&waiting, Err(RequestFailure::Timeout), catalog, out);
        }
        let (peers, standings) = (&self.peers, &self.standings);
        let guest = |peer: &PeerId| Guest {
            peer: Some(peer.clone()),
            prefix: peers.get(peer).copied().unwrap_or_default(),
            standing: standings.of(peer),
        };
        let ended = self.sync.start_due(&self.follows, &guest, catalog, out);
        self.exchanges_ended(ended, out);
        self.fetches.tick(&self.connected_peers(), out);
        self.lookups.settle(out);
        self.censuses.settle(out);
        self.next_questions(catalog, out);
        for wanted in self.keep.plan(out.now, &self.follows, catalog) {
            out.push(Effect::Keep { release: wanted.release, publisher: wanted.publisher });
        }
        for (peer, offence) in std::mem::take(&mut self.fetches.offences) {
            self.blame(&peer, offence, out);
        }
        if self.sweep <= out.now {
            self.sweep = out.now + SWEEP;
            self.limits.sweep(out.now);
            self.gossip.sweep(out.now);
        }
    }

    fn next(&self) -> Time {
        let machines = [
            self.sync.next(),
            self.fetches.next(),
            self.lookups.next(),
            self.censuses.next(),
            self.keep.next(),
            self.sweep,
        ];
        machines.into_iter().min().unwrap_or(Time::NEVER).min(self.requests.next_timeout())
    }

    fn connected_peers(&self) -> Vec<PeerId> {
        self.peers.keys().cloned().collect()
    }
}
