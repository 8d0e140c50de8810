//! Simulated peers in virtual time: honest and fast, crawling, stalling, lying, empty, closing
//! early, partial. If one honest peer holds everything, all of it arrives, with bounded time and
//! waste.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use perennial_manifest::BlobId;
use proptest::prelude::*;

use super::{blob, invariants, peer};
use crate::effect::DownloadItem;
use crate::input::FetchId;
use crate::message::{BlobRange, Bounded};
use crate::peer::PeerId;
use crate::time::Time;
use crate::transfer::ranges::Ranges;
use crate::transfer::{
    AssignmentId, Command, Decision, End, Has, Report, Subject, Transfer, limits,
};

const STEP: u64 = 50;

/// The behaviour of a peer. Rates are in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest(u64),
    /// Serves this many bytes in total, then nothing more, with the stream open.
    Stalls(u64),
    /// Corrupts every n-th group that it sends.
    Lies(u64),
    /// Claims to hold everything, and holds nothing.
    Empty,
    /// Closes each stream after this many bytes.
    Closes(u64),
    /// States a wrong size for every blob.
    WrongSize,
    /// Always busy.
    Busy,
}

struct Stream {
    id: AssignmentId,
    todo: VecDeque<(BlobId, u64, u64)>,
    sent: u64,
}

struct Peer {
    manner: Manner,
    streams: Vec<Stream>,
    sent: u64,
    credit: u64,
}

struct World {
    machine: Transfer,
    now: u64,
    peers: BTreeMap<PeerId, Peer>,
    sizes: BTreeMap<BlobId, u64>,
    good: BTreeMap<BlobId, Ranges>,
    done: BTreeSet<BlobId>,
    stuck: Vec<Decision>,
    wake: Option<Time>,
    moved: u64,
    /// Blobs that each peer lied about, to check that it is never asked for them again.
    lied: BTreeSet<(PeerId, BlobId)>,
}

impl World {
    fn new(seed: u64, manners: &[Manner], sizes: &[u64]) -> Self {
        let number = |index: usize| u8::try_from(index).expect("few");
        let mut world = Self {
            machine: Transfer::new(seed),
            now: 0,
            peers: BTreeMap::new(),
            sizes: sizes.iter().enumerate().map(|(i, size)| (blob(number(i)), *size)).collect(),
            good: BTreeMap::new(),
            done: BTreeSet::new(),
            stuck: Vec::new(),
            wake: None,
            moved: 0,
            lied: BTreeSet::new(),
        };
        for (blob, size) in world.sizes.clone() {
            let want = Command::Want { fetch: FetchId(1), blob, size, missing: None };
            world.command(want);
        }
        for (index, manner) in manners.iter().enumerate() {
            let peer = peer(number(index));
            world.peers.insert(
                peer.clone(),
                Peer { manner: *manner, streams: Vec::new(), sent: 0, credit: 0 },
            );
            world.command(Command::Holder {
                peer,
                subject: Subject::Fetch(FetchId(1)),
                has: Has::Held,
            });
        }
        world
    }

    fn command(&mut self, command: Command) {
        let ticked = command == Command::Tick;
        let decisions = self.machine.handle(Time::from_millis(self.now), command);
        assert_eq!(invariants::check(&self.machine), Ok(()));
        assert_eq!(invariants::check_decisions(&self.machine, &decisions), Ok(()));
        for effect in decisions {
            match effect {
                Decision::StartDownload { assignment, peer, items } => {
                    let mut todo = VecDeque::new();
                    for DownloadItem { range: item, .. } in items {
                        assert!(
                            !self.lied.contains(&(peer.clone(), item.blob)),
                            "asked a liar again"
                        );
                        for &(start, end) in &item.ranges {
                            todo.push_back((item.blob, start, end));
                        }
                    }
                    let stream = Stream { id: assignment, todo, sent: 0 };
                    self.peers.get_mut(&peer).expect("known").streams.push(stream);
                }
                Decision::StopDownload(id) => {
                    for peer in self.peers.values_mut() {
                        peer.streams.retain(|stream| stream.id != id);
                    }
                }
                Decision::Complete { blob, .. } => {
                    let all = Ranges::of(0, self.sizes[&blob]);
                    assert_eq!(self.good.get(&blob).cloned().unwrap_or_default(), all);
                    assert!(self.done.insert(blob), "complete twice");
                }
                stuck @ Decision::Stuck { .. } => self.stuck.push(stuck),
                Decision::WakeAt(at) => {
                    assert!(
                        !ticked || at.as_millis() > self.now,
                        "a tick that asks for a tick at once"
                    );
                    self.wake = Some(at);
                }
                Decision::Penalise { .. } => {}
            }
        }
    }

