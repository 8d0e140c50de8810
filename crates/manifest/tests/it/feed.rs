//! The rules of a feed, played through with signed entries.

mod bounds;

use std::collections::HashMap;

use perennial_manifest::entry::{MAX_PREVS, MAX_SEQ};
use perennial_manifest::feed::{MAX_FORKS, MAX_HEADS};
use perennial_manifest::{
    Admit, Body, Entry, EntryId, FeedError, FeedState, ForkProof, Keypair, Known, Merge, NextEntry,
    Profile, PublisherKind, Rotate, SignRefusal, SignedEntry,
};
use proptest::prelude::*;

/// A feed as a store keeps it: its state, and the entries that were admitted.
#[derive(Default)]
struct Feed {
    state: FeedState,
    seqs: Seqs,
}

#[derive(Default)]
struct Seqs(HashMap<EntryId, u64>);

impl Known for Seqs {
    fn seq_of(&self, id: &EntryId) -> Option<u64> {
        self.0.get(id).copied()
    }

    fn at_seq(&self, seq: u64) -> Option<EntryId> {
        self.0.iter().filter(|(_, at)| **at == seq).map(|(id, _)| *id).min()
    }
}

impl Feed {
    fn admit(&mut self, signed: &SignedEntry) -> Admit {
        let before = self.state.clone();
        let admitted = self.state.admit(signed, &self.seqs);
        if matches!(admitted, Admit::New | Admit::Fork(_)) {
            self.seqs.0.insert(signed.id(), signed.entry().seq);
        } else {
            assert_eq!(self.state, before, "a refused entry left a trace");
        }
        admitted
    }

    fn of(entries: &[&SignedEntry]) -> Self {
        let mut feed = Self::default();
        for signed in entries {
            assert!(matches!(feed.admit(signed), Admit::New | Admit::Fork(_)));
        }
        feed
    }
}

fn key() -> Keypair {
    Keypair::from_seed([1; 32])
}

fn entry(seq: u64, prevs: &[&SignedEntry], body: Body) -> Entry {
    let mut prevs: Vec<_> = prevs.iter().map(|prev| prev.id()).collect();
    prevs.sort_unstable();
    Entry { publisher: key().id(), seq, prevs, issued_at: 0, body }
}

/// An entry of this name behind others.
fn signed(name: &str, seq: u64, prevs: &[&SignedEntry]) -> SignedEntry {
    let profile = Profile {
        name: name.into(),
        publisher_kind: PublisherKind::Archivist,
        contact: None,
        claims: Vec::new(),
    };
    entry(seq, prevs, Body::Profile(profile)).sign(&key()).unwrap()
}

fn merge(seq: u64, prevs: &[&SignedEntry]) -> SignedEntry {
    entry(seq, prevs, Body::Merge(Merge { reason: None })).sign(&key()).unwrap()
}

fn rotate(seq: u64, prevs: &[&SignedEntry], next: &Keypair) -> SignedEntry {
    entry(seq, prevs, Body::Rotate(Rotate { next: next.id() })).sign_rotation(&key(), next).unwrap()
}

fn proof(seq: u64, one: &SignedEntry, other: &SignedEntry) -> ForkProof {
    ForkProof { seq, one: one.id().min(other.id()), other: one.id().max(other.id()) }
}

#[test]
fn a_feed_grows_entry_by_entry() {
    let first = signed("a", 0, &[]);
    let second = signed("b", 1, &[&first]);
    let mut feed = Feed::default();
    assert_eq!(feed.state.next(None), Ok(NextEntry { seq: 0, prevs: vec![] }));
    assert_eq!(feed.state.highest(), None);
    assert_eq!(feed.admit(&first), Admit::New);
    assert_eq!(feed.admit(&second), Admit::New);
    assert_eq!(feed.admit(&first), Admit::Known);
    assert_eq!(feed.state.entries, 2);
    assert_eq!(feed.state.highest(), Some((1, second.id())));
    assert_eq!(feed.state.next(Some(1)), Ok(NextEntry { seq: 2, prevs: vec![second.id()] }));
}

