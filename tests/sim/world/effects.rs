//! Applies the effects of a host to the world.

use perennial_protocol::{
    Acceptance, Answer, BlobRange, BlobRequest, Bounded, Effect, End, Input, PeerId, Report,
    Response, Sealed, Token,
};
use rand::seq::SliceRandom;

use super::{Event, World};

impl World {
    pub(super) fn effects(&mut self, host: usize, effects: Vec<Effect>) {
        if !std::mem::replace(&mut self.hosts[host].woken, true) {
            self.next_event += 1;
            let wake = self.hosts[host].wake.max(self.now);
            self.inbox.insert((wake, self.next_event), (host, Event::Wake));
        }
        let mut done = Vec::new();
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
                Effect::Respond { token, response } => self.respond(host, token, &response),
                Effect::Answer { token, question } => {
                    let Answer { response, sealed } = question.answer(&self.hosts[host].memory);
                    self.respond(host, token, &response);
                    done.push(Input::Answered { token, sealed });
                }
                Effect::Seal { scope } => {
                    let sealed = Some(Sealed::new(scope.clone(), &self.hosts[host].memory));
                    done.push(Input::Sealed { scope, sealed });
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
        for input in done {
            self.input(host, input);
        }
    }

    fn respond(&mut self, host: usize, token: Token, response: &Response) {
        let Some((to, id)) = self.tokens.remove(&token) else { return };
        let bytes = response.encode().expect("within its bound");
        if let Some(time) = self.travel(host, to) {
            self.after(time, to, Event::Response { from: host, id, bytes: Some(bytes) });
        }
    }

    pub(super) fn gossip(&mut self, host: usize, except: Option<usize>, bytes: &[u8]) {
        let neighbours: Vec<usize> =
            (0..self.hosts.len()).filter(|n| self.linked(host, *n) && Some(*n) != except).collect();
        for to in neighbours {
            if let Some(time) = self.travel(host, to) {
                self.after(time, to, Event::Gossip { from: host, bytes: bytes.to_vec() });
            }
        }
    }
}