    /// Runs until everything is done or the time is up. Returns the elapsed time.
    fn run(&mut self, limit: u64) -> u64 {
        while self.done.len() < self.sizes.len() && self.now < limit {
            if self.wake.is_some_and(|at| at.as_millis() <= self.now) {
                self.wake = None;
                self.command(Command::Tick);
            }
            for peer in self.peers.keys().cloned().collect::<Vec<_>>() {
                self.serve(&peer);
            }
            self.now += STEP;
        }
        self.now
    }

    /// Advances one peer by one step: it serves its oldest stream, group by group.
    fn serve(&mut self, name: &PeerId) {
        let mut commands = Vec::new();
        let peer = self.peers.get_mut(name).expect("known");
        let rate = if let Manner::Honest(rate) = peer.manner { rate } else { 20 << 20 };
        peer.credit = (peer.credit + rate * STEP / 1000).min(rate.max(limits::GROUP));
        while let Some(stream) = peer.streams.first_mut() {
            let Some((blob, start, end)) = stream.todo.pop_front() else {
                commands.push(Command::Ended(stream.id, Report::default(), End::Finished));
                peer.streams.remove(0);
                continue;
            };
            let stop = (start + limits::GROUP).min(end);
            let bytes = stop - start;
            let fails = match peer.manner {
                Manner::Stalls(after) if peer.sent >= after => {
                    stream.todo.push_front((blob, start, end));
                    break;
                }
                Manner::Lies(every) if (peer.sent / limits::GROUP + 1).is_multiple_of(every) => {
                    Some(End::Lied(blob))
                }
                Manner::Closes(after) if stream.sent >= after => Some(End::Closed),
                Manner::WrongSize => Some(End::WrongSize(blob)),
                Manner::Busy => Some(End::Overload),
                Manner::Empty => {
                    let mut not_held: Vec<_> = stream.todo.iter().map(|part| part.0).collect();
                    not_held.push(blob);
                    not_held.dedup();
                    let report = Report { verified: Vec::new(), not_held };
                    commands.push(Command::Ended(stream.id, report, End::Finished));
                    peer.streams.remove(0);
                    continue;
                }
                _ => None,
            };
            if let Some(end) = fails {
                peer.sent += bytes;
                commands.push(Command::Ended(stream.id, Report::default(), end));
                peer.streams.remove(0);
                continue;
            }
            if peer.credit < bytes {
                stream.todo.push_front((blob, start, end));
                break;
            }
            if stop < end {
                stream.todo.push_front((blob, stop, end));
            }
            peer.credit -= bytes;
            peer.sent += bytes;
            stream.sent += bytes;
            self.moved += bytes;
            let good = self.good.entry(blob).or_default();
            let mut all = good.as_slice().to_vec();
            all.push((start, stop));
            *good = Ranges::from_untrusted(&all, u64::MAX);
            let verified = vec![BlobRange { blob, ranges: Bounded::first_of([(start, stop)]) }];
            commands.push(Command::Progress(stream.id, Report { verified, not_held: Vec::new() }));
        }
        for command in commands {
            if let Command::Ended(id, _, End::Lied(blob)) = &command
                && self.machine.peer_of(*id) == Some(name)
            {
                self.lied.insert((name.clone(), *blob));
            }
            self.command(command);
        }
    }
}

