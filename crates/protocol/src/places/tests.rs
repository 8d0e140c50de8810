//! Shares, kept places, and who leaves.

use super::{Entry, Guest, Places, REMEMBERED, Shares, Standing, Standings, leaver};
use crate::peer::PeerId;
use crate::prefix::Prefix;
use crate::time::Time;

fn peer(n: usize) -> PeerId {
    format!("p{n}").parse().unwrap()
}

fn guest(n: usize, prefix: u64, standing: Standing) -> Guest {
    Guest { peer: Some(peer(n)), prefix: Prefix(prefix), standing }
}

fn stranger(n: usize, prefix: u64) -> Guest {
    guest(n, prefix, Standing::Stranger)
}

fn at(millis: usize) -> Time {
    Time::from_millis(millis as u64)
}

const SHARES: Shares = Shares { most: 8, kept: 2, per_peer: 2, per_prefix: 3 };

#[test]
fn a_share_of_many_is_a_share_of_few() {
    assert_eq!(Shares::of(128, 2), Shares { most: 128, kept: 32, per_peer: 2, per_prefix: 48 });
    assert_eq!(Shares::of(1, 2), Shares { most: 1, kept: 0, per_peer: 2, per_prefix: 1 });
}

#[test]
fn a_peer_gives_its_own_place_for_another_one() {
    let mut places = Places::new(SHARES);
    assert_eq!(places.enter(at(0), 0, stranger(1, 0)), Entry::Free);
    assert_eq!(places.enter(at(1), 1, stranger(1, 0)), Entry::Free);
    assert_eq!(places.enter(at(2), 2, stranger(1, 0)), Entry::InsteadOf(0));
    assert_eq!(places.len(), 2);
    assert!(places.leave(&1) && places.leave(&2) && !places.leave(&0));
    assert!(places.is_empty());
}

#[test]
fn a_prefix_has_a_share_within_which_newcomers_replace_the_silent() {
    let mut places = Places::new(SHARES);
    for n in 0..3 {
        assert_eq!(places.enter(at(n), n, stranger(n, 7)), Entry::Free);
    }
    places.saw(at(3), &peer(0), Standing::Active);
    assert_eq!(places.enter(at(4), 4, stranger(4, 7)), Entry::InsteadOf(1), "the silent first");
    assert_eq!(places.enter(at(5), 5, stranger(5, 8)), Entry::Free, "another network");
    assert_eq!(places.enter(at(6), 6, guest(6, 7, Standing::Useful)), Entry::InsteadOf(2));
    assert_eq!(places.enter(at(7), 7, guest(7, 7, Standing::Chosen)), Entry::Free);
    assert_eq!(places.len(), 5);
    // Peers without a network share nothing.
    for n in 10..13 {
        assert_eq!(places.enter(at(n), n, stranger(n, 0)), Entry::Free);
    }
}

#[test]
fn a_share_full_of_useful_peers_is_closed_to_strangers() {
    let mut places = Places::new(SHARES);
    for n in 0..3 {
        assert_eq!(places.enter(at(n), n, guest(n, 7, Standing::Useful)), Entry::Free);
    }
    assert_eq!(places.enter(at(3), 3, stranger(3, 7)), Entry::Full);
    assert_eq!(places.enter(at(4), 4, guest(4, 7, Standing::Useful)), Entry::InsteadOf(0));
}

#[test]
fn when_all_is_taken_the_most_crowded_prefix_gives_a_place() {
    let mut places = Places::new(SHARES);
    // Three of one network, two of another, and one alone: all that strangers get.
    for (n, prefix) in [7, 7, 7, 8, 8, 9].into_iter().enumerate() {
        assert_eq!(places.enter(at(n), n, stranger(n, prefix)), Entry::Free);
    }
    assert_eq!(places.enter(at(10), 10, stranger(10, 9)), Entry::InsteadOf(0), "of three");
    places.saw(at(11), &peer(3), Standing::Active);
    assert_eq!(places.enter(at(12), 12, stranger(12, 10)), Entry::InsteadOf(1), "first of a tie");
}

