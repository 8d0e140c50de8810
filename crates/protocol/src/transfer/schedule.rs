//! Assigns ranges to peers: fills free slots, takes over from slow peers, reports stuck blobs, and
//! requests the next tick.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_manifest::BlobId;

use super::ranges::Ranges;
use super::source::{Offer, Source};
use super::split::{self, Budget};
use super::want::Want;
use super::{AssignmentId, Decision, Key, Reason, Transfer, limits};
use crate::peer::PeerId;
use crate::time::Time;

impl Transfer {
    /// Assigns free ranges to peers with room, then lets idle peers take over from slow ones.
    pub(super) fn schedule(&mut self, now: Time, decisions: &mut Vec<Decision>) {
        for busy in 0..limits::SLOTS_PER_PEER {
            for peer in self.ready_peers(now, busy) {
                if self.assignments.len() < limits::SLOTS {
                    self.fill(now, &peer, decisions);
                }
            }
        }
        if now < self.steal_after || self.assignments.is_empty() {
            return;
        }
        self.steal_after = now + limits::STEAL_PERIOD;
        for peer in self.ready_peers(now, 0) {
            if self.assignments.len() < limits::SLOTS {
                self.steal(now, &peer, decisions);
            }
        }
    }

    /// Peers that can take an assignment and have `busy` of them in flight, fastest first.
    fn ready_peers(&self, now: Time, busy: usize) -> Vec<PeerId> {
        let mut peers: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.is_ready(now) && source.in_flight.len() == busy)
            .map(|(peer, source)| (u64::MAX - source.rate(), self.mix(peer), peer.clone()))
            .collect();
        peers.sort();
        peers.into_iter().map(|(_, _, peer)| peer).collect()
    }

    /// A fixed shuffle of peers by the seed (FNV-1a).
    fn mix(&self, peer: &PeerId) -> u64 {
        peer.as_str().bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    fn fill(&mut self, now: Time, peer: &PeerId, decisions: &mut Vec<Decision>) {
        let Some(source) = self.sources.get(peer) else { return };
        if source.idle_at == Some(self.generation) || !source.has_something() {
            return;
        }
        let sharing = self
            .sources
            .values()
            .filter(|other| other.is_usable(now) && other.has_something())
            .count();
        let free = u64::try_from(self.free_bytes).unwrap_or(u64::MAX);
        let rate = source.is_measured().then(|| source.rate());
        let mut budget = Budget::new(rate, free, u64::try_from(sharing).unwrap_or(u64::MAX));
        let (mut items, mut blobs) = (Vec::new(), BTreeSet::new());
        for (_, key) in &self.ready {
            if budget.is_spent() {
                break;
            }
            let Some(want) = self.wants.get(key).filter(|want| want.may_ask(peer)) else {
                continue;
            };
            if blobs.contains(&key.0) {
                // Reports name blobs: of two sizes of one, an assignment has one.
                continue;
            }
            let able = match source.offer(key, want) {
                Offer::All => want.free.clone(),
                Offer::Perhaps if !self.has_sure_holder(now, key, want) => want.free.clone(),
                Offer::Perhaps | Offer::Nothing => continue,
            };
            if let Some(part) = budget.take(want, &able) {
                items.push((*key, part));
                blobs.insert(key.0);
            }
        }
        if items.is_empty() {
            let generation = self.generation;
            if let Some(source) = self.sources.get_mut(peer) {
                source.idle_at = Some(generation);
            }
        } else {
            self.assign(now, peer, items, decisions);
        }
    }

    /// Returns whether a peer that may be asked claims to hold this blob.
    fn has_sure_holder(&self, now: Time, key: &Key, want: &Want) -> bool {
        self.sources.iter().any(|(peer, source)| {
            source.is_usable(now) && want.may_ask(peer) && source.offer(key, want) == Offer::All
        })
    }

    /// Gives the idle peer `thief` bytes that another peer owes and is late with.
    fn steal(&mut self, now: Time, thief: &PeerId, decisions: &mut Vec<Decision>) {
        let Some(source) = self.sources.get(thief).filter(|source| source.has_something()) else {
            return;
        };
        let late = self.assignments.keys().filter_map(|id| self.lateness(now, *id));
        let mut victims: Vec<_> = late.filter(|late| late.eta >= limits::STEAL_PERIOD).collect();
        victims.sort_by_key(|late| (std::cmp::Reverse(late.eta), late.id));
        for late in victims {
            let items = self.loot(&late, thief, source);
            let bytes = items.iter().map(|(_, part)| part.bytes()).fold(0, u64::saturating_add);
            let needs = at_rate(bytes, source.rate()).saturating_mul(2);
            if bytes > 0 && late.eta >= needs.saturating_add(limits::STEAL_PERIOD) {
                self.assign(now, thief, items, decisions);
                return;
            }
        }
    }

    /// Estimates when an assignment will be done.
    fn lateness(&self, now: Time, id: AssignmentId) -> Option<Late> {
        let assignment = self.assignments.get(&id)?;
        let source = self.sources.get(&assignment.peer)?;
        let (mut ahead, mut moved) = (0_u64, Time::ZERO);
        for other in &source.in_flight {
            let Some(found) = self.assignments.get(other) else { continue };
            moved = moved.max(found.last_progress);
            if *other <= id {
                ahead = ahead.saturating_add(found.owed_bytes());
            }
        }
        let stalled = now.since(moved) >= limits::STALL_HINT;
        let eta = if stalled { Duration::MAX } else { at_rate(ahead, source.rate()) };
        Some(Late { id, eta, stalled, rate: source.rate() })
    }

    /// The ranges that `thief` could take over from a late assignment, except those that a third
    /// peer owes as well. All of them if the peer stalled, otherwise a share from the end in
    /// proportion to the rates.
    fn loot(&self, late: &Late, thief: &PeerId, source: &Source) -> Vec<(Key, Ranges)> {
        let Some(assignment) = self.assignments.get(&late.id) else { return Vec::new() };
        let mut left = if late.stalled {
            limits::PIECE
        } else {
            split::loot(assignment.owed_bytes(), late.rate, source.rate())
        };
        let mut order: Vec<_> = assignment.owed.keys().collect();
        let place: BTreeMap<_, _> = assignment.order.iter().zip(0_usize..).collect();
        order.sort_by_key(|key| place.get(key));
        if !late.stalled {
            order.reverse();
        }
        let (mut items, mut ranges) = (Vec::new(), limits::RANGES);
        for key in order {
            if left == 0 || ranges == 0 || items.len() >= limits::ITEMS || assignment.peer == *thief
            {
                break;
            }
            let Some(want) = self.wants.get(key).filter(|w| !w.halted && w.may_ask(thief)) else {
                continue;
            };
            let mut able = assignment.owed.get(key).cloned().unwrap_or_default();
            if source.offer(key, want) != Offer::All {
                continue;
            }
            for other in want.asked.iter().filter(|other| **other != late.id) {
                if let Some(owed) = self.assignments.get(other).and_then(|a| a.owed.get(key)) {
                    able = able.minus(owed);
                }
            }
            let part = if late.stalled {
                able.head(left, limits::RANGES_PER_ITEM.min(ranges), limits::GROUP)
            } else {
                able.tail(left, limits::RANGES_PER_ITEM.min(ranges), limits::GROUP)
            };
            if !part.is_empty() {
                left = left.saturating_sub(part.bytes());
                ranges -= part.as_slice().len();
                items.push((*key, part));
            }
        }
        items
    }

    /// Reports the doubted blobs that have no peer left to ask, once [`limits::DOUBT`] has passed.
    pub(super) fn say_stuck(&mut self, now: Time, decisions: &mut Vec<Decision>) {
        if self.doubt_since.is_none_or(|since| now.since(since) < limits::DOUBT) {
            return;
        }
        self.doubt_since = None;
        let mut stuck = BTreeMap::<_, Vec<BlobId>>::new();
        for key in std::mem::take(&mut self.doubts) {
            let reason = self.wants.get(&key).and_then(|want| self.reason(now, &key, want));
            let Some(want) = self.wants.get_mut(&key) else { continue };
            if reason.is_some() && reason != want.told {
                for fetch in &want.fetches {
                    stuck.entry((*fetch, reason)).or_default().push(key.0);
                }
            }
            want.told = reason;
        }
        for ((fetch, reason), blobs) in stuck {
            decisions.extend(reason.map(|reason| Decision::Stuck { fetch, blobs, reason }));
        }
    }

    /// Why the free ranges of a blob cannot be assigned; `None` if they can.
    fn reason(&self, now: Time, key: &Key, want: &Want) -> Option<Reason> {
        if want.halted {
            return Some(Reason::Local);
        }
        if want.free.is_empty() {
            return None;
        }
        let mut failed = want.failures.values().any(|count| *count > 0);
        for (peer, source) in &self.sources {
            let has = source.offer(key, want) != Offer::Nothing;
            if has && source.is_usable(now) && want.may_ask(peer) {
                return None;
            }
            failed |= has || source.lied.contains(key);
        }
        Some(if failed { Reason::AllFailed } else { Reason::NoHolder })
    }

    /// Requests a tick at the next moment of interest, unless it was already requested.
    pub(super) fn wake_if_changed(&mut self, now: Time, decisions: &mut Vec<Decision>) {
        let next = self.next_wake(now);
        if next != self.wake {
            self.wake = next;
            decisions.extend(next.map(Decision::WakeAt));
        }
    }

    fn next_wake(&self, now: Time) -> Option<Time> {
        let mut times = BTreeSet::new();
        if self.tick_due {
            return Some(now);
        }
        let mut idle = false;
        for source in self.sources.values().filter(|source| source.connected) {
            if let Some(oldest) = source.in_flight.first().and_then(|id| self.assignments.get(id)) {
                times.insert(oldest.deadline());
            }
            let rest = source.rest_until.max(source.benched_until);
            if rest > now && !self.wants.is_empty() {
                times.insert(rest);
            }
            idle |= source.is_ready(now) && source.in_flight.is_empty();
        }
        if idle && !self.assignments.is_empty() {
            times.insert(self.steal_after.max(now));
        }
        if let Some(since) = self.doubt_since {
            times.insert((since + limits::DOUBT).max(now));
        }
        times.first().copied()
    }
}

/// An assignment that other peers may take over from.
struct Late {
    id: AssignmentId,
    eta: Duration,
    stalled: bool,
    rate: u64,
}

fn at_rate(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1))
}
