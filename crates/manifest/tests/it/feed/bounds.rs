//! The rules of a feed at their edges: full lists, last numbers, states cut short or of old.

use perennial_manifest::entry::MAX_SEQ;
use perennial_manifest::feed::MAX_FORKS;
use perennial_manifest::{
    Admit, Body, EntryId, FeedError, FeedState, Keypair, Merge, NextEntry, SignRefusal, SignedEntry,
};

use super::{Feed, key, merge, proof, rotate, signed};

fn successor() -> Keypair {
    Keypair::from_seed([2; 32])
}

/// A feed that was handed over by its second entry, and that entry.
fn handed_over() -> (Feed, SignedEntry, SignedEntry) {
    let first = signed("first", 0, &[]);
    let handed = rotate(1, &[&first], &successor());
    (Feed::of(&[&first, &handed]), first, handed)
}

/// A state with one head at this number.
fn at(seq: u64) -> FeedState {
    FeedState {
        heads: vec![(EntryId::from_bytes([5; 32]), seq)],
        entries: 1,
        ..FeedState::default()
    }
}

#[test]
fn the_last_number_is_signed_and_none_behind_it() {
    let last = NextEntry { seq: MAX_SEQ, prevs: vec![EntryId::from_bytes([5; 32])] };
    assert_eq!(at(MAX_SEQ - 1).next(None), Ok(last.clone()));
    assert_eq!(at(MAX_SEQ - 1).next_merge(None), Ok(last));
    assert_eq!(at(MAX_SEQ).next(None), Err(SignRefusal::Full));
    assert_eq!(at(MAX_SEQ).next_merge(None), Err(SignRefusal::Full));
}

#[test]
fn the_next_entry_is_what_its_place_and_its_author_say() {
    let place = NextEntry { seq: 7, prevs: vec![EntryId::from_bytes([5; 32])] };
    let entry = place.entry(key().id(), 99, Body::Merge(Merge { reason: None }));
    assert_eq!((entry.publisher, entry.seq, entry.issued_at), (key().id(), 7, 99));
    assert_eq!(entry.prevs, [EntryId::from_bytes([5; 32])]);
}

#[test]
fn what_is_as_high_as_what_was_seen_may_go_on() {
    assert!(at(5).next(Some(5)).is_ok() && at(5).next(Some(4)).is_ok());
    let behind = |seen| Err(SignRefusal::Behind { seen, have: Some(5) });
    assert_eq!((at(5).next(Some(6)), at(5).next(Some(MAX_SEQ))), (behind(6), behind(MAX_SEQ)));
}

#[test]
fn the_first_forks_are_remembered_and_the_later_ones_reported() {
    let mut last = signed("0", 0, &[]);
    let mut feed = Feed::of(&[&last]);
    let mut proofs = Vec::new();
    for round in 0..MAX_FORKS as u64 + 3 {
        let seq = 1 + 2 * round;
        let left = signed(&format!("left {round}"), seq, &[&last]);
        let right = signed(&format!("right {round}"), seq, &[&last]);
        proofs.push(proof(seq, &left, &right));
        assert_eq!(feed.admit(&left), Admit::New);
        assert_eq!(feed.admit(&right), Admit::Fork(proofs[proofs.len() - 1]));
        let kept = proofs.len().min(MAX_FORKS);
        assert_eq!(feed.state.forks, proofs[..kept]);
        last = merge(seq + 1, &[&left, &right]);
        assert_eq!(feed.admit(&last), Admit::New);
    }
    assert_eq!(feed.state.entries, 1 + 3 * proofs.len() as u64);
}

#[test]
fn a_fork_that_comes_again_is_remembered_once() {
    let first = signed("first", 0, &[]);
    let (left, right) = (signed("left", 1, &[&first]), signed("right", 1, &[&first]));
    let mut feed = Feed::of(&[&first, &left, &right]);
    feed.state.cut(vec![(left.id(), 1)], 2);
    feed.seqs.0.remove(&right.id());
    assert!(!feed.state.is_forked());
    assert_eq!(feed.state.entries, 2);
    assert_eq!(feed.state.forks, [proof(1, &left, &right)], "a cut forgets no fork");
    assert_eq!(feed.admit(&right), Admit::Fork(proof(1, &left, &right)));
    assert_eq!(feed.state.forks, [proof(1, &left, &right)]);
    assert_eq!(feed.state.entries, 3);
}

