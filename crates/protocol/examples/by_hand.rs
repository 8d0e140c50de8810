//! Two nodes without a network: the example carries their messages, and prints their decisions.
//!
//! `archive` has signed a release. `mirror` follows its publisher, connects, reconciles, and wants
//! to keep the release. `cargo run -p perennial-protocol --example by_hand`

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, EntryId, FeedState, Holding, Keypair, PublisherId, Release,
    ReleaseId, Selector, Sha256Digest, SignedEntry,
};
use perennial_protocol::{
    Answer, BlobClaim, Catalog, Config, Effect, EntryBytes, Follows, Input, Node, PeerId, Prefix,
    RequestId, Scope, Sealed, Time, Token, Verdict, Wanted,
};

/// The entries of one node. A real node answers from its store; this one holds no blobs.
#[derive(Default)]
struct Entries(BTreeMap<EntryId, SignedEntry>);

impl Catalog for Entries {
    fn generation(&self) -> u64 {
        self.0.len() as u64
    }
    fn has_entry(&self, id: &EntryId) -> bool {
        self.0.contains_key(id)
    }
    fn entry(&self, id: &EntryId) -> Option<EntryBytes> {
        self.0.get(id).map(|entry| EntryBytes(entry.encode()))
    }
    fn times(&self, _: &Scope) -> Vec<(u64, EntryId)> {
        self.0.values().map(|entry| (entry.entry().issued_at, entry.id())).collect()
    }
    fn takes(&self, _: &PublisherId) -> bool {
        true
    }
    fn find(&self, _: &Selector, _: Option<&PublisherId>, _: usize) -> Vec<EntryBytes> {
        Vec::new()
    }
    fn holding(&self, _: &ReleaseId) -> Option<Holding> {
        None
    }
    fn blob_size(&self, _: &BlobId) -> Option<u64> {
        None
    }
    fn sha256(&self, _: &Sha256Digest) -> Option<BlobClaim> {
        None
    }
    fn wanted(&self, follows: &Follows, after: Option<&ReleaseId>, limit: usize) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = self
            .0
            .values()
            .filter(|entry| follows.covers(&entry.entry().publisher))
            .filter_map(|entry| {
                let (release, body) = entry.release()?;
                let publisher = entry.entry().publisher;
                Some(Wanted { release, publisher, artifacts: body.artifacts })
            })
            .filter(|wanted| after.is_none_or(|after| wanted.release > *after))
            .collect();
        wanted.sort_by_key(|wanted| wanted.release);
        wanted.truncate(limit);
        wanted
    }
}

/// A node and its catalog.
struct Machine {
    name: PeerId,
    node: Node,
    entries: Entries,
}

fn main() -> Result<(), Box<dyn Error>> {
    let key = Keypair::from_seed([1; 32]);
    let mut machines = [machine("archive")?, machine("mirror")?];
    let release = release(&key)?;
    machines[0].entries.0.insert(release.id(), release);

    // Inputs in transit, each addressed to one machine.
    let mut inputs = VecDeque::new();
    inputs.push_back((1, Input::Follows(Follows::Publishers([key.id()].into()))));
    for (to, peer) in [(0, "mirror"), (1, "archive")] {
        let peer = peer.parse()?;
        inputs.push_back((to, Input::Connected { peer, prefix: Prefix::default() }));
    }
    // The request id behind each token.
    let mut asked: BTreeMap<Token, RequestId> = BTreeMap::new();
    let mut tokens = 0;
    let mut kept = false;
    while let Some((at, input)) = inputs.pop_front() {
        let machine = &mut machines[at];
        println!("{} <- {}", machine.name, summary(&format!("{input:?}")));
        let effects = machine.node.handle(Time::ZERO, input, &machine.entries);
        for effect in effects {
            println!("{} decides {}", machine.name, summary(&format!("{effect:?}")));
            let from = machine.name.clone();
            match effect {
                // The request travels to the other machine, which identifies it by a token.
                Effect::Send { id, request, .. } => {
                    tokens += 1;
                    let token = Token(tokens);
                    inputs.push_back((1 - at, Input::Request { from, token, request }));
                    asked.insert(token, id);
                }
                // The response travels back.
                Effect::Respond { token, response } => {
                    let id = asked.remove(&token).ok_or("no such request")?;
                    let result = Ok(response);
                    inputs.push_back((1 - at, Input::Response { from, id, result }));
                }
                // A real node answers on another thread.
                Effect::Answer { token, question } => {
                    let id = asked.remove(&token).ok_or("no such request")?;
                    let Answer { response, sealed } = question.answer(&machine.entries);
                    let result = Ok(response);
                    inputs.push_back((1 - at, Input::Response { from, id, result }));
                    inputs.push_back((at, Input::Answered { token, sealed }));
                }
                Effect::Seal { scope } => {
                    let sealed = Some(Sealed::new(scope.clone(), &machine.entries));
                    inputs.push_back((at, Input::Sealed { scope, sealed }));
                }
                // A real store checks the feed's rules; this one accepts every entry.
                Effect::Store { batch, entries, .. } => {
                    let verdicts = entries.iter().map(|e| (e.id(), Verdict::New)).collect();
                    machine.entries.0.extend(entries.into_iter().map(|e| (e.id(), e)));
                    inputs.push_back((at, Input::Stored { batch, verdicts }));
                }
                Effect::Keep { .. } => kept = true,
                _ => {}
            }
        }
    }
    if !kept {
        return Err("the mirror did not want the release".into());
    }
    println!("the mirror knows the release and would now fetch its blobs");
    Ok(())
}

fn machine(name: &str) -> Result<Machine, Box<dyn Error>> {
    let name: PeerId = name.parse()?;
    let node = Node::new(Config { me: name.clone(), seed: 1, upload: None });
    Ok(Machine { name, node, entries: Entries::default() })
}

/// A signed release of one artifact.
fn release(key: &Keypair) -> Result<SignedEntry, Box<dyn Error>> {
    let list = ArtifactListRef { blob: BlobId::of(b"list"), count: 1, bytes: 9, size: 200 };
    let release = Release::new("pkg:generic/example@1.0".parse()?, list);
    let place = FeedState::default().next(None)?;
    let entry = place.entry(key.id(), 1, Body::Release(Box::new(release)));
    Ok(entry.sign(key)?)
}

/// The beginning of a long text.
fn summary(text: &str) -> String {
    let head: String = text.chars().take(100).collect();
    if head.len() < text.len() { head + "…" } else { head }
}