#[test]
fn an_orphan_waits_for_its_predecessors() {
    let first = signed("a", 0, &[]);
    let second = signed("b", 1, &[&first]);
    let mut feed = Feed::default();
    assert_eq!(feed.admit(&second), Admit::Orphan(vec![first.id()]));
    assert_eq!(feed.admit(&first), Admit::New);
    assert_eq!(feed.admit(&second), Admit::New);
}

#[test]
fn a_number_follows_from_the_predecessors() {
    let first = signed("a", 0, &[]);
    let second = signed("b", 1, &[&first]);
    let mut feed = Feed::of(&[&first, &second]);
    for (seq, prev, expected) in [(3, &second, 2), (1, &second, 2), (7, &first, 1)] {
        let wrong = signed("c", seq, &[prev]);
        assert_eq!(feed.admit(&wrong), Admit::Reject(FeedError::Seq { found: seq, expected }));
    }
    assert_eq!(
        feed.admit(&signed("last", MAX_SEQ, &[&second])),
        Admit::Reject(FeedError::Seq { found: MAX_SEQ, expected: 2 })
    );
}

#[test]
fn two_entries_with_one_number_are_a_fork_until_a_merge() {
    let first = signed("a", 0, &[]);
    let (left, right) = (signed("left", 1, &[&first]), signed("right", 1, &[&first]));
    let longer = signed("longer", 2, &[&left]);
    let mut feed = Feed::of(&[&first, &left, &longer]);
    assert_eq!(feed.admit(&right), Admit::Fork(proof(1, &left, &right)));
    assert!(feed.state.is_forked(), "tags are frozen");
    assert_eq!(feed.state.next(None), Err(SignRefusal::Forked(2)));
    assert_eq!(feed.state.highest(), Some((2, longer.id())));

    let place = feed.state.next_merge(None).unwrap();
    let joined = merge(place.seq, &[&longer, &right]);
    assert_eq!((place.seq, &place.prevs), (3, &joined.entry().prevs));
    assert_eq!(feed.admit(&joined), Admit::New);
    assert!(!feed.state.is_forked(), "a merge mends");
    assert_eq!(feed.state.forks, [proof(1, &left, &right)], "and forgets nothing");
    assert_eq!(feed.state.next(None), Ok(NextEntry { seq: 4, prevs: vec![joined.id()] }));
}

#[test]
fn a_second_beginning_is_a_fork() {
    let (one, other) = (signed("a", 0, &[]), signed("b", 0, &[]));
    let mut feed = Feed::of(&[&one]);
    assert_eq!(feed.admit(&other), Admit::Fork(proof(0, &one, &other)));
    assert_eq!(feed.state.next_merge(None).map(|place| place.seq), Ok(1));
}

#[test]
fn both_orders_of_arrival_give_one_fork() {
    let first = signed("a", 0, &[]);
    let (left, right) = (signed("left", 1, &[&first]), signed("right", 1, &[&first]));
    assert_eq!(Feed::of(&[&first, &left, &right]).state, Feed::of(&[&first, &right, &left]).state);
}

#[test]
fn a_rolled_back_state_signs_nothing() {
    let first = signed("a", 0, &[]);
    let feed = Feed::of(&[&first]);
    assert_eq!(
        feed.state.next(Some(5)),
        Err(SignRefusal::Behind { seen: 5, have: Some(0) }),
        "a restored backup"
    );
    assert_eq!(feed.state.next_merge(Some(5)), Err(SignRefusal::Behind { seen: 5, have: Some(0) }));
    assert_eq!(
        FeedState::default().next(Some(0)),
        Err(SignRefusal::Behind { seen: 0, have: None })
    );
    assert!(feed.state.next(Some(0)).is_ok());
}

