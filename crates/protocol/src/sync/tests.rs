//! Reconciliation with a peer that answers arbitrarily.

mod sets;
mod turns;

use perennial_manifest::{Body, Entry, EntryId, Keypair, Profile, PublisherKind, SignedEntry};
use proptest::prelude::*;

use super::set::Sealed;
use super::{PARENT_ROUNDS, ROUNDS};
use crate::answer::Question;
use crate::effect::{Effect, Offence};
use crate::fake_catalog::FakeCatalog;
use crate::input::{Follows, Input, Verdict};
use crate::message::{Bounded, EntryBytes, Refusal, Request, Response};
use crate::node::{Config, Node};
use crate::prefix::Prefix;
use crate::time::Time;

pub(super) fn feed(key: &Keypair, count: u64) -> Vec<SignedEntry> {
    let mut entries: Vec<SignedEntry> = Vec::new();
    for seq in 0..count {
        let body = Body::Profile(Profile {
            name: format!("{seq}"),
            publisher_kind: PublisherKind::Archivist,
            contact: None,
            claims: Vec::new(),
        });
        let prevs: Vec<EntryId> = entries.last().map(SignedEntry::id).into_iter().collect();
        let entry = Entry { publisher: key.id(), seq, prevs, issued_at: seq / 7, body };
        entries.push(entry.sign(key).unwrap());
    }
    entries
}

/// Runs a node that follows `key` and is connected to one peer, `answer`, until it sends no more
/// requests. Returns the catalog, the number of requests and the offences.
fn run(
    key: &Keypair,
    here: Vec<SignedEntry>,
    mut answer: impl FnMut(&Request) -> Response,
) -> (FakeCatalog, usize, Vec<Offence>) {
    let mut catalog = FakeCatalog { entries: here, ..FakeCatalog::default() };
    let mut node = Node::new(Config { me: "me".parse().unwrap(), seed: 1, upload: None });
    let mut inputs = std::collections::VecDeque::from([
        Input::Follows(Follows::Publishers([key.id()].into())),
        Input::Connected { peer: "peer".parse().unwrap(), prefix: Prefix::default() },
    ]);
    let (mut requests, mut offences) = (0, Vec::new());
    while let Some(input) = inputs.pop_front() {
        for effect in node.handle(Time::ZERO, input, &catalog) {
            match effect {
                Effect::Send { peer, id, request } => {
                    requests += 1;
                    assert!(Request::decode(&request.encode().unwrap()).is_ok());
                    inputs.push_back(Input::Response {
                        from: peer,
                        id,
                        result: Ok(answer(&request)),
                    });
                }
                Effect::Store { batch, entries, .. } => {
                    let mut verdicts = Vec::new();
                    for entry in entries {
                        let known =
                            |id: &EntryId| catalog.entries.iter().any(|entry| entry.id() == *id);
                        let missing: Vec<EntryId> = entry
                            .entry()
                            .prevs
                            .iter()
                            .filter(|prev| !known(prev))
                            .copied()
                            .collect();
                        let verdict = if missing.is_empty() {
                            Verdict::New
                        } else {
                            Verdict::Orphan { missing }
                        };
                        verdicts.push((entry.id(), verdict.clone()));
                        if verdict == Verdict::New {
                            catalog.entries.push(entry);
                        }
                    }
                    inputs.push_back(Input::Stored { batch, verdicts });
                }
                Effect::Seal { scope } => {
                    let sealed = Some(Sealed::new(scope.clone(), &catalog));
                    inputs.push_back(Input::Sealed { scope, sealed });
                }
                Effect::Penalise { offence, .. } => offences.push(offence),
                _ => {}
            }
        }
        let load = node.load();
        assert!(load.requests <= 2 && load.sync < 10_000, "{load:?}");
    }
    (catalog, requests, offences)
}

