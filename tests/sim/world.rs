//! The world: virtual time, one thread, one ordered inbox, a seeded generator, links with latency and loss,
//! partitions, a DHT that is always right within a partition. Owns every host; does what their effects ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::{Body, PublisherId, ReleaseId, SignedEntry};
use perennial_protocol::{
    Acceptance, AssignmentId, BlobRange, BlobRequest, Bounded, Effect, End, Follows, Input,
    MessageId, PeerId, Prefix, Report, Request, RequestFailure, RequestId, Response, Time, Token,
};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::content::Content;
use super::host::Host;

/// What a link loses of requests, responses and gossip, in percent.
const LOSS: u32 = 2;
/// Bytes a second of one blob stream.
const RATE: u64 = 8 << 20;

/// Something that will happen to a host.
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

/// The world.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    pub(crate) content: Content,
    rng: ChaCha8Rng,
    inbox: BTreeMap<(Time, u64), (usize, Event)>,
    next_event: u64,
    links: BTreeSet<(usize, usize)>,
    /// Which side of a partition each host is on.
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

    /// A number that two runs share only if everything happened the same.
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

    /// Every host is linked to a ring neighbour and some others.
    pub(crate) fn mesh(&mut self, degree: usize) {
        let count = self.hosts.len();
        for one in 0..count {
            self.link(one, (one + 1) % count);
            let mut others: Vec<usize> = (0..count).collect();
            others.shuffle(&mut self.rng);
            for other in others.into_iter().take(degree / 2) {
                self.link(one, other);
            }
        }
    }

    pub(crate) fn link(&mut self, one: usize, other: usize) {
        let pair = (one.min(other), one.max(other));
        let possible = one != other
            && self.side[one] == self.side[other]
            && self.hosts[one].online
            && self.hosts[other].online;
        if possible && self.links.insert(pair) {
            let latency = self.rng.random_range(5..80);
            self.latency.insert(pair, latency);
            self.after(latency, one, Event::Up(other));
            self.after(latency, other, Event::Up(one));
        }
    }

    fn unlink(&mut self, pair: (usize, usize)) {
        if self.links.remove(&pair) {
            self.after(1, pair.0, Event::Down(pair.1));
            self.after(1, pair.1, Event::Down(pair.0));
        }
    }

    /// Cuts every link between the sides; hosts on different sides cannot meet.
    pub(crate) fn partition(&mut self, side: impl Fn(usize) -> u8) -> Vec<(usize, usize)> {
        self.side = (0..self.hosts.len()).map(side).collect();
        let cut: Vec<(usize, usize)> =
            self.links.iter().filter(|(a, b)| self.side[*a] != self.side[*b]).copied().collect();
        for pair in &cut {
            self.unlink(*pair);
        }
        cut
    }

    pub(crate) fn heal(&mut self, cut: Vec<(usize, usize)>) {
        self.side = vec![0; self.hosts.len()];
        for (one, other) in cut {
            self.link(one, other);
        }
    }

    pub(crate) fn set_online(&mut self, host: usize, online: bool) {
        self.hosts[host].online = online;
        if !online {
            let links: Vec<_> =
                self.links.iter().filter(|(a, b)| *a == host || *b == host).copied().collect();
            for pair in links {
                self.unlink(pair);
            }
        }
    }

    /// A host is back, but nobody can reach it yet.
    pub(crate) fn side_apart(&mut self, host: usize) {
        self.side[host] = 9;
    }

    /// A host's machines start anew over the same catalog.
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

    /// Somebody outside the rules sends gossip to a host, as if from a neighbour.
    pub(crate) fn inject(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.after(1, to, Event::Gossip { from, bytes });
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    /// Runs until a condition holds (asked once a simulated second) or time is up; says whether it held.
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

    fn linked(&self, one: usize, other: usize) -> bool {
        self.links.contains(&(one.min(other), one.max(other)))
    }

    /// The link's latency with some jitter; none when the message is lost.
    fn travel(&mut self, from: usize, to: usize) -> Option<u64> {
        let base = *self.latency.get(&(from.min(to), from.max(to)))?;
        let (jitter, lost) =
            (self.rng.random_range(0..10), self.rng.random_range(0..100) < self.loss);
        (!lost && self.linked(from, to)).then_some(base + jitter)
    }

    fn event(&mut self, host: usize, event: Event) {
        if !self.hosts[host].online {
            return;
        }
        let peer = |world: &Self, index: usize| world.hosts[index].peer.clone();
        match event {
            Event::Wake => {
                if self.hosts[host].wake <= self.now {
                    self.input(host, Input::Tick);
                }
            }
            Event::Up(other) => {
                if self.linked(host, other) {
                    let peer = peer(self, other);
                    self.input(host, Input::Connected { peer, prefix: Prefix::default() });
                }
            }
            Event::Down(other) => {
                let peer = peer(self, other);
                self.input(host, Input::Disconnected { peer });
            }
            Event::Gossip { from, bytes } => {
                let message = MessageId(bytes.clone());
                let from = peer(self, from);
                self.input(host, Input::Gossip { from, message, bytes });
            }
            Event::Request { from, id, bytes } => {
                self.bytes += bytes.len() as u64;
                let token = Token(self.next_token);
                self.next_token += 1;
                self.tokens.insert(token, (from, id));
                let request = Request::decode(&bytes).expect("hosts write what they read");
                let from = peer(self, from);
                self.input(host, Input::Request { from, token, request });
            }
            Event::Response { from, id, bytes } => {
                let result = bytes.map_or(Err(RequestFailure::Disconnected), |bytes| {
                    self.bytes += bytes.len() as u64;
                    Response::decode(&bytes).map_err(|_| RequestFailure::Malformed)
                });
                let from = peer(self, from);
                self.input(host, Input::Response { from, id, result });
            }
            Event::Blobs { from, assignment, frame } => self.blobs(host, from, assignment, &frame),
            Event::Sent { from, assignment, report, end, token } => {
                if let Some(token) = token {
                    self.input(from, Input::Served { token, bytes: 0 });
                }
                let (report, end) = if self.linked(host, from) {
                    (report, end)
                } else {
                    (Report::default(), End::Closed)
                };
                self.input(host, Input::Transferred { assignment, report, end });
            }
            Event::Providers { release, peers } => {
                self.input(host, Input::Providers { release, peers, done: true });
            }
        }
    }

    /// A blob stream at its server: what it holds takes its time, then it is there.
    fn blobs(&mut self, host: usize, from: usize, assignment: AssignmentId, frame: &[u8]) {
        let request = BlobRequest::decode(&frame[4..]).expect("hosts write what they read");
        let token = Token(self.next_token);
        self.next_token += 1;
        let asker = self.hosts[from].peer.clone();
        let now = self.now;
        let bytes = request.bytes();
        let effects = self.hosts[host].handle(
            now,
            Input::BlobStream { from: asker, token, bytes },
            &self.content,
        );
        let start = effects.iter().find_map(|effect| match effect {
            Effect::Serve { start, .. } => Some(*start),
            _ => None,
        });
        self.effects(host, effects);
        let Some(start) = start else {
            let (report, end) = (Report::default(), End::Overload);
            self.after(20, from, Event::Sent { from: host, assignment, report, end, token: None });
            return;
        };
        let (held, not_held): (Vec<BlobRange>, Vec<BlobRange>) = request
            .items
            .into_iter()
            .partition(|item| self.hosts[host].memory.blobs.contains_key(&item.blob));
        let sent: u64 = held.iter().map(BlobRange::bytes).sum();
        let report = Report {
            verified: held,
            not_held: not_held.into_iter().map(|item| item.blob).collect(),
        };
        let wait = u64::try_from(start.since(now).as_millis()).unwrap_or(0);
        let event =
            Event::Sent { from: host, assignment, report, end: End::Finished, token: Some(token) };
        self.after(wait + 30 + sent * 1000 / RATE, from, event);
    }

    fn input(&mut self, host: usize, input: Input) {
        let now = self.now;
        let effects = self.hosts[host].handle(now, input, &self.content);
        self.effects(host, effects);
    }

    fn effects(&mut self, host: usize, effects: Vec<Effect>) {
        if !std::mem::replace(&mut self.hosts[host].woken, true) {
            self.next_event += 1;
            let wake = self.hosts[host].wake.max(self.now);
            self.inbox.insert((wake, self.next_event), (host, Event::Wake));
        }
        for effect in effects {
            match effect {
                Effect::Publish { bytes } => self.gossip(host, None, &bytes),
                Effect::ReportGossip { message, from, acceptance } => {
                    self.note(&[acceptance as u64]);
                    if acceptance == Acceptance::Accept {
                        self.gossip(host, self.index.get(&from).copied(), &message.0);
                    }
                }
                Effect::Send { peer, id, request } => {
                    let to = self.index[&peer];
                    let bytes = request.encode().expect("within its bound");
                    if !self.linked(host, to) {
                        self.after(1, host, Event::Response { from: to, id, bytes: None });
                    } else if let Some(time) = self.travel(host, to) {
                        self.after(time, to, Event::Request { from: host, id, bytes });
                    }
                }
                Effect::Respond { token, response } => {
                    let Some((to, id)) = self.tokens.remove(&token) else { continue };
                    let bytes = response.encode().expect("within its bound");
                    if let Some(time) = self.travel(host, to) {
                        self.after(
                            time,
                            to,
                            Event::Response { from: host, id, bytes: Some(bytes) },
                        );
                    }
                }
                Effect::StartDownload { assignment, peer, items } => {
                    let to = self.index[&peer];
                    let items: Vec<BlobRange> = items.into_iter().map(|item| item.range).collect();
                    let items = Bounded::try_from(items).expect("within its bound");
                    let frame = BlobRequest { items }.encode_frame().expect("within its bound");
                    let latency = self.travel(host, to).unwrap_or(40);
                    if self.linked(host, to) {
                        self.after(latency, to, Event::Blobs { from: host, assignment, frame });
                    } else {
                        let (report, end) = (Report::default(), End::Closed);
                        self.after(
                            1,
                            host,
                            Event::Sent { from: to, assignment, report, end, token: None },
                        );
                    }
                }
                Effect::FindProviders { release } => {
                    let side = self.side[host];
                    let provides = |n: &usize| {
                        self.side[*n] == side && self.hosts[*n].provided.contains(&release)
                    };
                    let mut peers: Vec<PeerId> = (0..self.hosts.len())
                        .filter(|n| *n != host && self.hosts[*n].online)
                        .filter(provides)
                        .map(|n| self.hosts[n].peer.clone())
                        .collect();
                    peers.shuffle(&mut self.rng);
                    peers.truncate(20);
                    self.after(300, host, Event::Providers { release, peers });
                }
                Effect::Dial { peer } => {
                    let to = self.index[&peer];
                    self.link(host, to);
                }
                Effect::Ban { peer, .. } => {
                    let other = self.index[&peer];
                    self.unlink((host.min(other), host.max(other)));
                }
                _ => {}
            }
        }
    }

    fn gossip(&mut self, host: usize, except: Option<usize>, bytes: &[u8]) {
        let neighbours: Vec<usize> =
            (0..self.hosts.len()).filter(|n| self.linked(host, *n) && Some(*n) != except).collect();
        for to in neighbours {
            if let Some(time) = self.travel(host, to) {
                self.after(time, to, Event::Gossip { from: host, bytes: bytes.to_vec() });
            }
        }
    }

    /// No queue beyond its bound, on any host.
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
