//! Delivers events to hosts: arrivals become inputs, and blob streams are served.

use perennial_protocol::{
    AssignmentId, BlobRange, BlobRequest, Effect, End, Input, MessageId, Prefix, Report, Request,
    RequestFailure, Response, Token,
};

use super::{Event, RATE, World};

impl World {
    pub(super) fn event(&mut self, host: usize, event: Event) {
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

    /// A blob stream arrives at its server. Held ranges arrive back after the transfer time.
    pub(super) fn blobs(
        &mut self,
        host: usize,
        from: usize,
        assignment: AssignmentId,
        frame: &[u8],
    ) {
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
}
