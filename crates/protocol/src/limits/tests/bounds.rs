//! Each limit at its edge: what is just allowed, and what is just too much.

use super::at;
use crate::input::Token;
use crate::limits::{
    ALL_BURST, Asked, Bucket, Buckets, LONGEST_WAIT, Limits, PEER_BURST, STREAMS, STREAMS_PER_PEER,
    cost, cost_of_rows,
};
use crate::message::{Bounded, Request};
use crate::peer::PeerId;
use crate::prefix::Prefix;

fn peer(n: usize) -> PeerId {
    format!("p{n}").parse().unwrap()
}

#[test]
fn an_empty_bucket_owes_nothing() {
    let mut bucket = Bucket::full(10, 5, at(0));
    assert!(bucket.take(at(0), 10) && !bucket.owes(at(0)), "all was there");
    bucket.spend(at(0), 1);
    assert!(bucket.owes(at(0)) && bucket.owes(at(199)));
    assert!(!bucket.owes(at(200)), "paid back");
    assert!(!bucket.take(at(200), 1));
    // What is owed is never more than the capacity: it takes as long to pay back as to fill up.
    bucket.spend(at(200), 1_000_000);
    assert!(bucket.owes(at(2199)) && !bucket.owes(at(2200)));
    assert_eq!(bucket.take_up_to(at(2200), 1), 0);
}

#[test]
fn a_bucket_is_full_when_nothing_of_it_is_missing() {
    let mut bucket = Bucket::full(10, 5, at(0));
    assert!(bucket.is_full(at(0)));
    assert!(bucket.take(at(0), 1));
    assert!(!bucket.is_full(at(199)) && bucket.is_full(at(200)));
}

#[test]
fn buckets_are_counted_and_know_who_owes() {
    let mut buckets = Buckets::new(2, 1, 3);
    for key in 0..3 {
        buckets.spend(at(0), &key, 1 + key);
    }
    assert_eq!(buckets.len(), 3);
    assert!(!buckets.owes(at(0), &0) && !buckets.owes(at(0), &1) && buckets.owes(at(0), &2));
    assert!(!buckets.owes(at(0), &9), "an unknown key owes nothing");
    buckets.spend(at(0), &3, 100);
    assert_eq!(buckets.len(), 3, "there is no room for its debt");
    assert!(!buckets.owes(at(0), &3));
    buckets.sweep(at(1000));
    assert_eq!(buckets.len(), 2, "one is full again");
    assert!(buckets.take(at(1000), &1, 1) && !buckets.take(at(1000), &2, 1));
}

#[test]
fn all_peers_together_have_a_share_too() {
    let mut limits = Limits::new(None);
    let shares = usize::try_from(ALL_BURST / PEER_BURST).unwrap();
    for n in 0..shares {
        let prefix = Prefix(1 + n as u64);
        assert_eq!(limits.ask(at(0), &peer(n), prefix, PEER_BURST), Asked::Granted);
    }
    assert_eq!(limits.ask(at(0), &peer(99), Prefix(99), 1), Asked::Busy);
    // Debts of any peer are debts of all.
    let mut limits = Limits::new(None);
    limits.spend(at(0), &peer(0), Prefix(1), u64::MAX);
    assert_eq!(limits.ask(at(0), &peer(1), Prefix(2), 1), Asked::Busy);
}

#[test]
fn peers_of_no_known_prefix_share_none() {
    let mut limits = Limits::new(None);
    for n in 0..8 {
        assert_eq!(limits.ask(at(0), &peer(n), Prefix::default(), PEER_BURST), Asked::Granted);
    }
    limits.spend(at(0), &peer(0), Prefix::default(), u64::MAX);
    assert!(limits.owes(at(0), &peer(0), Prefix::default()));
    assert!(!limits.owes(at(0), &peer(9), Prefix::default()), "no neighbour pays for it");
}