#[test]
fn a_crowd_without_a_network_is_judged_by_what_each_does() {
    let mut places = Places::new(SHARES);
    for n in 0..6 {
        assert_eq!(places.enter(at(n), n, stranger(n, 0)), Entry::Free);
    }
    places.saw(at(6), &peer(0), Standing::Active);
    // A newcomer gets in, and is not the next to go.
    assert_eq!(places.enter(at(7), 7, stranger(7, 0)), Entry::InsteadOf(1));
    assert_eq!(places.enter(at(8), 8, stranger(8, 0)), Entry::InsteadOf(2));
}

#[test]
fn some_places_are_kept_for_those_that_earned_them() {
    let mut places = Places::new(SHARES);
    for n in 0..6 {
        assert_eq!(places.enter(at(n), n, stranger(n, 0)), Entry::Free);
    }
    assert!(matches!(places.enter(at(6), 6, stranger(6, 0)), Entry::InsteadOf(_)));
    assert_eq!(places.enter(at(7), 7, guest(7, 0, Standing::Useful)), Entry::Free);
    assert_eq!(places.enter(at(8), 8, guest(8, 0, Standing::Chosen)), Entry::Free);
    assert_eq!(places.len(), SHARES.most);
    // Then strangers leave for them, as long as there are any.
    for n in 9..15 {
        let came = places.enter(at(n), n, guest(n, 0, Standing::Useful));
        assert!(matches!(came, Entry::InsteadOf(1..=6)), "{n}: {came:?}");
    }
    assert_eq!(places.enter(at(20), 20, guest(20, 0, Standing::Useful)), Entry::Full);
    assert_eq!(places.enter(at(21), 21, stranger(21, 0)), Entry::Full);
    let chosen = places.enter(at(22), 22, guest(22, 0, Standing::Chosen));
    assert_eq!(chosen, Entry::InsteadOf(7), "useful peers leave for those that the user chose");
    assert_eq!(places.len(), SHARES.most);
}

#[test]
fn whoever_is_at_work_stays() {
    let mut places = Places::new(Shares { most: 2, kept: 0, per_peer: 2, per_prefix: 2 });
    assert_eq!(places.enter(at(0), 0, stranger(0, 0)), Entry::Free);
    assert_eq!(places.enter(at(1), 1, stranger(1, 0)), Entry::Free);
    places.stays(&0);
    assert_eq!(places.enter(at(2), 2, stranger(2, 0)), Entry::InsteadOf(1));
    places.stays(&2);
    assert_eq!(places.enter(at(3), 3, stranger(3, 0)), Entry::Full);
    assert!(places.leave(&0));
    assert_eq!(places.enter(at(4), 4, stranger(4, 0)), Entry::Free);
}

#[test]
fn those_without_a_rank_count_in_the_crowd() {
    let taken = [(0, Prefix(1), None), (1, Prefix(1), Some(9)), (2, Prefix(2), Some(1))];
    assert_eq!(leaver(taken), Some(1), "its network is the most crowded");
    assert_eq!(leaver([(0, Prefix(1), None::<u8>)]), None);
    let alone = [(0, Prefix::NONE, Some(2)), (1, Prefix::NONE, Some(1)), (2, Prefix(3), Some(0))];
    assert_eq!(leaver(alone), Some(2), "nobody is in a crowd");
}

#[test]
fn a_standing_rises_and_the_lowest_is_forgotten_first() {
    let mut standings = Standings::default();
    assert!(standings.is_empty());
    assert!(
        standings.earn(&peer(0), Standing::Useful) && standings.earn(&peer(0), Standing::Chosen)
    );
    assert!(!standings.earn(&peer(0), Standing::Active), "it does not fall");
    assert!(!standings.earn(&peer(1), Standing::Stranger));
    assert_eq!(standings.of(&peer(0)), Standing::Chosen);
    assert!(standings.earn(&peer(1), Standing::Useful));
    for n in 2..3 * REMEMBERED {
        assert!(standings.earn(&peer(n), Standing::Active), "{n}");
    }
    assert_eq!(standings.len(), REMEMBERED);
    assert_eq!(standings.of(&peer(1)), Standing::Useful, "those below it went");
    assert_eq!(standings.of(&peer(2)), Standing::Stranger);
    assert!(Standing::Chosen.is_earned() && Standing::Useful.is_earned());
    assert!(!Standing::Active.is_earned() && !Standing::Stranger.is_earned());
}
