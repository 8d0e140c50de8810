//! Searches, look-ups and censuses through the router, against peers that hold, lack or lie.

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, EntryId, FeedState, Holding, Keypair, Purl, Release, ReleaseId,
    Selector, Sha256Digest,
};

use crate::effect::{Effect, FetchFailure, Holder};
use crate::fake_catalog::FakeCatalog;
use crate::input::{CensusId, FetchId, Input, KeepOutcome, LookupId, RequestFailure, WantedBlob};
use crate::message::{BlobClaim, Bounded, EntryBytes, Request, Response};
use crate::node::{Config, Node};
use crate::peer::PeerId;
use crate::prefix::Prefix;
use crate::sync::set::Sealed;
use crate::time::Time;
use crate::transfer::{End, Report};

/// A node and its effects. Time advances to the moments that the node requests.
struct Scene {
    node: Node,
    catalog: FakeCatalog,
    now: Time,
    wake: Time,
    effects: Vec<Effect>,
}

fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}

fn release() -> ReleaseId {
    ReleaseId::from(EntryId::from_bytes([5; 32]))
}

impl Scene {
    fn new(peers: &[&str]) -> Self {
        let node = Node::new(Config { me: peer("me"), seed: 1, upload: None });
        let mut scene = Self {
            node,
            catalog: FakeCatalog::default(),
            now: Time::ZERO,
            wake: Time::NEVER,
            effects: Vec::new(),
        };
        for name in peers {
            scene.input(Input::Connected { peer: peer(name), prefix: Prefix::default() });
        }
        scene
    }

    fn input(&mut self, input: Input) {
        for effect in self.node.handle(self.now, input, &self.catalog) {
            match effect {
                Effect::WakeAt(at) => self.wake = at,
                Effect::Seal { scope } => {
                    let sealed = Some(Sealed::new(scope.clone(), &self.catalog));
                    self.input(Input::Sealed { scope, sealed });
                }
                other => self.effects.push(other),
            }
        }
    }

    /// Lets time pass, answering requests and transfers, until nothing more happens before `until`.
    fn run(&mut self, until: u64, mut answer: impl FnMut(&Effect) -> Option<Input>) {
        let until = Time::from_millis(until);
        let mut next = 0;
        loop {
            while next < self.effects.len() {
                let input = answer(&self.effects[next]);
                next += 1;
                if let Some(input) = input {
                    self.input(input);
                }
            }
            if self.wake > until {
                break;
            }
            self.now = self.now.max(self.wake);
            self.wake = Time::NEVER;
            self.input(Input::Tick);
        }
    }

    fn want(&mut self, size: u64) {
        let blob = WantedBlob { blob: BlobId::of(b"blob"), size, missing: vec![(0, size)] };
        let fetch = FetchId(1);
        self.input(Input::Fetch { fetch, release: Some(release()), blobs: vec![blob], last: true });
    }

    fn failure(&self) -> Option<FetchFailure> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::FetchFailed { failure, .. } => Some(*failure),
            _ => None,
        })
    }

    fn count(&self, which: impl Fn(&Effect) -> bool) -> usize {
        self.effects.iter().filter(|effect| which(effect)).count()
    }
}

fn have(effect: &Effect, holding: impl Fn(&PeerId) -> Option<Holding>) -> Option<Input> {
    let Effect::Send { peer, id, request: Request::Have { releases, blobs } } = effect else {
        return None;
    };
    let holding = holding(peer);
    let size = (holding == Some(Holding::Held)).then_some(1000);
    let response = Response::Have {
        releases: Bounded::first_of(releases.iter().map(|_| holding)),
        blobs: Bounded::first_of(blobs.iter().map(|_| size)),
    };
    Some(Input::Response { from: peer.clone(), id: *id, result: Ok(response) })
}

fn providers(effect: &Effect, peers: &[&str]) -> Option<Input> {
    let Effect::FindProviders { release } = effect else { return None };
    let peers = peers.iter().map(|name| peer(name)).collect();
    Some(Input::Providers { release: *release, peers, done: true })
}