#[test]
fn a_rotated_key_cannot_sign_any_more() {
    let first = signed("a", 0, &[]);
    let next = Keypair::from_seed([2; 32]);
    let handed = rotate(1, &[&first], &next);
    let mut feed = Feed::of(&[&first, &handed]);
    assert_eq!(feed.state.rotated, Some((1, next.id())));
    assert_eq!(
        feed.admit(&signed("late", 2, &[&handed])),
        Admit::Reject(FeedError::Rotated(next.id()))
    );
    assert_eq!(feed.state.next(None), Err(SignRefusal::Rotated(next.id())));
    assert_eq!(feed.state.next_merge(None), Err(SignRefusal::Rotated(next.id())));
    // A shorter branch beside it, which a stolen old key can still sign, changes nothing.
    let last = signed("last", 1, &[&first]);
    let handed = rotate(2, &[&last], &next);
    let mut feed = Feed::of(&[&first, &last, &handed]);
    let beside = signed("beside", 1, &[&first]);
    assert_eq!(feed.admit(&beside), Admit::Fork(proof(1, &last, &beside)));
    assert!(feed.state.is_forked(), "it is shown");
    assert_eq!(feed.state.rotated, Some((2, next.id())));
    assert_eq!(feed.state.next(None), Err(SignRefusal::Rotated(next.id())));
}

#[test]
fn a_rotation_signed_in_the_past_decides_nothing_whatever_comes_first() {
    let thief = Keypair::from_seed([3; 32]);
    let mut own = vec![signed("0", 0, &[])];
    for seq in 1..6 {
        own.push(signed(&seq.to_string(), seq, &[&own[own.len() - 1]]));
    }
    let stolen = rotate(1, &[&own[0]], &thief);
    let late: Vec<_> = own.iter().chain([&stolen]).collect();
    let early: Vec<_> = own[..1].iter().chain([&stolen]).chain(&own[1..]).collect();
    let (late, early) = (Feed::of(&late).state, Feed::of(&early).state);
    for feed in [&late, &early] {
        assert_eq!((feed.entries, feed.rotated), (7, None));
        assert!(feed.is_forked() && feed.disputed().eq([thief.id()]), "the fork is shown");
    }
    assert_eq!((&late.heads, &late.rotations), (&early.heads, &early.rotations));
    // The owner goes on, and nothing goes on behind the rotation.
    let place = late.next(Some(5)).unwrap();
    assert_eq!((place.seq, &place.prevs), (6, &vec![own[5].id()]));
    let mut feed = Feed::of(&own.iter().chain([&stolen]).collect::<Vec<_>>());
    assert_eq!(feed.admit(&signed("6", 6, &[&own[5]])), Admit::New);
    for behind in [signed("behind", 2, &[&stolen]), merge(7, &[&stolen, &own[5]])] {
        assert!(!matches!(feed.admit(&behind), Admit::New | Admit::Fork(_)), "behind a rotation");
    }
    // Nor does one at the end of a branch as long as the owner's, which a thief can sign as well.
    let mut branch = own[0].clone();
    for seq in 1..6 {
        branch = signed(&format!("beside {seq}"), seq, &[&branch]);
        feed.admit(&branch);
    }
    feed.admit(&rotate(6, &[&branch], &thief));
    assert_eq!(feed.state.rotated, None);
}

#[test]
fn a_stolen_key_can_suspend_a_rotation_and_not_take_it_over() {
    let (owner, thief) = (Keypair::from_seed([2; 32]), Keypair::from_seed([3; 32]));
    let first = signed("first", 0, &[]);
    let handed = rotate(1, &[&first], &owner);
    // A branch that outgrows the owner's, which nothing can follow any more.
    let beside = signed("beside", 1, &[&first]);
    let longer = signed("longer", 2, &[&beside]);
    let stolen = rotate(3, &[&longer], &thief);
    for order in [[&handed, &beside, &longer, &stolen], [&beside, &longer, &stolen, &handed]] {
        let mut feed = Feed::of(&[&first]);
        for entry in order {
            assert!(matches!(feed.admit(entry), Admit::New | Admit::Fork(_)));
        }
        assert_eq!(feed.state.rotated, None, "the longest branch is not the owner's");
        let mut disputed: Vec<_> = feed.state.disputed().collect();
        disputed.sort_unstable();
        let mut both = vec![owner.id(), thief.id()];
        both.sort_unstable();
        assert_eq!(disputed, both, "both are shown");
    }
}

