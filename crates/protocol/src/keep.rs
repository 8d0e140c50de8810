//! Decides which followed releases to fetch next.
//!
//! Owns the releases being fetched and those resting after a failure. At most [`CONCURRENT`] are
//! fetched at a time, and every wanted release is retried with growing delays. The machine keeps no
//! list of all wanted releases: it pages through the catalog. Each node walks a page in its own
//! order, so that the copies of a new release spread.

use std::collections::BTreeMap;
use std::time::Duration;

use perennial_manifest::{PublisherId, ReleaseId};

use crate::catalog::{Catalog, Wanted};
use crate::input::{Follows, KeepOutcome};
use crate::peer::PeerId;
use crate::placement;
use crate::time::Time;

/// Releases fetched concurrently, at most.
pub(crate) const CONCURRENT: usize = 16;
/// Rest after the first failure; it doubles with each failure.
pub(crate) const REST: Duration = Duration::from_secs(15);
/// Longest rest.
pub(crate) const REST_MAX: Duration = Duration::from_secs(3600);
/// Longest remaining delay once a peer connects, which may hold blobs that the others lack.
pub(crate) const REST_NEW_PEER: Duration = Duration::from_secs(3);
/// Releases whose failures are remembered, at most.
pub(crate) const RESTING: usize = 64 * 1024;
/// Releases read from the catalog at a time.
pub(crate) const PAGE: usize = 256;
/// Pages read in one step, at most.
pub(crate) const PAGES: usize = 8;
/// Time after which the catalog is read again without a trigger.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Time,
    tries: u32,
}

/// The keep machine.
#[derive(Debug)]
pub(crate) struct Keep {
    me: PeerId,
    active: BTreeMap<ReleaseId, PublisherId>,
    resting: BTreeMap<ReleaseId, Rest>,
    cursor: Option<ReleaseId>,
    next: Time,
}

impl Keep {
    /// A machine without running fetches. `me` determines the order of its releases.
    #[must_use]
    pub(crate) const fn new(me: PeerId) -> Self {
        Self {
            me,
            active: BTreeMap::new(),
            resting: BTreeMap::new(),
            cursor: None,
            next: Time::ZERO,
        }
    }

    /// Schedules a look at the catalog for the next step, because new entries, follows or free
    /// space may have added work.
    pub(crate) fn look(&mut self, now: Time) {
        self.next = self.next.min(now);
    }

    /// Shortens all rests, because a peer connected.
    pub(crate) fn peer_came(&mut self, now: Time) {
        let soon = now + REST_NEW_PEER;
        for rest in self.resting.values_mut() {
            rest.until = rest.until.min(soon);
        }
        self.next = self.next.min(soon);
    }

    /// Records the outcome of a release's fetch.
    pub(crate) fn ended(&mut self, now: Time, release: &ReleaseId, outcome: KeepOutcome) {
        if self.active.remove(release).is_none() {
            return;
        }
        match outcome {
            KeepOutcome::Held => {
                self.resting.remove(release);
            }
            KeepOutcome::Failed => {
                let tries = self.resting.get(release).map_or(0, |rest| rest.tries);
                let wait = REST.saturating_mul(1 << tries.min(12)).min(REST_MAX);
                self.rest(*release, Rest { until: now + wait, tries: tries + 1 });
            }
            KeepOutcome::Refused => self.rest(*release, Rest { until: now + REST_MAX, tries: 12 }),
        }
        self.look(now);
    }

    fn rest(&mut self, release: ReleaseId, rest: Rest) {
        if self.resting.len() >= RESTING && !self.resting.contains_key(&release) {
            self.resting.pop_first();
        }
        self.resting.insert(release, rest);
    }

    /// The releases to start now.
    pub(crate) fn plan(
        &mut self,
        now: Time,
        follows: &Follows,
        catalog: &dyn Catalog,
    ) -> Vec<Wanted> {
        let mut chosen = Vec::new();
        if now < self.next {
            return chosen;
        }
        self.active.retain(|_, publisher| follows.covers(publisher));
        if self.active.len() >= CONCURRENT {
            self.next = Time::NEVER;
            return chosen;
        }
        for _ in 0..PAGES {
            let page = catalog.wanted(follows, self.cursor.as_ref(), PAGE);
            let whole = page.len() < PAGE;
            let last = page.last().map(|wanted| wanted.release);
            let mut free: Vec<Wanted> =
                page.into_iter().filter(|wanted| self.is_free(now, wanted)).collect();
            let room = CONCURRENT - self.active.len();
            let more = free.len() > room;
            free.sort_by_key(|wanted| {
                std::cmp::Reverse(placement::score(wanted.release.entry().as_bytes(), &self.me))
            });
            free.truncate(room);
            for wanted in free {
                self.active.insert(wanted.release, wanted.publisher);
                chosen.push(wanted);
            }
            if more || self.active.len() >= CONCURRENT {
                // The same page is read again once `ended` makes room.
                self.next = Time::NEVER;
                return chosen;
            }
            let began_at_the_start = self.cursor.is_none();
            self.cursor = if whole { None } else { last };
            if whole && began_at_the_start {
                break;
            }
        }
        let rested =
            self.resting.values().map(|rest| rest.until).filter(|until| *until > now).min();
        self.next = (now + LOOK_AGAIN).min(rested.unwrap_or(Time::NEVER));
        chosen
    }

    fn is_free(&self, now: Time, wanted: &Wanted) -> bool {
        !self.active.contains_key(&wanted.release)
            && self.resting.get(&wanted.release).is_none_or(|rest| rest.until <= now)
    }

    pub(crate) const fn next(&self) -> Time {
        self.next
    }

    pub(crate) fn active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len() + self.resting.len()
    }
}

#[cfg(test)]
mod tests;