fn serve(effect: &Effect, honest: impl Fn(&PeerId) -> bool) -> Option<Input> {
    let Effect::StartDownload { assignment, peer, items } = effect else { return None };
    let report = if honest(peer) {
        Report {
            verified: items.iter().map(|item| item.range.clone()).collect(),
            not_held: Vec::new(),
        }
    } else {
        Report {
            verified: Vec::new(),
            not_held: items.iter().map(|item| item.range.blob).collect(),
        }
    };
    Some(Input::Transferred { assignment: *assignment, report, end: End::Finished })
}

#[test]
fn without_a_reachable_holder_a_search_ends_after_bounded_tries() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.want(1000);
    scene.run(120_000, |effect| {
        have(effect, |_| Some(Holding::Known)).or_else(|| providers(effect, &["far"]))
    });
    assert_eq!(scene.failure(), Some(FetchFailure::NoHolder));
    let dials = scene.count(|effect| matches!(effect, Effect::Dial { .. }));
    assert!((1..=super::ROUNDS as usize).contains(&dials), "{dials}");
    let asked = scene.count(|effect| matches!(effect, Effect::Send { .. }));
    assert!(asked <= 40, "{asked} have-queries");
    assert_eq!(scene.node.load().fetches, 0, "nothing is left of it");
}

#[test]
fn without_any_peer_a_search_ends() {
    let mut scene = Scene::new(&[]);
    scene.want(1000);
    scene.run(120_000, |effect| providers(effect, &[]));
    assert_eq!(scene.failure(), Some(FetchFailure::NoHolder));
    assert!(
        scene.count(|effect| matches!(effect, Effect::FindProviders { .. })) >= 1,
        "the DHT was asked, last"
    );
}

#[test]
fn the_dht_is_not_asked_while_a_connected_peer_holds_it() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.want(1000);
    let holding = |peer: &PeerId| (peer.as_str() == "b").then_some(Holding::Held);
    scene.run(60_000, |effect| have(effect, holding).or_else(|| serve(effect, |_| true)));
    let done = scene.effects.iter().find_map(|effect| match effect {
        Effect::FetchDone { from, .. } => Some(from.clone()),
        _ => None,
    });
    assert_eq!(done, Some(vec![(peer("b"), 1000)]));
    assert_eq!(scene.count(|effect| matches!(effect, Effect::FindProviders { .. })), 0);
}

/// A peer that advertises everything and has nothing; the honest peer comes late, through the DHT.
#[test]
fn one_honest_holder_is_enough() {
    let mut scene = Scene::new(&["liar1", "liar2", "liar3"]);
    scene.want(1000);
    scene.run(300_000, |effect| {
        have(effect, |_| Some(Holding::Held))
            .or_else(|| providers(effect, &["far", "honest"]))
            .or_else(|| serve(effect, |peer| peer.as_str() == "honest"))
            .or_else(|| match effect {
                Effect::Dial { peer } if peer.as_str() == "honest" => {
                    Some(Input::Connected { peer: peer.clone(), prefix: Prefix::default() })
                }
                _ => None,
            })
    });
    assert_eq!(scene.count(|effect| matches!(effect, Effect::FetchDone { .. })), 1);
    assert!(scene.count(|effect| matches!(effect, Effect::Penalise { .. })) >= 1);
}

/// A peer that did not hold the release at first is asked for it later.
#[test]
fn a_peer_that_newly_holds_a_release_is_asked_again() {
    let mut scene = Scene::new(&["a"]);
    scene.want(1000);
    let mut asked = 0;
    let mut held = false;
    scene.run(120_000, |effect| {
        if matches!(effect, Effect::Send { .. }) {
            asked += 1;
            held = asked > 1;
        }
        have(effect, |_| Some(if held { Holding::Held } else { Holding::Partial }))
            .or_else(|| providers(effect, &[]))
            .or_else(|| serve(effect, |_| held))
    });
    assert_eq!(scene.count(|effect| matches!(effect, Effect::FetchDone { .. })), 1);
}

