//! Single scenarios.

use super::{blob, peer};
use crate::effect::{DownloadItem, Offence};
use crate::input::FetchId;
use crate::message::{BlobRange, Bounded};
use crate::time::Time;
use crate::transfer::{
    AssignmentId, Command, Decision, End, Has, Reason, Report, Subject, Transfer, limits,
};

const FETCH: FetchId = FetchId(1);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn want(number: u8, size: u64, missing: Option<Vec<(u64, u64)>>) -> Command {
    Command::Want { fetch: FETCH, blob: blob(number), size, missing }
}

fn holder(number: u8, has: Has) -> Command {
    Command::Holder { peer: peer(number), subject: Subject::Fetch(FETCH), has }
}

/// The downloads among decisions: assignment, the name of the peer, ranges.
fn downloads(decisions: &[Decision]) -> Vec<(AssignmentId, String, Vec<BlobRange>)> {
    decisions
        .iter()
        .filter_map(|effect| match effect {
            Decision::StartDownload { assignment, peer, items } => {
                Some((*assignment, peer.to_string(), ranges(items)))
            }
            _ => None,
        })
        .collect()
}

fn ranges(items: &[DownloadItem]) -> Vec<BlobRange> {
    items.iter().map(|item| item.range.clone()).collect()
}

fn all_of(items: &[BlobRange]) -> Report {
    Report { verified: items.to_vec(), not_held: Vec::new() }
}

#[test]
fn an_assignment_carries_many_small_blobs() {
    let mut machine = Transfer::new(0);
    for number in 0..200 {
        assert_eq!(downloads(&machine.handle(at(0), want(number, 5000, None))), []);
    }
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].2.len(), 200);
    assert_eq!(sent[0].2[7].ranges.to_vec(), [(0, 5000)]);
}

#[test]
fn a_resumed_blob_is_asked_only_for_what_is_missing_and_never_beyond_its_size() {
    let mut machine = Transfer::new(0);
    let size = 100_000;
    // Ranges that are unaligned, out of order or beyond the end are extended to groups and
    // truncated at the size.
    machine.handle(at(0), want(1, size, Some(vec![(90_000, u64::MAX), (20_000, 20_001)])));
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    assert_eq!(sent[0].2[0].ranges.to_vec(), [(16_384, 32_768), (81_920, 100_000)]);
}

#[test]
fn a_fetch_with_nothing_missing_completes_at_once() {
    let mut machine = Transfer::new(0);
    for (size, missing) in [(0, None), (70_000, Some(Vec::new()))] {
        let decisions = machine.handle(at(0), want(1, size, missing));
        assert_eq!(decisions, [Decision::Complete { blob: blob(1), fetches: vec![FETCH] }]);
    }
    assert_eq!(machine.wanted(), 0);
}

#[test]
fn all_slots_of_a_peer_are_filled_and_the_next_assignment_follows_at_once() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 200 << 20, None));
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    assert_eq!(sent.len(), limits::SLOTS_PER_PEER);
    assert_eq!(sent[0].2[0].ranges.to_vec(), [(0, limits::PIECE)]);
    assert_eq!(sent[1].2[0].ranges.to_vec(), [(limits::PIECE, 2 * limits::PIECE)]);
    let ended = Command::Ended(sent[0].0, all_of(&sent[0].2), End::Finished);
    assert_eq!(downloads(&machine.handle(at(100), ended)).len(), 1);
}

#[test]
fn a_liar_is_never_asked_for_that_blob_again_even_after_reconnecting() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    let lied = Command::Ended(sent[0].0, Report::default(), End::Lied(blob(1)));
    let decisions = machine.handle(at(10), lied);
    let offence = Offence::BadBytes;
    assert!(decisions.contains(&Decision::Penalise { peer: peer(1), offence }));
    machine.handle(at(20), Command::Gone(peer(1)));
    machine.handle(at(30), holder(1, Has::Held));
    machine.handle(at(30), want(1, 1000, None));
    for time in [30, 100_000, 10_000_000] {
        assert_eq!(downloads(&machine.handle(at(time), Command::Tick)), []);
    }
    machine.handle(at(10_000_001), holder(2, Has::Held));
    assert_eq!(downloads(&machine.handle(at(10_000_001), Command::Tick)).len(), 1);
}

#[test]
fn a_stalled_assignment_is_cancelled_at_its_deadline_and_given_to_another() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    let due = u64::try_from(limits::WINDOW.as_millis()).expect("small");
    assert!(
        !machine.handle(at(due - 1), Command::Tick).contains(&Decision::StopDownload(sent[0].0))
    );
    machine.handle(
        at(due - 1),
        Command::Holder { peer: peer(2), subject: Subject::Fetch(FETCH), has: Has::Held },
    );
    let decisions = machine.handle(at(due), Command::Tick);
    assert!(decisions.contains(&Decision::StopDownload(sent[0].0)), "{decisions:?}");
    let again = downloads(&decisions);
    assert_eq!((again.len(), again[0].1.as_str()), (1, "peer-2"));
}

