//! Sources: for each peer, the blobs it claims, its rate and its behaviour.

use std::collections::{BTreeMap, BTreeSet};

use super::want::Want;
use super::{AssignmentId, Key, limits};
use crate::input::FetchId;
use crate::time::Time;

/// How well a peer can supply one want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    All,
    Perhaps,
    Nothing,
}

/// A peer. Remembered while connected; its lies are remembered longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) connected: bool,
    pub(super) fetches: BTreeMap<FetchId, Offer>,
    pub(super) blobs: BTreeMap<Key, Offer>,
    /// Oldest first. Only the oldest is timed, because a peer may serve them one by one.
    pub(super) in_flight: Vec<AssignmentId>,
    pub(super) lied: BTreeSet<Key>,
    pub(super) lies: u32,
    /// Fruitless assignments in a row.
    pub(super) failures: u32,
    pub(super) rest_until: Time,
    pub(super) benched_until: Time,
    /// The generation at which no free ranges suited the peer.
    pub(super) idle_at: Option<u64>,
    rate: Option<u64>,
    period_start: Time,
    period_bytes: u64,
}

impl Source {
    /// Returns whether the peer may be asked for anything, now or after its rest.
    pub(super) fn is_usable(&self, now: Time) -> bool {
        self.connected && self.lies < limits::LIES && now >= self.benched_until
    }

    /// Returns whether the peer may be asked for something right now.
    pub(super) fn is_ready(&self, now: Time) -> bool {
        self.is_usable(now)
            && now >= self.rest_until
            && self.in_flight.len() < limits::SLOTS_PER_PEER
    }

    /// The peer's offer for a want, from its claims and behaviour.
    pub(super) fn offer(&self, key: &Key, want: &Want) -> Offer {
        if self.lied.contains(key) {
            return Offer::Nothing;
        }
        if let Some(offer) = self.blobs.get(key) {
            return *offer;
        }
        let mut best = Offer::Nothing;
        for fetch in &want.fetches {
            match self.fetches.get(fetch) {
                Some(Offer::All) => return Offer::All,
                Some(Offer::Perhaps) => best = Offer::Perhaps,
                Some(Offer::Nothing) | None => {}
            }
        }
        best
    }

    /// Returns whether the peer may hold anything at all.
    pub(super) fn has_something(&self) -> bool {
        let mut offers = self.fetches.values().chain(self.blobs.values());
        offers.any(|offer| *offer != Offer::Nothing)
    }

    /// The peer's rate in bytes per second, measured or guessed.
    pub(super) fn rate(&self) -> u64 {
        self.rate.unwrap_or(limits::RATE_GUESS).max(1)
    }

    pub(super) fn is_measured(&self) -> bool {
        self.rate.is_some()
    }

    /// Records the start of an assignment. If none was in flight, a new measuring period begins.
    pub(super) fn started(&mut self, id: AssignmentId, now: Time) {
        if self.in_flight.is_empty() {
            self.period_start = now;
            self.period_bytes = 0;
        }
        self.in_flight.push(id);
    }

    /// Records verified bytes.
    pub(super) fn delivered(&mut self, bytes: u64, now: Time) {
        self.failures = 0;
        self.period_bytes = self.period_bytes.saturating_add(bytes);
        let elapsed = now.since(self.period_start);
        if elapsed < limits::RATE_PERIOD {
            return;
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let measured = self.period_bytes.saturating_mul(1000) / millis;
        self.rate = Some(match self.rate {
            Some(old) => (old / 4).saturating_mul(3).saturating_add(measured / 4),
            None => measured,
        });
        self.period_start = now;
        self.period_bytes = 0;
    }

    /// Records a fruitless assignment: the peer rests, twice as long each time, and is benched
    /// after many.
    pub(super) fn failed(&mut self, now: Time) {
        self.failures = self.failures.saturating_add(1);
        let wait = limits::BACKOFF * (1 << (self.failures - 1).min(16));
        self.rest_until = now + wait.min(limits::BACKOFF_MAX);
        if self.failures >= limits::BENCH_AFTER {
            self.benched_until = now + limits::BENCH;
            self.failures = 0;
        }
    }
}