#[test]
fn a_look_up_of_a_digest_collects_claims_and_ends() {
    let mut scene = Scene::new(&["a", "b", "silent"]);
    let digest = Sha256Digest::from_bytes([1; 32]);
    let lookup = LookupId(7);
    scene.input(Input::Lookup { lookup, selector: Selector::Sha256(digest), publisher: None });
    let claim = BlobClaim { blob: BlobId::of(b"x"), size: 3 };
    scene.run(60_000, |effect| match effect {
        Effect::Send { peer, id, request: Request::ResolveSha256 { .. } }
            if peer.as_str() != "silent" =>
        {
            let blob = (peer.as_str() == "a").then_some(claim);
            Some(Input::Response {
                from: peer.clone(),
                id: *id,
                result: Ok(Response::Sha256 { blob }),
            })
        }
        _ => None,
    });
    let done = scene.effects.iter().find_map(|effect| match effect {
        Effect::LookupDone { lookup, answered, claims, .. } => {
            Some((*lookup, *answered, claims.clone()))
        }
        _ => None,
    });
    assert_eq!(done, Some((lookup, 2, vec![(peer("a"), claim)])));
    assert_eq!(scene.node.load().lookups, 0);
}

#[test]
fn a_search_collects_answers_stores_none_and_ends_without_silent_peers() {
    let mut scene = Scene::new(&["a", "old", "silent"]);
    let lookup = LookupId(9);
    scene.input(Input::Search { lookup, text: "kk".into() });
    let list = ArtifactListRef { blob: BlobId::of(b"list"), count: 1, bytes: 1, size: 1 };
    let purl = Purl::generic("kubekey", "1").unwrap();
    let key = Keypair::from_seed([1; 32]);
    let body = Body::Release(Box::new(Release::new(purl, list)));
    let entry = FeedState::default().next(None).unwrap().entry(key.id(), 1, body);
    let entry = entry.sign(&key).unwrap();
    scene.run(6_000, |effect| match effect {
        Effect::Send { peer, id, request: Request::Search { text, .. } } => {
            assert_eq!(text, "kk");
            let result = match peer.as_str() {
                "a" => {
                    Ok(Response::Found { entries: Bounded::first_of([EntryBytes(entry.encode())]) })
                }
                "old" => Err(RequestFailure::Disconnected),
                _ => return None,
            };
            Some(Input::Response { from: peer.clone(), id: *id, result })
        }
        _ => None,
    });
    let done = scene.effects.iter().find_map(|effect| match effect {
        Effect::LookupDone { lookup, answered, entries, .. } => {
            Some((*lookup, *answered, entries.clone()))
        }
        _ => None,
    });
    assert_eq!(done, Some((lookup, 1, vec![entry])));
    assert_eq!(scene.count(|effect| matches!(effect, Effect::Penalise { .. })), 0);
    assert_eq!(scene.count(|effect| matches!(effect, Effect::Store { .. })), 0);
}

#[test]
fn a_release_id_that_no_connected_peer_knows_is_asked_of_the_dht_once() {
    let mut scene = Scene::new(&["a"]);
    let selector = Selector::Release(release());
    scene.input(Input::Lookup { lookup: LookupId(1), selector, publisher: None });
    let found = |effect: &Effect| match effect {
        Effect::Send { peer, id, request: Request::Find { .. } } => {
            let response = Response::Found { entries: Bounded::empty() };
            Some(Input::Response { from: peer.clone(), id: *id, result: Ok(response) })
        }
        Effect::Dial { peer } => {
            Some(Input::Connected { peer: peer.clone(), prefix: Prefix::default() })
        }
        _ => None,
    };
    scene.run(60_000, |effect| found(effect).or_else(|| providers(effect, &["far"])));
    assert_eq!(scene.count(|effect| matches!(effect, Effect::FindProviders { .. })), 1);
    assert_eq!(scene.count(|effect| matches!(effect, Effect::LookupDone { answered: 2, .. })), 1);
}