#[test]
fn limits_remember_whoever_owes_and_nobody_else() {
    let mut limits = Limits::new(None);
    assert_eq!(limits.len(), 0);
    assert_eq!(limits.ask(at(0), &peer(0), Prefix(1), 1), Asked::Granted);
    assert_eq!(limits.len(), 2, "the peer and its prefix");
    assert_eq!(limits.ask(at(0), &peer(0), Prefix(1), PEER_BURST), Asked::Busy);
    assert_eq!(limits.len(), 3, "and that it was refused");
    assert!(limits.serve(at(0), &peer(0), Token(1), 1).is_some());
    assert_eq!(limits.len(), 4, "and what it is sent");
    limits.sweep(at(0));
    assert_eq!(limits.len(), 4, "all of it is in use");
    limits.sweep(at(1_000_000));
    assert_eq!(limits.len(), 1, "a stream stays until it ends");
    limits.served(Token(1), 1);
    assert_eq!(limits.len(), 0);
}

#[test]
fn streams_are_bounded_per_peer_and_in_all() {
    let mut limits = Limits::new(None);
    let mut next = 0;
    let mut serve = |limits: &mut Limits, n: usize| {
        next += 1;
        limits.serve(at(0), &peer(n), Token(next), 1).is_some()
    };
    for n in 0..STREAMS / STREAMS_PER_PEER {
        for _ in 0..STREAMS_PER_PEER {
            assert!(serve(&mut limits, n));
        }
        assert!(!serve(&mut limits, n), "its share is taken");
    }
    assert!(!serve(&mut limits, 1000), "all are taken, by others");
    limits.served(Token(1), 1);
    assert!(serve(&mut limits, 1000), "one was free again");
}

#[test]
fn a_stream_is_served_once() {
    let mut limits = Limits::new(None);
    assert!(limits.serve(at(0), &peer(0), Token(7), 1).is_some());
    assert_eq!(limits.serve(at(0), &peer(1), Token(7), 1), None, "its token is in use");
    limits.served(Token(7), 1);
    assert!(limits.serve(at(0), &peer(1), Token(7), 1).is_some());
}

#[test]
fn the_longest_wait_is_still_served() {
    let longest = u64::try_from(LONGEST_WAIT.as_millis()).unwrap();
    let mut limits = Limits::new(Some(1000));
    assert_eq!(limits.serve(at(0), &peer(0), Token(0), longest), Some(at(0)));
    assert_eq!(limits.serve(at(0), &peer(0), Token(1), 1), Some(at(longest)));
    assert_eq!(limits.serve(at(0), &peer(0), Token(2), 1), None, "a millisecond too late");
    // The line does not save up: after a pause a stream starts at once, not earlier.
    assert_eq!(limits.serve(at(60_000), &peer(0), Token(3), 1), Some(at(60_000)));
    let mut stopped = Limits::new(Some(0));
    assert_eq!(stopped.serve(at(0), &peer(0), Token(0), 6), Some(at(0)), "no division by zero");
    assert_eq!(stopped.serve(at(0), &peer(0), Token(1), 1), None);
}

/// The parts of a price that grow: by the entry, by the thing looked up, by the byte.
#[test]
fn a_request_costs_more_the_more_it_asks_for() {
    let id = |n: u8| perennial_manifest::EntryId::from_bytes([n; 32]);
    let entries = |n: u8| cost(&Request::Entries { ids: Bounded::first_of((0..n).map(id)) });
    assert_eq!((entries(1), entries(3)), (256 + 2048, 256 + 3 * 2048));
    let find = |limit| cost(&Request::Find { selector: "tool".into(), publisher: None, limit });
    assert_eq!((find(1), find(256)), (66 * 1024, (64 + 512) * 1024));
    let search = |limit| cost(&Request::Search { text: "tool".into(), limit });
    assert_eq!((search(0), search(256)), (512 * 1024, 1024 * 1024));
    let have = Request::Have {
        releases: Bounded::first_of((0..2).map(|n| id(n).into())),
        blobs: Bounded::first_of([perennial_manifest::BlobId::of(b"x")]),
    };
    assert_eq!(cost(&have), 4 * 256);
    assert_eq!((cost_of_rows(0), cost_of_rows(100_000)), (0, 6_400_000));
}