/// Connects a node that follows nobody to a peer with a stranger's feed, whose newest entry the
/// peer gossips; the store takes `room` entries. Returns the entries that were requested, and those
/// that are here.
fn gossiped(there: &[SignedEntry], room: usize) -> (usize, usize) {
    let mut answer = honest(there.to_vec());
    let mut catalog = FakeCatalog::default();
    let mut node = Node::new(Config { me: "me".parse().unwrap(), seed: 1, upload: None });
    let peer: crate::peer::PeerId = "peer".parse().unwrap();
    let newest = there.last().unwrap().encode();
    let message = crate::input::MessageId(vec![1]);
    let mut inputs = std::collections::VecDeque::from([
        Input::Follows(Follows::default()),
        Input::Connected { peer: peer.clone(), prefix: Prefix::default() },
        Input::Gossip { from: peer, message, bytes: newest },
    ]);
    let mut requested = 0;
    while let Some(input) = inputs.pop_front() {
        for effect in node.handle(Time::ZERO, input, &catalog) {
            match effect {
                Effect::Send { peer, id, request } => {
                    if let Request::Entries { ids } = &request {
                        requested += ids.len();
                    }
                    let result = Ok(answer(&request));
                    inputs.push_back(Input::Response { from: peer, id, result });
                }
                Effect::Store { batch, entries, .. } => {
                    let mut verdicts = Vec::new();
                    for entry in entries {
                        let here = |id: &EntryId| catalog.entries.iter().any(|e| e.id() == *id);
                        let missing: Vec<EntryId> =
                            entry.entry().prevs.iter().filter(|id| !here(id)).copied().collect();
                        let verdict = match missing.is_empty() {
                            _ if catalog.entries.len() >= room => Verdict::Full,
                            true => Verdict::New,
                            false => Verdict::Orphan { missing },
                        };
                        verdicts.push((entry.id(), verdict.clone()));
                        if verdict == Verdict::New {
                            catalog.entries.push(entry);
                        }
                    }
                    inputs.push_back(Input::Stored { batch, verdicts });
                }
                Effect::Seal { scope } => {
                    let sealed = Some(Sealed::new(scope.clone(), &catalog));
                    inputs.push_back(Input::Sealed { scope, sealed });
                }
                Effect::Penalise { offence, .. } => panic!("{offence}"),
                _ => {}
            }
        }
    }
    (requested, catalog.entries.len())
}

#[test]
fn one_message_of_a_stranger_brings_a_part_of_its_history() {
    let there = feed(&Keypair::from_seed([3; 32]), 3000);
    let most = usize::try_from(crate::gossip::HISTORY).unwrap();
    let (requested, here) = gossiped(&there, usize::MAX);
    assert_eq!(requested, most);
    // Of the last ones, signed within the same second, some lack their predecessors.
    assert!((most - 7..=most).contains(&here), "{here}");
    let (requested, here) = gossiped(&there[..100], usize::MAX);
    assert_eq!((requested, here), (100, 100), "a short one whole");
}

#[test]
fn nothing_more_is_requested_of_a_stranger_that_has_had_its_share() {
    let there = feed(&Keypair::from_seed([3; 32]), 3000);
    let (requested, here) = gossiped(&there, 40);
    assert_eq!(here, 40);
    assert!(requested <= 512, "{requested}");
    let (requested, here) = gossiped(&there, 0);
    assert_eq!((requested, here), (0, 0));
}

/// An honest peer that answers from these entries.
fn honest(there: Vec<SignedEntry>) -> impl FnMut(&Request) -> Response {
    let catalog = FakeCatalog { entries: there, ..FakeCatalog::default() };
    move |request| Question::new(request.clone()).answer(&catalog).response
}

#[test]
fn missing_entries_arrive_in_order() {
    let key = Keypair::from_seed([1; 32]);
    let there = feed(&key, 1500);
    let (catalog, requests, offences) = run(&key, there[..200].to_vec(), honest(there.clone()));
    assert_eq!(catalog.entries.len(), 1500);
    assert!(requests <= 8, "{requests} requests for 1300 entries");
    assert_eq!(offences, []);
}

