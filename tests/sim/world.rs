//! The world: virtual time, one thread, one ordered inbox, a seeded generator, links with latency
//! and loss, partitions, and a DHT that is always right within a partition. Owns every host and
//! carries out its effects.

mod effects;
mod events;
mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::{Body, PublisherId, ReleaseId, SignedEntry};
use perennial_protocol::{
    AssignmentId, End, Follows, Input, PeerId, Prefix, Report, RequestId, Time, Token,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::content::Content;
use super::host::Host;

/// Share of requests, responses and gossip that a link loses, in percent.
const LOSS: u32 = 2;
/// Rate of one blob stream, in bytes per second.
const RATE: u64 = 8 << 20;

/// A future event for a host. Hosts are identified by their index.
enum Event {
    Wake,
    Up(usize),
    Down(usize),
    Gossip { from: usize, bytes: Vec<u8> },
    Request { from: usize, id: RequestId, bytes: Vec<u8> },
    Response { from: usize, id: RequestId, bytes: Option<Vec<u8>> },
    Blobs { from: usize, assignment: AssignmentId, frame: Vec<u8> },
    Sent { from: usize, assignment: AssignmentId, report: Report, end: End, token: Option<Token> },
    Providers { release: ReleaseId, peers: Vec<PeerId> },
}

/// Every host and the links between them.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    pub(crate) content: Content,
    rng: ChaCha8Rng,
    inbox: BTreeMap<(Time, u64), (usize, Event)>,
    next_event: u64,
    links: BTreeSet<(usize, usize)>,
    /// The partition side of each host.
    side: Vec<u8>,
    latency: BTreeMap<(usize, usize), u64>,
    index: BTreeMap<PeerId, usize>,
    tokens: BTreeMap<Token, (usize, RequestId)>,
    next_token: u64,
    trace: u64,
    pub(crate) events: u64,
    /// Bytes of requests and responses.
    pub(crate) bytes: u64,
    loss: u32,
}

impl World {
    pub(crate) fn new(seed: u64, follows: Vec<Follows>) -> Self {
        let hosts: Vec<Host> = follows
            .into_iter()
            .enumerate()
            .map(|(n, follows)| Host::new(n, seed, follows))
            .collect();
        let index = hosts.iter().enumerate().map(|(n, host)| (host.peer.clone(), n)).collect();
        let mut world = Self {
            now: Time::from_millis(1),
            side: vec![0; hosts.len()],
            index,
            hosts,
            content: Content::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            inbox: BTreeMap::new(),
            next_event: 0,
            links: BTreeSet::new(),
            latency: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next_token: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            events: 0,
            bytes: 0,
            loss: LOSS,
        };
        for host in 0..world.hosts.len() {
            let follows = world.hosts[host].follows.clone();
            world.input(host, Input::Follows(follows));
        }
        world
    }

    pub(crate) fn lossless(mut self) -> Self {
        self.loss = 0;
        self
    }

    pub(crate) fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }

    /// A hash over every event: equal only for identical runs.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    pub(crate) fn publisher(&self, host: usize) -> PublisherId {
        self.hosts[host].key.id()
    }

    pub(crate) fn follow(&mut self, host: usize, follows: Follows) {
        self.hosts[host].follows = follows.clone();
        self.input(host, Input::Follows(follows));
    }

    /// Restarts a host's machines over the same catalog.
    pub(crate) fn restart(&mut self, host: usize) {
        self.hosts[host].restart();
        let follows = self.hosts[host].follows.clone();
        self.input(host, Input::Follows(follows));
        let linked: Vec<usize> =
            (0..self.hosts.len()).filter(|other| self.linked(host, *other)).collect();
        for other in linked {
            let peer = self.hosts[other].peer.clone();
            self.input(host, Input::Connected { peer, prefix: Prefix::default() });
        }
    }

    /// Adds a release on a host, signed by its key.
    pub(crate) fn add(&mut self, host: usize, version: u64, sizes: &[u64]) -> ReleaseId {
        let (body, blobs) = self.content.release(&format!("thing-{host}"), version, sizes);
        for blob in blobs {
            let size = self.content.sizes[&blob];
            self.hosts[host].memory.blobs.insert(blob, size);
        }
        self.publish(host, body)
    }

    pub(crate) fn publish(&mut self, host: usize, body: Body) -> ReleaseId {
        let issued_at = self.now.as_millis() / 1000;
        let entry = self.hosts[host].memory.sign(&self.hosts[host].key, issued_at, body);
        self.publish_signed(host, entry)
    }

    pub(crate) fn publish_signed(&mut self, host: usize, entry: SignedEntry) -> ReleaseId {
        let release = ReleaseId::from(entry.id());
        self.hosts[host].memory.put(&entry);
        self.hosts[host].memory.held.insert(release);
        self.input(host, Input::Publish(Box::new(entry)));
        self.input(host, Input::Held { release });
        release
    }

    /// Sends arbitrary gossip to a host, as if from a neighbour.
    pub(crate) fn inject(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.after(1, to, Event::Gossip { from, bytes });
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    /// Runs until a condition, checked once per simulated second, holds, or time is up. Returns
    /// whether it held.
    pub(crate) fn run_until(&mut self, until: Time, done: impl Fn(&Self) -> bool) -> bool {
        let mut check = self.now;
        loop {
            if self.now >= check {
                if done(self) {
                    return true;
                }
                self.check_bounds();
                check = self.now + Duration::from_secs(1);
            }
            let Some(entry) = self.inbox.first_entry() else { return done(self) };
            let (at, order) = *entry.key();
            if at > until {
                self.now = until;
                return done(self);
            }
            let (host, event) = entry.remove();
            self.now = at;
            self.events += 1;
            self.note(&[at.as_millis(), order, host as u64]);
            self.event(host, event);
        }
    }

    fn note(&mut self, words: &[u64]) {
        for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn after(&mut self, millis: u64, host: usize, event: Event) {
        let at = self.now + Duration::from_millis(millis);
        self.next_event += 1;
        self.inbox.insert((at, self.next_event), (host, event));
    }

    fn input(&mut self, host: usize, input: Input) {
        let now = self.now;
        let effects = self.hosts[host].handle(now, input, &self.content);
        self.effects(host, effects);
    }

    /// Asserts that no machine of any host is over its bound.
    pub(crate) fn check_bounds(&self) {
        for host in &self.hosts {
            let load = host.node.load();
            assert_eq!(load.excess(), None, "{} at {:?}: {load:?}", host.peer, self.now);
        }
    }

    /// `(host, release)` of every followed release that a follower does not hold.
    pub(crate) fn lacking(&self, releases: &[(PublisherId, ReleaseId)]) -> Vec<(usize, ReleaseId)> {
        let mut lacking = Vec::new();
        for (n, host) in self.hosts.iter().enumerate() {
            let followed = releases.iter().filter(|(publisher, _)| host.follows.covers(publisher));
            lacking.extend(
                followed.filter(|(_, r)| !host.memory.held.contains(r)).map(|(_, r)| (n, *r)),
            );
        }
        lacking
    }
}