#[test]
fn a_state_of_an_earlier_version_reads_back_as_it_was() {
    let feed = Feed::of(&[&signed("a", 0, &[])]).state;
    let text = serde_json::to_string(&feed).unwrap();
    assert!(!text.contains("rotations"), "{text}");
    assert_eq!(serde_json::from_str::<FeedState>(&text).unwrap(), feed);
}

#[test]
fn the_number_of_branches_is_bounded() {
    let first = signed("a", 0, &[]);
    let branches: Vec<_> = (0..MAX_HEADS).map(|n| signed(&format!("b{n}"), 1, &[&first])).collect();
    let mut feed = Feed::of(&[&first]);
    for branch in &branches {
        feed.admit(branch);
    }
    assert_eq!(feed.admit(&signed("more", 1, &[&first])), Admit::Reject(FeedError::TooManyHeads));
    assert_eq!(feed.state.heads.len(), MAX_HEADS);
    assert!(feed.state.forks.len() <= MAX_FORKS);
    assert_eq!(
        feed.admit(&signed("on", 2, &[&branches[3]])),
        Admit::New,
        "a known branch continues"
    );
    // A merge names as many heads as one entry can, and the next merge the rest.
    let mut merges = 0;
    while feed.state.is_forked() {
        let place = feed.state.next_merge(None).unwrap();
        assert!((2..=MAX_PREVS).contains(&place.prevs.len()));
        let body = Body::Merge(Merge { reason: None });
        let joined =
            Entry { publisher: key().id(), seq: place.seq, prevs: place.prevs, issued_at: 0, body };
        assert_eq!(feed.admit(&joined.sign(&key()).unwrap()), Admit::New);
        merges += 1;
    }
    assert_eq!(merges, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of arrival, nodes with the same entries have the same view of them.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        shape in proptest::collection::vec((0usize..6, any::<bool>()), 1..14),
        order in proptest::collection::vec(any::<u16>(), 14)) {
        let mut made = vec![signed("root", 0, &[])];
        for (at, (back, two)) in shape.into_iter().enumerate() {
            let one = &made[made.len() - 1 - back.min(made.len() - 1)];
            let last = &made[made.len() - 1];
            let prevs: Vec<_> = if two && one != last { vec![one, last] } else { vec![one] };
            let seq = prevs.iter().map(|prev| prev.entry().seq).max().unwrap() + 1;
            let next = signed(&at.to_string(), seq, &prevs);
            made.push(next);
        }
        let in_order = Feed::of(&made.iter().collect::<Vec<_>>());
        let mut waiting: Vec<_> = made.iter().zip(order.iter().chain(std::iter::repeat(&0)))
            .collect();
        waiting.sort_by_key(|(signed, rank)| (**rank, signed.id()));
        let mut feed = Feed::default();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(signed, _)| matches!(feed.admit(signed), Admit::Orphan(_)));
            prop_assert!(waiting.len() < before, "nothing fits");
        }
        prop_assert_eq!(&feed.state.heads, &in_order.state.heads);
        prop_assert_eq!(feed.state.entries, in_order.state.entries);
        prop_assert_eq!(feed.state.rotated, in_order.state.rotated);
        prop_assert_eq!(feed.state.forks.is_empty(), in_order.state.forks.is_empty());
        // A sequence number that two entries have is a fork that some node reported.
        let numbers: std::collections::BTreeSet<_> = made.iter().map(|signed| signed.entry().seq)
            .collect();
        prop_assert_eq!(numbers.len() < made.len(), !feed.state.forks.is_empty());
    }
}
