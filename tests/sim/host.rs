//! A simulated node: the real machines over an in-memory catalog, and the surrounding work of the
//! real node's event loop (fetch the list, then the artifacts, then report).

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{BlobId, Keypair, ReleaseId};
use perennial_protocol::{
    Config, Effect, FetchId, Follows, Input, KeepOutcome, Node, Offence, PeerId, Time, WantedBlob,
};

use super::content::Content;
use super::memory::Memory;

/// A simulated node.
pub(crate) struct Host {
    pub(crate) peer: PeerId,
    pub(crate) node: Node,
    pub(crate) memory: Memory,
    pub(crate) follows: Follows,
    pub(crate) key: Keypair,
    pub(crate) online: bool,
    /// The time of the next tick that the node requested.
    pub(crate) wake: Time,
    /// Set once the world has scheduled that tick.
    pub(crate) woken: bool,
    fetches: BTreeMap<FetchId, ReleaseId>,
    next_fetch: u64,
    pub(crate) provided: BTreeSet<ReleaseId>,
    /// `(new entries, bytes sent, bytes received)` of every ended exchange.
    pub(crate) synced: Vec<(u64, u64, u64)>,
    pub(crate) penalties: usize,
}

impl Host {
    pub(crate) fn new(index: usize, seed: u64, follows: Follows) -> Self {
        let peer: PeerId = format!("peer{index:03}").parse().expect("a sound name");
        let mut secret = *blake3_of(&[b"key", &seed.to_le_bytes(), &index.to_le_bytes()]);
        secret[0] |= 1;
        let own = seed.wrapping_add(index as u64);
        Self {
            node: Node::new(Config { me: peer.clone(), seed: own, upload: None }),
            peer,
            memory: Memory::default(),
            follows,
            key: Keypair::from_seed(secret),
            online: true,
            wake: Time::NEVER,
            woken: true,
            fetches: BTreeMap::new(),
            next_fetch: 0,
            provided: BTreeSet::new(),
            synced: Vec::new(),
            penalties: 0,
        }
    }

    /// Restarts the machines; the catalog is kept.
    pub(crate) fn restart(&mut self) {
        self.node = Node::new(Config { me: self.peer.clone(), seed: 0, upload: None });
        self.wake = Time::NEVER;
        self.fetches.clear();
    }

    /// Handles an input. Returns the effects that concern the network.
    pub(crate) fn handle(&mut self, now: Time, input: Input, content: &Content) -> Vec<Effect> {
        let mut outside = Vec::new();
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.node.handle(now, input, &self.memory) {
                match effect {
                    Effect::Store { batch, entries, .. } => {
                        let verdicts = entries
                            .iter()
                            .map(|entry| (entry.id(), self.memory.put(entry)))
                            .collect();
                        inputs.push_back(Input::Stored { batch, verdicts });
                    }
                    Effect::Keep { release, .. } => inputs.extend(self.keep(release)),
                    Effect::BlobDone { fetch, blob } => {
                        inputs.extend(self.blob_done(fetch, blob, content));
                    }
                    Effect::FetchDone { fetch, .. } => {
                        if let Some(release) = self.fetches.remove(&fetch) {
                            self.memory.held.insert(release);
                            inputs.push_back(Input::Held { release });
                            inputs.push_back(Input::Kept { release, outcome: KeepOutcome::Held });
                        }
                    }
                    Effect::FetchFailed { fetch, .. } => {
                        if let Some(release) = self.fetches.remove(&fetch) {
                            inputs.push_back(Input::Kept { release, outcome: KeepOutcome::Failed });
                        }
                    }
                    Effect::Provide { release } => {
                        self.provided.insert(release);
                    }
                    Effect::StopProviding { release } => {
                        self.provided.remove(&release);
                    }
                    Effect::Synced { new, sent, received, .. } => {
                        self.synced.push((new, sent, received));
                    }
                    // A broken link looks like a stalling peer, so a few points against the peer
                    // are acceptable.
                    Effect::Penalise {
                        offence: Offence::Stalled | Offence::FalseClaim, ..
                    } => {}
                    Effect::Penalise { .. } => self.penalties += 1,
                    Effect::WakeAt(at) => {
                        self.wake = at;
                        self.woken = false;
                    }
                    other => outside.push(other),
                }
            }
        }
        outside
    }

    fn missing(&self, blobs: impl IntoIterator<Item = (BlobId, u64)>) -> Vec<WantedBlob> {
        let distinct: BTreeMap<BlobId, u64> = blobs.into_iter().collect();
        let lacking =
            distinct.into_iter().filter(|(blob, _)| !self.memory.blobs.contains_key(blob));
        lacking.map(|(blob, size)| WantedBlob { blob, size, missing: vec![(0, size)] }).collect()
    }

    fn keep(&mut self, release: ReleaseId) -> Option<Input> {
        let artifacts = self.memory.release(&release)?.artifacts;
        let fetch = FetchId(self.next_fetch);
        self.next_fetch += 1;
        self.fetches.insert(fetch, release);
        // The list is fetched even if it is held: the fetch is then done at once.
        let here = self.memory.blobs.contains_key(&artifacts.blob);
        let missing = if here { Vec::new() } else { vec![(0, artifacts.size)] };
        let blobs = vec![WantedBlob { blob: artifacts.blob, size: artifacts.size, missing }];
        Some(Input::Fetch { fetch, release: Some(release), blobs, last: false })
    }

    fn blob_done(&mut self, fetch: FetchId, blob: BlobId, content: &Content) -> Option<Input> {
        let release = *self.fetches.get(&fetch)?;
        let list = content.lists.get(&blob);
        self.memory.blobs.insert(blob, content.sizes[&blob]);
        let list = list?;
        let blobs = self.missing(list.iter().copied());
        Some(Input::Fetch { fetch, release: Some(release), blobs, last: true })
    }
}

fn blake3_of(parts: &[&[u8]]) -> Box<[u8; 32]> {
    Box::new(*BlobId::of(&parts.concat()).as_bytes())
}