#[test]
fn a_census_counts_holders_and_ends_without_silent_peers() {
    let mut scene = Scene::new(&["a", "b", "c", "silent"]);
    let (blob, other) = (BlobId::of(b"blob"), BlobId::of(b"other"));
    let census = CensusId(3);
    scene.input(Input::Census {
        census,
        release: release(),
        blobs: vec![(blob, 1000), (other, 7)],
    });
    let holding = |peer: &PeerId| match peer.as_str() {
        "a" | "far" => Some(Holding::Held),
        "b" => Some(Holding::Partial),
        _ => Some(Holding::Known),
    };
    scene.run(60_000, |effect| match effect {
        Effect::Send { peer, .. } if peer.as_str() == "silent" => None,
        Effect::Dial { peer } => {
            Some(Input::Connected { peer: peer.clone(), prefix: Prefix::default() })
        }
        // Holders claim 1000 bytes for each blob, which is correct for the first.
        _ => have(effect, holding).or_else(|| providers(effect, &["a", "far", "me"])),
    });
    let done = scene.effects.iter().find_map(|effect| match effect {
        Effect::CensusDone { census, holders } => Some((*census, holders.clone())),
        _ => None,
    });
    let holder = |name, holding, blobs: &[BlobId]| Holder {
        peer: peer(name),
        holding,
        blobs: blobs.to_vec(),
    };
    let expected = vec![
        holder("a", Holding::Held, &[blob]),
        holder("b", Holding::Partial, &[]),
        holder("far", Holding::Held, &[blob]),
    ];
    assert_eq!(done, Some((census, expected)));
    assert!(scene.now >= Time::ZERO + super::census::LONGEST, "the silent one was waited for");
    assert_eq!(
        scene.count(|effect| matches!(effect, Effect::Dial { .. })),
        1,
        "only whom it did not know"
    );
    assert_eq!(scene.node.load().censuses, 0);
}

#[test]
fn a_census_ends_once_every_peer_has_answered() {
    let mut scene = Scene::new(&["a"]);
    scene.input(Input::Census { census: CensusId(1), release: release(), blobs: Vec::new() });
    scene.run(1, |effect| have(effect, |_| None).or_else(|| providers(effect, &[])));
    assert_eq!(
        scene.count(
            |effect| matches!(effect, Effect::CensusDone { holders, .. } if holders.is_empty())
        ),
        1
    );
}

#[test]
fn a_kept_release_is_announced_once() {
    let mut scene = Scene::new(&[]);
    let release = release();
    scene.input(Input::Held { release });
    scene.input(Input::Kept { release, outcome: KeepOutcome::Held });
    assert_eq!(scene.count(|effect| matches!(effect, Effect::Provide { .. })), 1);
}

/// The peers that were asked for the release, in order.
fn asked(scene: &Scene) -> Vec<&str> {
    let asked = scene.effects.iter().filter_map(|effect| match effect {
        Effect::Send { peer, request: Request::Have { .. }, .. } => Some(peer.as_str()),
        _ => None,
    });
    asked.collect()
}

#[test]
fn silent_peers_keep_no_other_from_being_asked() {
    let names: Vec<String> = (0..100).map(|n| format!("silent-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::new(&names);
    scene.want(1000);
    assert_eq!(asked(&scene).len(), super::ASKED_AT_ONCE);
    let prompt = (Time::ZERO + super::PROMPT).as_millis();
    scene.run(prompt - 1, |_| None);
    assert_eq!(asked(&scene).len(), super::ASKED_AT_ONCE, "an honest answer takes a moment");
    scene.run(prompt, |_| None);
    assert_eq!(asked(&scene).len(), 2 * super::ASKED_AT_ONCE);
    scene.run(8 * prompt, |_| None);
    assert_eq!(asked(&scene).len(), 100);
}

#[test]
fn peers_that_earned_it_are_asked_first() {
    let names: Vec<String> = (0..100).map(|n| format!("p{n}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(["mine", "late"]);
    let mut scene = Scene::new(&names);
    for name in ["mine", "late"] {
        scene.input(Input::Chosen { peer: peer(name) });
    }
    // One that comes again is remembered.
    scene.input(Input::Disconnected { peer: peer("late") });
    scene.input(Input::Connected { peer: peer("late"), prefix: Prefix::default() });
    scene.want(1000);
    let mut first: Vec<&str> = asked(&scene)[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, ["late", "mine"]);
}
