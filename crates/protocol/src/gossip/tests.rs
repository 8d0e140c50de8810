//! Which messages are accepted, ignored, rejected and remembered.

use perennial_manifest::{Body, Entry, Keypair, Profile, PublisherKind, SignedEntry};

use super::{Acceptance, Gossip, PEER_BURST, RECENT, STRANGER_BURST};
use crate::fake_catalog::FakeCatalog;
use crate::input::Follows;
use crate::time::Time;

fn entry(key: &Keypair, name: &str) -> SignedEntry {
    let body = Body::Profile(Profile {
        name: name.to_owned(),
        publisher_kind: PublisherKind::Archivist,
        contact: None,
        claims: Vec::new(),
    });
    Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 7, body }.sign(key).unwrap()
}

fn follow(key: &Keypair) -> Follows {
    Follows::Publishers([key.id()].into())
}

#[test]
fn a_new_entry_is_accepted_once_and_a_known_one_ignored() {
    let (mut gossip, mut catalog) = (Gossip::default(), FakeCatalog::default());
    let key = Keypair::from_seed([1; 32]);
    let (follows, peer) = (follow(&key), "p".parse().unwrap());
    let one = entry(&key, "one");
    let mut check = |bytes: &[u8], catalog: &FakeCatalog| {
        gossip.check(Time::ZERO, &peer, bytes, &follows, catalog)
    };
    let first = check(&one.encode(), &catalog);
    assert_eq!(
        (first.acceptance, first.entry.map(|e| e.id())),
        (Acceptance::Accept, Some(one.id()))
    );
    assert_eq!(check(&one.encode(), &catalog).acceptance, Acceptance::Ignore);
    let two = entry(&key, "two");
    catalog.entries.push(two.clone());
    assert_eq!(check(&two.encode(), &catalog).acceptance, Acceptance::Ignore);
}

#[test]
fn anything_but_a_signed_entry_is_rejected() {
    let (mut gossip, catalog) = (Gossip::default(), FakeCatalog::default());
    let key = Keypair::from_seed([1; 32]);
    let (follows, peer) = (follow(&key), "p".parse().unwrap());
    let mut forged = entry(&key, "one").encode();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    for bytes in [forged, Vec::new(), b"garbage".to_vec(), vec![0; 9000], vec![0xff; 100_000]] {
        let checked = gossip.check(Time::ZERO, &peer, &bytes, &follows, &catalog);
        assert_eq!(checked.acceptance, Acceptance::Reject);
        assert!(checked.entry.is_none());
    }
}

#[test]
fn nothing_of_a_denied_publisher_is_taken_or_passed_on_followed_or_not() {
    let (mut gossip, mut catalog) = (Gossip::default(), FakeCatalog::default());
    let key = Keypair::from_seed([1; 32]);
    catalog.denied.push(key.id());
    let bytes = entry(&key, "one").encode();
    for follows in [follow(&key), Follows::All] {
        let checked = gossip.check(Time::ZERO, &"p".parse().unwrap(), &bytes, &follows, &catalog);
        assert_eq!(checked.acceptance, Acceptance::Ignore);
        assert!(checked.entry.is_none());
    }
}

#[test]
fn strangers_have_a_share_of_their_own() {
    let (mut gossip, catalog) = (Gossip::default(), FakeCatalog::default());
    let (known, stranger) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
    let (follows, peer) = (follow(&known), "p".parse().unwrap());
    let accepted = (0..200)
        .filter(|n| {
            let bytes = entry(&stranger, &format!("{n}")).encode();
            gossip.check(Time::ZERO, &peer, &bytes, &follows, &catalog).acceptance
                == Acceptance::Accept
        })
        .count();
    assert_eq!(accepted, usize::try_from(STRANGER_BURST).unwrap());
    let honest =
        gossip.check(Time::ZERO, &peer, &entry(&known, "one").encode(), &follows, &catalog);
    assert_eq!(honest.acceptance, Acceptance::Accept);
}

#[test]
fn a_flood_from_one_peer_costs_bounded_memory_and_leaves_others_alone() {
    let (mut gossip, catalog) = (Gossip::default(), FakeCatalog::default());
    let key = Keypair::from_seed([1; 32]);
    let (follows, flooder) = (follow(&key), "flooder".parse().unwrap());
    for n in 0..40_000_u32 {
        gossip.check(Time::ZERO, &flooder, &n.to_le_bytes(), &follows, &catalog);
    }
    assert!(gossip.len() <= RECENT + 4, "{}", gossip.len());
    let bytes = entry(&key, "one").encode();
    let late = gossip.check(Time::ZERO, &flooder, &bytes, &follows, &catalog);
    assert_eq!(late.acceptance, Acceptance::Ignore, "beyond its {PEER_BURST}");
    let honest = gossip.check(Time::ZERO, &"other".parse().unwrap(), &bytes, &follows, &catalog);
    assert_eq!(honest.acceptance, Acceptance::Accept, "ignored from one is not seen from all");
    gossip.sweep(Time::from_millis(3_600_000));
    assert!(gossip.len() <= RECENT, "the rates are forgotten when they limit nothing");
}

#[test]
fn a_stranger_that_has_had_its_share_spends_no_rate_of_others() {
    let mut gossip = Gossip::default();
    let (full, other) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
    let catalog = FakeCatalog { full: vec![full.id()], ..FakeCatalog::default() };
    let peer = "p".parse().unwrap();
    let mut check = |key: &Keypair, name: &str| {
        let bytes = entry(key, name).encode();
        gossip.check(Time::ZERO, &peer, &bytes, &Follows::default(), &catalog).acceptance
    };
    for n in 0..1000 {
        assert_eq!(check(&full, &n.to_string()), Acceptance::Ignore);
    }
    assert_eq!(check(&other, "other"), Acceptance::Accept);
    assert_eq!(gossip.history(Time::ZERO, &full.id(), &Follows::default(), &catalog), 0);
}

#[test]
fn the_histories_of_strangers_count_against_their_common_rate() {
    let (mut gossip, catalog) = (Gossip::default(), FakeCatalog::default());
    let (known, stranger) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
    let follows = follow(&known);
    let mut history = |seconds: u64, key: &Keypair| {
        gossip.history(Time::from_millis(seconds * 1000), &key.id(), &follows, &catalog)
    };
    let granted: u64 = (0..10).map(|_| history(0, &stranger)).sum();
    assert_eq!(granted, super::STRANGERS_BURST, "whoever signed them");
    assert_eq!(history(2, &stranger), 2 * super::STRANGERS_RATE);
    assert_eq!(history(2, &known), u64::MAX, "what is followed has no bound");
}