const MIB: u64 = 1 << 20;

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        (1_u64..40).prop_map(|rate| Manner::Honest(rate * 512 * 1024)),
        (1_u64..20).prop_map(|rate| Manner::Honest(rate * 1000)),
        (0_u64..64).prop_map(|groups| Manner::Stalls(groups * limits::GROUP)),
        (1_u64..100).prop_map(Manner::Lies),
        Just(Manner::Empty),
        (0_u64..8).prop_map(|groups| Manner::Closes(groups * limits::GROUP)),
        Just(Manner::WrongSize),
        Just(Manner::Busy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn one_honest_peer_is_enough(
        seed: u64,
        mut manners in prop::collection::vec(manner(), 0..6),
        at in 0_usize..6,
        sizes in prop::collection::vec(
            prop_oneof![4 => 1_u64..40_000, 2 => 40_000..2 * MIB, 1 => 2 * MIB..24 * MIB], 1..30),
    ) {
        manners.insert(at.min(manners.len()), Manner::Honest(8 * MIB));
        let mut world = World::new(seed, &manners, &sizes);
        let took = world.run(600_000);
        prop_assert_eq!(world.done.len(), sizes.len(), "after {} ms: {:?}", took, world.stuck);
        prop_assert_eq!(world.machine.assignments.len(), 0);
    }
}

#[test]
fn a_large_blob_is_shared_by_the_rates_of_its_holders() {
    let manners = [Manner::Honest(16 * MIB), Manner::Honest(16 * MIB), Manner::Honest(4 * MIB)];
    let mut world = World::new(1, &manners, &[360 * MIB]);
    let took = world.run(60_000);
    // 36 MiB/s in total: 10 s at best.
    assert!(took < 13_000, "took {took} ms");
    assert!(world.moved < 360 * MIB * 115 / 100, "moved {} MiB", world.moved / MIB);
}

#[test]
fn a_peer_that_stalls_at_99_percent_does_not_hold_up_the_rest() {
    let manners = [Manner::Stalls(63 * MIB), Manner::Honest(2 * MIB)];
    let mut world = World::new(1, &manners, &[64 * MIB]);
    let took = world.run(60_000);
    // The stall is detected within STALL_HINT, and only the bytes it owed are fetched again.
    assert_eq!(world.done.len(), 1, "took {took} ms");
    assert!(took < 30_000, "took {took} ms");
}

#[test]
fn a_slow_peer_is_used_while_alone_and_relieved_by_another() {
    let mut world = World::new(1, &[Manner::Honest(64 * 1024)], &[32 * MIB]);
    world.run(20_000);
    assert_eq!((world.done.len(), world.stuck.len()), (0, 0));
    let fast = Peer { manner: Manner::Honest(16 * MIB), streams: Vec::new(), sent: 0, credit: 0 };
    world.peers.insert(peer(9), fast);
    let subject = Subject::Fetch(FetchId(1));
    world.command(Command::Holder { peer: peer(9), subject, has: Has::Held });
    let took = world.run(60_000);
    assert!(took < 27_000, "took {took} ms");
}

#[test]
fn fifty_false_holders_do_not_hide_the_true_one() {
    let mut manners = vec![Manner::Empty; 50];
    manners.push(Manner::Honest(8 * MIB));
    let mut world = World::new(7, &manners, &[10_000; 200]);
    let took = world.run(60_000);
    assert_eq!(world.done.len(), 200, "took {took} ms");
    assert!(took < 10_000, "took {took} ms");
}

#[test]
fn without_an_honest_peer_a_fetch_ends_with_a_reason() {
    let manners = [Manner::Lies(1), Manner::Closes(0), Manner::WrongSize, Manner::Empty];
    let mut world = World::new(3, &manners, &[5 * MIB, 1000]);
    world.run(120_000);
    assert!(world.done.is_empty());
    assert!(
        world.stuck.iter().any(|effect| matches!(
            effect,
            Decision::Stuck { reason: crate::transfer::Reason::AllFailed, .. }
        )),
        "{:?}",
        world.stuck
    );
}