#[test]
fn a_fetch_without_a_holder_is_stuck_once_until_a_holder_appears() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), want(2, 1000, None));
    assert_eq!(
        machine.handle(at(50), Command::Tick).len(),
        1,
        "only a wake: holders may still be named"
    );
    let decisions = machine.handle(at(100), Command::Tick);
    let blobs = vec![blob(1), blob(2)];
    assert_eq!(decisions, [Decision::Stuck { fetch: FETCH, blobs, reason: Reason::NoHolder }]);
    assert_eq!(machine.handle(at(5000), Command::Tick), []);
    machine.handle(at(6000), holder(1, Has::Unknown));
    assert_eq!(downloads(&machine.handle(at(6000), Command::Tick)).len(), 1);
}

#[test]
fn a_peer_of_unknown_holding_is_asked_only_without_a_known_holder() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), want(2, 1000, None));
    machine.handle(at(0), holder(1, Has::Unknown));
    let has = Has::Held;
    machine.handle(
        at(0),
        Command::Holder { peer: peer(2), subject: Subject::Blob(blob(1), 1000), has },
    );
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    let asked: Vec<_> =
        sent.iter().map(|(_, peer, items)| (peer.as_str(), items[0].blob)).collect();
    assert_eq!(sent.len(), 2);
    assert!(asked.contains(&("peer-1", blob(2))) && asked.contains(&("peer-2", blob(1))));
}

#[test]
fn a_local_failure_delays_the_blobs_and_blames_no_peer() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    let decisions =
        machine.handle(at(10), Command::Ended(sent[0].0, Report::default(), End::Local));
    assert!(!decisions.iter().any(|effect| matches!(effect, Decision::Penalise { .. })));
    let decisions = machine.handle(at(300), Command::Tick);
    assert_eq!(
        decisions,
        [Decision::Stuck { fetch: FETCH, blobs: vec![blob(1)], reason: Reason::Local }]
    );
    machine.handle(at(400), want(1, 1000, None));
    assert_eq!(downloads(&machine.handle(at(400), Command::Tick)).len(), 1);
}

#[test]
fn a_cancelled_fetch_stops_its_downloads_but_not_those_of_another() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), want(2, 1000, None));
    let fetch = FetchId(2);
    machine.handle(at(0), Command::Want { fetch, blob: blob(2), size: 1000, missing: None });
    machine.handle(at(0), holder(1, Has::Held));
    let sent = downloads(&machine.handle(at(0), Command::Tick));
    assert_eq!(sent[0].2[0].blob, blob(1), "in the order in which they were wanted");
    assert!(
        !machine.handle(at(1), Command::Cancel(FETCH)).contains(&Decision::StopDownload(sent[0].0))
    );
    assert_eq!((machine.wanted(), machine.missing_bytes(&blob(1))), (1, None));
    let decisions = machine.handle(at(2), Command::Cancel(FetchId(2)));
    assert!(decisions.contains(&Decision::StopDownload(sent[0].0)));
}

#[test]
fn a_hundred_thousand_small_blobs_cost_little() {
    let id = |number: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        perennial_manifest::BlobId::from_bytes(bytes)
    };
    let mut machine = Transfer::new(0);
    for number in 0..100_000 {
        let size = 2000;
        machine
            .handle(at(0), Command::Want { fetch: FETCH, blob: id(number), size, missing: None });
    }
    // Peers with nothing to offer, since their only fetch was cancelled, are not walked each time.
    let other = FetchId(2);
    for number in 3..100 {
        let subject = Subject::Fetch(other);
        machine.handle(at(0), Command::Holder { peer: peer(number), subject, has: Has::Held });
    }
    machine.handle(at(0), Command::Cancel(other));
    machine.handle(at(0), holder(1, Has::Held));
    machine.handle(at(0), holder(2, Has::Held));
    let (mut todo, mut rounds, mut done) = (machine.handle(at(0), Command::Tick), 0, 0);
    while let Some((id, _, items)) = downloads(&todo).into_iter().next() {
        todo.retain(|effect| {
            !matches!(effect, Decision::StartDownload { assignment, .. }
                if *assignment == id)
        });
        rounds += 1;
        let decisions =
            machine.handle(at(rounds * 10), Command::Ended(id, all_of(&items), End::Finished));
        done +=
            decisions.iter().filter(|effect| matches!(effect, Decision::Complete { .. })).count();
        todo.extend(decisions);
    }
    assert_eq!((done, machine.wanted()), (100_000, 0));
    assert!(rounds <= 150, "{rounds} assignments");
}