#[test]
fn a_cut_leaves_the_rotation_that_is_still_there() {
    let (mut feed, first, handed) = handed_over();
    let beside = signed("beside", 1, &[&first]);
    feed.admit(&beside);
    assert_eq!(feed.state.rotated, None, "another branch is as long");
    feed.state.cut(vec![(handed.id(), 1)], 2);
    assert_eq!(feed.state.rotations, [(handed.id(), successor().id())]);
    assert_eq!(feed.state.rotated, Some((1, successor().id())), "it is the longest again");
    assert_eq!(feed.state.highest(), Some((1, handed.id())));
    feed.state.cut(vec![(first.id(), 0)], 1);
    assert_eq!((&feed.state.rotations[..], feed.state.rotated), (&[][..], None));
    assert_eq!(feed.state.next(None).map(|place| place.seq), Ok(1));
}

#[test]
fn a_successor_is_named_whether_or_not_its_rotation_decides() {
    let (mut feed, first, handed) = handed_over();
    let other = Keypair::from_seed([3; 32]);
    let names = |feed: &Feed| {
        (feed.state.names_successor(&successor().id()), feed.state.names_successor(&other.id()))
    };
    assert_eq!(names(&feed), (true, false));
    assert_eq!(feed.state.disputed().count(), 0, "it decides");
    assert_eq!(feed.admit(&signed("on", 2, &[&handed])), {
        Admit::Reject(FeedError::Rotated(successor().id()))
    });
    // A second one as long: neither decides, and nothing can come next.
    let stolen = rotate(1, &[&first], &other);
    assert_eq!(feed.admit(&stolen), Admit::Fork(proof(1, &handed, &stolen)));
    assert_eq!((names(&feed), feed.state.rotated), ((true, true), None));
    assert_eq!(feed.state.disputed().count(), 2);
    let named = feed.state.rotations[0].1;
    assert_eq!(feed.state.next(None), Err(SignRefusal::Rotated(named)));
    assert_eq!(feed.state.next_merge(None), Err(SignRefusal::Rotated(named)));
    assert!(!FeedState::default().names_successor(&successor().id()));
}

#[test]
fn a_decided_rotation_is_the_reason_whatever_branches_are_beside_it() {
    let first = signed("first", 0, &[]);
    let last = signed("last", 1, &[&first]);
    let handed = rotate(2, &[&last], &successor());
    let (one, other) = (signed("one", 1, &[&first]), signed("other", 1, &[&first]));
    let feed = Feed::of(&[&first, &last, &handed, &one, &other]);
    assert_eq!((feed.state.heads.len(), feed.state.rotated), (3, Some((2, successor().id()))));
    assert_eq!(feed.state.next(None), Err(SignRefusal::Rotated(successor().id())));
}

#[test]
fn a_state_of_an_earlier_version_learns_which_head_is_its_rotation() {
    let (feed, first, handed) = handed_over();
    let named = [(handed.id(), successor().id())];
    let mut old = feed;
    old.state.rotations.clear();
    assert_eq!(old.state.admit(&first, &old.seqs), Admit::Known);
    assert_eq!(old.state.rotations, named);
    assert_eq!(old.state.rotated, Some((1, successor().id())));
    // A branch that had come beside it counts from then on.
    old.state.rotations.clear();
    let beside = signed("beside", 1, &[&first]);
    assert_eq!(old.state.admit(&beside, &old.seqs), Admit::Fork(proof(1, &handed, &beside)));
    assert_eq!((&old.state.rotations[..], old.state.rotated), (&named[..], None));
    // A cut of an old state, too, knows which head the rotation is.
    let (mut old, _, handed) = handed_over();
    old.state.rotations.clear();
    old.state.cut(vec![(handed.id(), 1)], 2);
    assert_eq!(old.state.rotations, named);
}

/// Where two heads have the number of the rotation, an old state does not say which of them it is.
#[test]
fn an_old_state_of_two_heads_takes_nothing_behind_its_rotation() {
    let (mut old, first, handed) = handed_over();
    let beside = signed("beside", 1, &[&first]);
    old.admit(&beside);
    old.state.rotations.clear();
    old.state.rotated = Some((1, successor().id()));
    let behind = signed("behind", 2, &[&beside]);
    let refused = Admit::Reject(FeedError::Rotated(successor().id()));
    assert_eq!(old.state.admit(&behind, &old.seqs), refused);
    assert_eq!((old.state.rotations.len(), old.state.heads.len()), (0, 2));
    assert_eq!(old.state.next(None), Err(SignRefusal::Rotated(successor().id())));
    // What is not behind it is a branch like others.
    let third = signed("third", 1, &[&first]);
    assert!(matches!(old.state.admit(&third, &old.seqs), Admit::Fork(_)));
    assert!(old.state.heads.iter().any(|(head, _)| *head == handed.id()));
}