#[test]
fn missing_predecessors_are_requested() {
    let key = Keypair::from_seed([1; 32]);
    let there = feed(&key, 20);
    let mut all = honest(there.clone());
    let mut ends = honest(there[15..].to_vec());
    // The peer reconciles over the five newest entries only, but has all of them.
    let (catalog, _, offences) = run(&key, Vec::new(), |request| match request {
        Request::Reconcile { .. } => ends(request),
        _ => all(request),
    });
    assert_eq!(catalog.entries.len(), 20);
    assert_eq!(offences, []);
}

#[test]
fn a_peer_that_never_finishes_is_dropped() {
    let key = Keypair::from_seed([1; 32]);
    // A different fingerprint in every answer: never equal.
    let mut n = 0_u8;
    let (_, requests, _) = run(&key, feed(&key, 100), |request| match request {
        Request::Reconcile { .. } => {
            n = n.wrapping_add(1);
            Response::Reconcile { message: [&[0x61, 0, 0, 1][..], &[n; 16]].concat() }
        }
        _ => Response::Refused { reason: Refusal::Busy },
    });
    assert!(requests <= ROUNDS as usize + 1, "{requests}");
    // Ids that no peer has, and no entries for them.
    let mut n = 0_u8;
    let (_, requests, _) = run(&key, Vec::new(), |request| match request {
        Request::Reconcile { .. } => {
            n = n.wrapping_add(1);
            Response::Reconcile { message: [&[0x61, 0, 0, 2, 1][..], &[n; 32]].concat() }
        }
        _ => Response::Entries { entries: Bounded::empty() },
    });
    assert!(requests <= 2 * ROUNDS as usize + 1, "{requests}");
    // Entries with an endless chain of parents.
    let long = feed(&key, 400);
    let mut entries = honest(long.clone());
    let mut newest = honest(vec![long[399].clone()]);
    let (catalog, requests, _) = run(&key, Vec::new(), |request| match request {
        Request::Reconcile { .. } => newest(request),
        _ => entries(request),
    });
    assert!(requests <= PARENT_ROUNDS as usize + 4, "{requests}");
    assert!(catalog.entries.is_empty());
}

#[test]
fn mismatched_answers_are_offences() {
    let key = Keypair::from_seed([1; 32]);
    let stranger = feed(&Keypair::from_seed([2; 32]), 3);
    let (there, mut fine) = (feed(&key, 3), honest(feed(&key, 3)));
    let mut with = |entries: Vec<EntryBytes>| {
        let answer = Response::Entries { entries: Bounded::first_of(entries) };
        let (catalog, _, offences) = run(&key, Vec::new(), |request| match request {
            Request::Reconcile { .. } => fine(request),
            _ => answer.clone(),
        });
        assert!(catalog.entries.is_empty());
        offences
    };
    assert_eq!(
        with(vec![EntryBytes(stranger[0].encode())]),
        [Offence::BadResponse],
        "not asked for"
    );
    assert_eq!(with(vec![EntryBytes(vec![1, 2, 3])]), [Offence::BadResponse], "no entry");
    let twice = vec![EntryBytes(there[1].encode()), EntryBytes(there[1].encode())];
    assert_eq!(with(twice), [Offence::BadResponse], "twice");
    // A peer that reconciles a stranger's entries in the followed scope.
    let (catalog, _, offences) = run(&key, Vec::new(), honest(stranger));
    assert_eq!((catalog.entries.len(), &offences[..]), (0, &[Offence::BadResponse][..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_sequence_of_answers_terminates(
        messages in prop::collection::vec(
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)), 1..20,
        ),
    ) {
        let key = Keypair::from_seed([1; 32]);
        let mut n = 0;
        let (_, requests, _) = run(&key, feed(&key, 40), |_| {
            n += 1;
            let (kind, bytes) = &messages[n % messages.len()];
            match kind % 4 {
                0 => Response::Refused { reason: Refusal::Malformed },
                1 => Response::Entries { entries: Bounded::first_of([EntryBytes(bytes.clone())]) },
                2 => Response::Entries { entries: Bounded::empty() },
                _ => Response::Reconcile { message: [&[0x61][..], bytes].concat() },
            }
        });
        prop_assert!(requests <= 2 * ROUNDS as usize + 2);
    }
}