/// Ends every assignment with `end`, without a byte, and keeps ticking for `seconds`. Returns the
/// number of assignments.
fn attempts(machine: &mut Transfer, seconds: u64, end: impl Fn(&[BlobRange]) -> End) -> usize {
    let mut count = 0;
    for second in 0..seconds {
        let mut decisions = machine.handle(at(second * 1000), Command::Tick);
        while let Some((id, _, items)) = downloads(&decisions).into_iter().next() {
            decisions.retain(|effect| {
                !matches!(effect, Decision::StartDownload { assignment, .. }
                    if *assignment == id)
            });
            if machine.peer_of(id).is_some() {
                count += 1;
                let ended = Command::Ended(id, Report::default(), end(&items));
                decisions.extend(machine.handle(at(second * 1000), ended));
            }
        }
    }
    count
}

#[test]
fn a_peer_that_always_closes_is_tried_a_bounded_number_of_times() {
    let mut machine = Transfer::new(0);
    machine.handle(at(0), want(1, 1000, None));
    machine.handle(at(0), holder(1, Has::Held));
    let count = attempts(&mut machine, 3000, |_| End::Closed);
    assert_eq!(count, usize::from(limits::TRIES));
}

#[test]
fn a_peer_that_fails_at_everything_is_benched() {
    let mut machine = Transfer::new(0);
    for number in 0..100 {
        machine.handle(at(0), want(number, 3 << 20, None));
    }
    machine.handle(at(0), holder(1, Has::Held));
    let count = attempts(&mut machine, limits::BENCH.as_secs() / 2, |_| End::Closed);
    let most = usize::try_from(limits::BENCH_AFTER).expect("small") + limits::SLOTS_PER_PEER;
    assert!(count <= most, "{count} attempts");
}

#[test]
fn after_several_lies_a_peer_is_asked_for_nothing() {
    let mut machine = Transfer::new(0);
    for number in 0..100 {
        machine.handle(at(0), want(number, 3 << 20, None));
    }
    machine.handle(at(0), holder(1, Has::Held));
    let count = attempts(&mut machine, 5000, |items| End::Lied(items[0].blob));
    assert_eq!(count, usize::try_from(limits::LIES).expect("small"));
}

/// Somebody's wrong size for a blob neither delays those who know the true one, nor harms the peer
/// that holds it.
#[test]
fn a_blob_under_a_wrong_size_is_another_want() {
    let (lie, truth) = (FETCH, FetchId(2));
    let mut machine = Transfer::new(0);
    let want = |fetch, size| Command::Want { fetch, blob: blob(1), size, missing: None };
    for (fetch, size) in [(lie, 12_345), (truth, 300)] {
        machine.handle(at(0), want(fetch, size));
        let subject = Subject::Fetch(fetch);
        machine.handle(at(0), Command::Holder { peer: peer(1), subject, has: Has::Held });
    }
    let (mut done, mut refused) = (Vec::new(), 0);
    let mut now = 0;
    while done.is_empty() && now < 60_000 {
        let decisions = machine.handle(at(now), Command::Tick);
        let mut pending = decisions;
        while let Some(decision) = pending.pop() {
            match decision {
                Decision::StartDownload { assignment, items, .. } => {
                    assert_eq!(items.len(), 1, "of one blob, one size at a time");
                    let end = if items[0].size == 300 {
                        (all_of(&ranges(&items)), End::Finished)
                    } else {
                        refused += 1;
                        (Report::default(), End::WrongSize(blob(1)))
                    };
                    let ended = Command::Ended(assignment, end.0, end.1);
                    pending.extend(machine.handle(at(now), ended));
                }
                Decision::Complete { fetches, .. } => done.extend(fetches),
                Decision::Penalise { offence, .. } => panic!("the holder is right: {offence:?}"),
                _ => {}
            }
        }
        now += 100;
    }
    assert_eq!((done, refused), (vec![truth], 1));
    assert_eq!(machine.missing_bytes(&blob(1)), Some(12_345), "nothing of it is believed");
    assert_eq!(machine.sources[&peer(1)].failures, 0);
    // The want that cannot be satisfied is over once its fetch is.
    machine.handle(at(now), Command::Cancel(lie));
    assert_eq!(machine.wanted(), 0);
}

/// Late bytes of one of two sizes count for neither: they may be of the other.
#[test]
fn bytes_of_an_assignment_that_is_over_count_where_one_size_is_wanted() {
    let mut machine = Transfer::new(0);
    for (fetch, size) in [(FETCH, 300), (FetchId(2), 301)] {
        machine.handle(at(0), Command::Want { fetch, blob: blob(1), size, missing: None });
    }
    let verified = vec![BlobRange { blob: blob(1), ranges: Bounded::first_of([(0, 300)]) }];
    let late = Command::Progress(AssignmentId(7), Report { verified, not_held: Vec::new() });
    let complete = Decision::Complete { blob: blob(1), fetches: vec![FETCH] };
    assert!(!machine.handle(at(1), late.clone()).contains(&complete));
    machine.handle(at(2), Command::Cancel(FetchId(2)));
    let decisions = machine.handle(at(3), late);
    assert!(decisions.contains(&complete), "{decisions:?}");
}
