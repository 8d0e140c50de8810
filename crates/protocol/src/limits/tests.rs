//! Buckets, shares, refusals, and what requests cost.

mod bounds;

use super::{Asked, Bucket, Buckets, Limits, STREAMS_PER_PEER, cost, cost_of_rows};
use crate::input::Token;
use crate::prefix::Prefix;
use crate::time::Time;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn a_bucket_gives_its_capacity_and_then_its_rate() {
    let mut bucket = Bucket::full(10, 5, at(0));
    assert!(bucket.take(at(0), 10));
    assert!(!bucket.take(at(199), 1));
    assert!(bucket.take(at(200), 1));
    assert!(!bucket.take(at(200), 1));
    assert!(bucket.take(at(1_000_000), 10));
    assert!(!bucket.take(at(1_000_000), 1), "never more than its capacity");
    assert!(!bucket.take(at(5), 1), "time that goes back brings nothing");
    assert_eq!(bucket.take_up_to(at(1_000_700), 10), 3, "what there is");
    assert_eq!(bucket.take_up_to(at(2_000_000), 4), 4);
    assert!(bucket.take(at(2_000_000), 6) && !bucket.take(at(2_000_000), 1));
}

#[test]
fn buckets_are_bounded_and_shrink() {
    let mut buckets = Buckets::new(2, 1, 3);
    for key in 0..3 {
        assert!(buckets.take(at(0), &key, 1));
    }
    assert!(!buckets.take(at(0), &3, 1), "no room while the others are in use");
    assert!(buckets.take(at(1000), &3, 1), "full ones were swept");
    buckets.sweep(at(9000));
    assert_eq!(buckets.len(), 0);
}

#[test]
fn one_prefix_cannot_use_up_every_share() {
    let mut limits = Limits::new(None);
    let granted = (0..64)
        .filter(|n| {
            let peer = format!("p{n}").parse().unwrap();
            limits.ask(at(0), &peer, Prefix(7), super::PEER_BURST) == Asked::Granted
        })
        .count();
    assert_eq!(granted, 4);
    let other = limits.ask(at(0), &"other".parse().unwrap(), Prefix(8), super::PEER_BURST);
    assert_eq!(other, Asked::Granted);
}

#[test]
fn whoever_waits_after_a_refusal_is_not_blamed() {
    let mut limits = Limits::new(None);
    let (honest, flooder) = ("honest".parse().unwrap(), "flooder".parse().unwrap());
    let mut ask = |seconds: u64, peer| {
        limits.ask(at(seconds * 1000), peer, Prefix::default(), super::PEER_BURST)
    };
    assert_eq!((ask(0, &honest), ask(0, &flooder)), (Asked::Granted, Asked::Granted));
    // Twice a second at first, then once in two seconds.
    for seconds in 0..8 {
        assert_eq!(ask(seconds, &honest), Asked::Busy);
        assert_eq!(ask(seconds, &honest), Asked::Busy);
    }
    assert!((5..8).all(|n| ask(2 * n, &honest) == Asked::Busy));
    let refused: Vec<Asked> = (0..100).map(|_| ask(8, &flooder)).collect();
    assert_eq!(refused.iter().filter(|asked| **asked == Asked::Flood).count(), 68);
}

#[test]
fn work_is_charged_when_it_is_known_and_owed_where_nothing_is_left() {
    let mut limits = Limits::new(None);
    let peer = "p".parse().unwrap();
    let ask = |limits: &mut Limits, seconds: u64| {
        limits.ask(at(seconds * 1000), &peer, Prefix(3), 1) == Asked::Granted
    };
    limits.spend(at(0), &peer, Prefix(3), cost_of_rows(10_000_000));
    // It owes as much as it may have: 16 seconds at its rate, and no more than that.
    assert!(!ask(&mut limits, 1) && !ask(&mut limits, 15));
    let other = "other".parse().unwrap();
    assert!(limits.owes(at(15_000), &peer, Prefix::default()));
    assert!(limits.owes(at(15_000), &other, Prefix(3)), "its neighbours share the debt");
    assert!(!limits.owes(at(15_000), &other, Prefix(4)));
    assert!(ask(&mut limits, 17) && !limits.owes(at(17_000), &peer, Prefix(3)));
    limits.spend(at(100_000), &peer, Prefix(3), cost_of_rows(100_000));
    assert!(ask(&mut limits, 100), "a smaller set is within its burst");
}

/// What costs time costs budget: no kind of request is free, whatever little it asks for.
#[test]
fn no_request_is_free() {
    use crate::message::{Bounded, Request, Scope};
    let id = |n: u8| perennial_manifest::BlobId::from_bytes([n; 32]);
    let digest = perennial_manifest::Sha256Digest::from_bytes([7; 32]);
    let find = Request::Find { selector: "tool".into(), publisher: None, limit: 0 };
    let have = |n: u8| Request::Have {
        releases: Bounded::empty(),
        blobs: Bounded::first_of((0..n).map(id)),
    };
    assert_eq!(cost(&find), 64 * 1024);
    assert_eq!((cost(&have(0)), cost(&have(3))), (256, 4 * 256));
    assert_eq!(cost(&Request::Search { text: "tool".into(), limit: 1 }), 514 * 1024);
    assert_eq!(cost(&Request::ResolveSha256 { digest }), 256);
    let message = vec![0; 10];
    assert_eq!(cost(&Request::Reconcile { scope: Scope::All, message }), 64 * 1024 + 20);
    assert_eq!(cost(&Request::Entries { ids: Bounded::empty() }), 256);
}

#[test]
fn streams_and_upload_are_capped() {
    let mut limits = Limits::new(Some(1000));
    let peer = "p".parse().unwrap();
    assert_eq!(limits.serve(at(0), &peer, Token(0), 2000), Some(at(0)));
    assert_eq!(limits.serve(at(0), &peer, Token(1), 4000), Some(at(2000)));
    assert_eq!(limits.serve(at(0), &peer, Token(2), 1), None, "its turn is too far away");
    limits.served(Token(0), 2000);
    limits.served(Token(1), 4000);
    let mut limits = Limits::new(None);
    let granted = (0..9).filter(|n| limits.serve(at(0), &peer, Token(*n), 1).is_some()).count();
    assert_eq!(granted, STREAMS_PER_PEER);
    limits.served(Token(0), 1);
    assert!(limits.serve(at(0), &peer, Token(20), 1).is_some());
}

#[test]
fn the_upload_cap_is_charged_with_what_was_sent() {
    let mut limits = Limits::new(Some(1000));
    let (greedy, honest) = ("greedy".parse().unwrap(), "honest".parse().unwrap());
    assert_eq!(limits.serve(at(0), &greedy, Token(0), u64::MAX), Some(at(0)));
    assert_eq!(limits.serve(at(0), &honest, Token(1), 1000), None, "all of it may be sent");
    // Nothing of it was held.
    limits.served(Token(0), 1);
    assert_eq!(limits.serve(at(10), &honest, Token(2), 1000), Some(at(10)));
    // One that leaves in the middle, after a second.
    assert_eq!(limits.serve(at(1010), &greedy, Token(3), 100_000), Some(at(1010)));
    limits.served(Token(3), 1000);
    assert_eq!(limits.serve(at(2010), &honest, Token(4), 1000), Some(at(2010)));
    limits.served(Token(99), 7);
}
